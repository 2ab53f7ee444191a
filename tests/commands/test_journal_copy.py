"""`evocall journal copy`: all calls and campaigns of one journal in another, empty one, or none of them."""

import json
import threading

import pytest

from evocall import copying, records
from evocall.journal import Journal
from evocall.model import Ending, Phase
from tests.faultserver import FaultServer, Visit, http

FLOW = "665f1c0000000000000000a1"
PLACED = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}')


@pytest.fixture
def file(home):
    """The journal's file."""
    return home / "evocall" / "journal.db"


@pytest.fixture
def dialled(evocall, signed_in, file, tmp_path, hasty):
    """A journal with calls of each outcome, a key and a campaign."""
    table = tmp_path / "calls.csv"
    table.write_text("number\n+18145550171\n+18145550172\n", encoding="utf-8")
    assert evocall("dial", "+18145550100", "--once", "key").code == 0
    with Journal(file) as journal:
        journal.history.follow("0001", None, Ending(Phase.ENDED, answered=True, outcome="Completed", seconds=4.5))
    assert evocall("dial", "+18145550150").code == 9
    assert evocall("batch", str(table), "--campaign", "spring", "--yes", "--pace", "100").code == 0
    return signed_in


def history(evocall):
    """The calls as JSON shows them."""
    result = evocall("history", "--json")
    assert result.code == 0
    return json.loads(result.out)


@pytest.mark.parametrize("page", [2, 10_000])
def test_everything_is_there_afterwards(evocall, dialled, file, postgres, monkeypatch, page, tmp_path):
    """The history word for word, the used key, the campaign; however many rows are carried at a time."""
    monkeypatch.setattr(copying, "AT_A_TIME", page)
    monkeypatch.setattr(records, "PAGE", page)
    url = postgres.database()
    before, rung = history(evocall), len(dialled.dials())
    assert f"{len(before)} calls copied to {url}" in evocall("journal", "copy", str(file), url).err
    monkeypatch.setenv("EVOCALL_JOURNAL", url)
    assert history(evocall) == before
    used = evocall("dial", "+18145550100", "--once", "key", "--json")
    assert (used.code, json.loads(used.out)["outcome"]) == (0, "already_placed")
    again = evocall("batch", str(tmp_path / "calls.csv"), "--campaign", "spring", "--yes", "--json")
    assert (again.code, json.loads(again.out)["placed_before"]) == (0, 2)
    assert len(dialled.dials()) == rung
    assert evocall("dial", "+18145550101").code == 0
    assert int(history(evocall)[0]["call"], 32) == len(before) + 1


def test_names_of_purged_calls_are_not_given_again(evocall, signed_in, file, postgres, monkeypatch, change):
    """Neither here nor there."""
    assert evocall("dial", "+18145550100").code == 0
    change("requested_at = 0")
    assert evocall("history", "purge", "--older-than", "1d").code == 0
    url = postgres.database()
    assert evocall("journal", "copy", str(file), url, "--quiet").err == ""
    monkeypatch.setenv("EVOCALL_JOURNAL", url)
    assert evocall("dial", "+18145550100").code == 0
    assert [call["call"] for call in history(evocall)] == ["0002"]


def test_a_database_goes_back_into_a_file(evocall, dialled, file, postgres, tmp_path):
    """For whoever goes back to one host."""
    url, back = postgres.database(), tmp_path / "back.db"
    assert evocall("journal", "copy", str(file), url).code == 0
    assert evocall("journal", "copy", url, str(back)).code == 0
    with Journal(file) as old, Journal(back) as new:
        assert list(old.history.calls()) == list(new.history.calls())


def test_a_journal_with_calls_is_not_copied_into(evocall, dialled, file, postgres):
    """Two journals may know the same key for different calls."""
    url = postgres.database()
    assert evocall("journal", "copy", str(file), url).code == 0
    result = evocall("journal", "copy", str(file), url)
    assert (result.code, "calls already" in result.err) == (2, True)


@pytest.mark.parametrize("where", ["file", "database"])
def test_a_journal_is_not_copied_onto_itself(evocall, dialled, file, postgres, where, monkeypatch):
    """However it is named the second time."""
    begin, end = str(file), str(file.parent / ".." / file.parent.name / file.name)
    if where == "database":
        begin = postgres.database()
        end = begin.replace("127.0.0.1", "localhost")
        Journal(begin).__exit__()
    result = evocall("journal", "copy", begin, end)
    assert (result.code, "are one journal" in result.err) == (2, True)
    assert len(history(evocall)) == 4


def test_two_schemas_of_one_database_are_copied_by_way_of_a_file(evocall, dialled, file, postgres, tmp_path):
    """As the hint says, since the one would wait for the other."""
    url = postgres.database()
    with postgres.connected(url.rpartition("/")[2]) as connection:
        connection.execute("CREATE SCHEMA other")
    other = f"{url}?options=-csearch_path%3Dother"
    assert evocall("journal", "copy", str(file), url).code == 0
    result = evocall("journal", "copy", url, other)
    assert (result.code, "new file first" in result.err) == (2, True)
    assert evocall("journal", "copy", url, str(tmp_path / "between.db")).code == 0
    assert evocall("journal", "copy", str(tmp_path / "between.db"), other).code == 0
    with Journal(file) as old, Journal(other) as new:
        assert list(old.history.calls()) == list(new.history.calls())


@pytest.mark.parametrize(
    "keywords",
    [
        "host=127.0.0.1 dbname=x password=s3cret",
        "dbname = x password = s3cret",
        "service=evocall",
        "port=5432 user=evocall password='s3cret'",
    ],
)
def test_a_database_in_keywords_is_no_new_file(evocall, dialled, file, keywords, tmp_path, monkeypatch):
    """It would be made under that name, and the calls would be in no database."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for pair in ((str(file), keywords), (keywords, str(file))):
        result = evocall("journal", "copy", *pair)
        assert (result.code, "postgresql://" in result.err, "%40" in result.err) == (2, True, True)
        assert "s3cret" not in result.out + result.err
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.setenv("EVOCALL_JOURNAL", keywords)
    result = evocall("history")
    assert (result.code, "s3cret" in result.out + result.err) == (10, False)


def test_a_call_that_is_being_placed_is_waited_for_by_whoever_copies(evocall, monkeypatch, file, spawn, postgres, home):
    """It would be lost for the one journal or unknown in the other."""
    arrived, answer = threading.Event(), threading.Event()

    def hold(visit: Visit) -> None:
        visit.read()
        arrived.set()
        answer.wait(60)
        visit.send(PLACED)

    with FaultServer(hold) as server:
        login = {"EVOCALL_BASE_URL": server.base_url, "EVOCALL_USERNAME": "u", "EVOCALL_PASSWORD": "p"}
        environment = {**login, "EVOCALL_HOME": str(file.parent)}
        dial = threading.Thread(
            target=spawn, args=("dial", "+18145550100", "--flow", FLOW), kwargs={"env": environment}
        )
        dial.start()
        assert arrived.wait(60)
        result = evocall("journal", "copy", str(file), postgres.database())
        answer.set()
        dial.join()
    assert (result.code, "is being placed" in result.err) == (2, True)


def test_a_copy_that_breaks_leaves_nothing(evocall, dialled, file, postgres, monkeypatch):
    """All of it is one transaction."""
    url = postgres.database()
    assert evocall("journal", "copy", str(file), url).code == 0
    with postgres.connected(url.rpartition("/")[2]) as connection:
        connection.execute("DELETE FROM calls; DELETE FROM campaigns")
        connection.execute("ALTER TABLE campaigns ADD CHECK (name <> 'spring')")
    assert evocall("journal", "copy", str(file), url).code == 10
    with Journal(url) as journal:
        assert list(journal.history.calls()) == []


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        ("nowhere.db", "postgresql://evocall@127.0.0.1/x", "There is no journal"),
        ("postgresql://evocall:s3cret@127.0.0.1/x", "new.db", "everybody sees arguments"),
        ("mysql://evocall@127.0.0.1/x", "new.db", "A database is named by"),
        ("postgresql:/evocall:s3cret@127.0.0.1/x", "new.db", "A database is named by"),
        ("evocall:s3cret@127.0.0.1/x", "new.db", "A database is named by"),
    ],
)
def test_what_is_no_journal_is_refused(evocall, begin, end, said):
    """Without opening anything, and without showing a password."""
    result = evocall("journal", "copy", begin, end)
    assert (result.code, said in result.err) == (2, True)
    assert "s3cret" not in result.err


def test_a_copy_that_is_done_again_because_nobody_heard_of_its_end_is_a_copy(evocall, dialled, file, tmp_path):
    """A connection may break after the commit and before its answer."""
    with Journal(file) as old, Journal(tmp_path / "new.db") as new:
        transaction = new.engine.transaction

        def twice(work, **how):
            transaction(work, **how)
            transaction(work, **how)

        new.engine.transaction = twice
        assert copying.copy(old, new) == len(list(old.history.calls()))
        assert list(old.history.calls()) == list(new.history.calls())
