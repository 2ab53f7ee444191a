"""`evocall batch`: every row rung at most once, counted at the service, however often it is run."""

import contextlib
import csv
import errno
import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from evocall import campaign, phone
from evocall.earlier import Key
from evocall.history import Filter
from evocall.journal import Journal
from evocall.model import Campaign, Flow, Plan, Profile
from tests.faultserver import FaultServer, answering, http

A, B, C, REFUSED = "+18145550100", "+18145550101", "+18145550102", "+18145550140"
LOST, UNHEARD = "+18145550151", "+18145550150"  # the answer does not tell: one rings, the other does not
TOKYO = "+81312345678"
KEYS = {
    "schema",
    "campaign",
    "started",
    "finished",
    "rows",
    "bad",
    "denied",
    "to_dial",
    "duplicates",
    "placed_before",
    "unknown_before",
    "waiting",
    "outcomes",
    "errors",
    "rate",
    "error",
}


@pytest.fixture
def path(tmp_path):
    """Where the table is."""
    return tmp_path / "calls.csv"


@pytest.fixture
def journal(home):
    """Where the journal is."""
    return home / "evocall" / "journal.db"


@pytest.fixture
def batch(evocall, path):
    """Runs the campaign `spring` on a table; without one, on the table that is there."""

    def run(*options, rows=None, text=None):
        if rows is not None:
            text = "\n".join(["number", *rows, ""])
        if text is not None:
            path.write_text(text, encoding="utf-8")
        return evocall("batch", str(path), "--campaign", "spring", "--pace", "100", "--yes", *options)

    return run


@pytest.fixture
def summary(batch):
    """The exit code and the JSON document of such a run."""

    def run(*options, **table):
        result = batch("--json", *options, **table)
        return result.code, json.loads(result.out)

    return run


@pytest.fixture
def rung(signed_in):
    """How often each number was asked for at the service."""
    return lambda: Counter(json.loads(request.body)["numberToDial"] for request in signed_in.dials())


@pytest.fixture
def outcomes(journal):
    """The newest outcome of each number."""

    def read():
        with Journal(journal) as opened:
            newest_last = list(opened.history.calls(Filter(campaign="spring")))[::-1]
        return {record.call.number: str(record.call.outcome) for record in newest_last}

    return read


def window(zone, begin, end):
    """Hours at a zone's clock, from and to so many hours from now."""
    now = datetime.now(ZoneInfo(zone)).replace(tzinfo=None)
    return "-".join(f"{now + timedelta(hours=hours):%H:%M}" for hours in (begin, end))


def test_every_row_is_placed_and_the_table_by_outcome_is_shown(batch, rung):
    result = batch(rows=[A, B, C])
    assert (0, ["outcome  calls", "placed   3"]) == (result.code, result.out.splitlines())
    assert {A: 1, B: 1, C: 1} == rung()


def test_before_the_first_call_it_says_what_is_about_to_happen(batch, signed_in):
    """On stderr, since it is not the result; and a short run off a terminal says nothing else."""
    labels = [line.split("  ")[0] for line in batch(rows=[A, B]).err.splitlines()]
    expected = "campaign rows,left out,to dial,countries,waiting,account,flow,pace,ends".replace("n r", "n,r")
    assert expected.split(",") == labels


def test_quiet_says_nothing_when_all_is_well(batch, rung):
    result = batch("--quiet", rows=[A])
    assert (0, "", "", {A: 1}) == (result.code, result.out, result.err, rung())


def test_quiet_still_names_bad_rows_and_the_end(batch, signed_in):
    result = batch("--quiet", rows=["x", A])
    assert (2, "") == (result.code, result.out)
    assert result.err.startswith("evocall: row 2: 'x'")


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ("1.81440E+10", "scientific notation"),
        ("18145550100", "it has no +"),
        (f"'{A}", "apostrophe"),
        (f"={A}", "formula"),
        (f"{A}.0", "ends in"),
        (f"{A} ext. 3", "extension"),
        ("Ann", "neither a number nor a contact"),
        (f"{A},more", "it has 2 cells, and the first line only 1"),
        ("911", "emergency"),
    ],
)
def test_a_bad_row_stops_the_batch_before_the_first_call(batch, signed_in, cell, named):
    """It is reported with its place, its value and the reason."""
    result = batch(rows=[A, cell, B])
    line = result.err.splitlines()[0]
    assert (2, "") == (result.code, result.out)
    assert line.startswith("evocall: row 3: ")
    assert cell.split(",")[0] in line
    assert named in line
    assert "1 of 3 rows" in result.err
    assert "--skip-invalid" in result.err
    assert [] == signed_in.dials()


@pytest.mark.parametrize("options", [(), ("--skip-invalid",)])
@pytest.mark.parametrize("text", [f'number,name\n{A},"Ann\n{B},Bob\n', f'number,city\n{A},"\n{B},"\n{C},Erie\n'])
def test_a_quote_that_swallows_rows_stops_the_batch_before_the_first_call(batch, signed_in, text, options):
    """Also when bad rows are to be left out, since those that it hides may be good."""
    result = batch(*options, text=text)
    assert (2, "", []) == (result.code, result.out, signed_in.dials())
    assert "a quote in row 2 is not closed" in result.err
    assert "hint: A cell that begins with a quote" in result.err


def test_a_row_with_a_wrong_quote_may_be_left_out(summary, signed_in, tmp_path):
    """The results name it as it is written."""
    text = f'number,name\n{A},Ann\n{B},"Bob" by\n{C},Cid\n'
    code, document = summary(text=text)
    assert (2, 1, []) == (code, document["bad"], signed_in.dials())
    code, document = summary("--skip-invalid", "--results", str(tmp_path / "called.csv"))
    assert (14, 1, 2) == (code, document["bad"], document["outcomes"]["placed"])
    assert f'"{B},""Bob"" by",,invalid' in (tmp_path / "called.csv").read_text()


def test_every_bad_row_is_reported(batch, signed_in):
    result = batch(rows=["x1", A, "x2", B, "x3"])
    assert ["row 2", "row 4", "row 6"] == [line[9:14] for line in result.err.splitlines()[:3]]


def test_skip_invalid_leaves_bad_rows_out_and_the_batch_is_incomplete(summary, rung):
    code, document = summary("--skip-invalid", rows=[A, "x", B])
    assert (14, 3, 1, "incomplete") == (code, document["rows"], document["bad"], document["error"]["code"])
    assert {A: 1, B: 1} == rung()


def test_a_campaign_of_which_nothing_was_dialled_may_be_begun_differently(batch, rung):
    """What the name stands for is settled by the first call, and a mistake before it is not for ever."""
    assert 2 == batch("--flow", "survey", rows=["x"]).code
    assert 5 == batch("--flow", "mistaken", rows=[A]).code
    assert 0 == batch("--flow", "alert", rows=[A]).code
    assert {A: 1} == rung()


def test_rows_whose_flows_differ_in_capitals_are_one_row(summary, rung):
    flow = "665f1c0000000000000000aa"
    text = f"number,flow\n{A},{flow}\n{A},{flow.upper()}\n{A},id:{flow.upper()}\n"
    code, document = summary(text=text)
    assert (0, 3, 2, {A: 1}) == (code, document["rows"], document["duplicates"], rung())
    code, document = summary(text=text.upper().replace("NUMBER,FLOW", "number,flow").replace("ID:", "id:"))
    assert (0, 3, {A: 1}) == (code, document["placed_before"], rung())


def test_a_row_that_stands_twice_is_dialled_once(summary, rung):
    """However its number is written."""
    code, document = summary(rows=[A, "+1 814-555-0100", B, "+1 (814) 555 0100", A])
    assert (0, 5, 3, 2) == (code, document["rows"], document["duplicates"], document["outcomes"]["placed"])
    assert {A: 1, B: 1} == rung()


def test_the_same_number_with_another_flow_is_another_row(batch, signed_in):
    assert 0 == batch(text=f"number,flow\n{A},alert\n{A},survey\n{A},alert\n").code
    assert ["alert", "survey"] == [call.flow.name for call in signed_in.calls]


def test_a_flow_is_the_same_by_its_name_and_by_its_id(batch, signed_in, rung):
    """Each name is looked up once, however many rows have it."""
    flow = "665f1c0000000000000000aa"
    assert 0 == batch(text=f"number,flow\n{A},alert\n{A},{flow}\n{A},id:{flow}\n{B},alert\n{C},survey\n").code
    assert {A: 1, B: 1, C: 1} == rung()
    assert 2 == len([request for request in signed_in.requests if request.path.startswith("/flows")])


def test_a_key_makes_the_row(batch, rung):
    """The same number under two keys rings twice, one key once."""
    assert 0 == batch(text=f"key,number\nann,{A}\nbob,{A}\nann,{A}\n").code
    assert {A: 2} == rung()
    assert 0 == batch(text=f"key,number\nbob,{A}\nann,{A}\ncy,{B}\n").code
    assert {A: 2, B: 1} == rung()


def test_rows_may_name_their_flow_and_caller_id(batch, signed_in):
    """Those that do not have those of the command."""
    text = f"number,flow,caller_id\n{A},alert,+18145550191\n{B},,\n{C},survey,\n"
    options = ("--flow", "reminder", "--caller-id", "+18145550190", "--concurrency", "1")
    assert 0 == batch(*options, text=text).code
    assert [
        (A, "alert", "+18145550191"),
        (B, "reminder", "+18145550190"),
        (C, "survey", "+18145550190"),
    ] == [(call.number, call.flow.name, call.caller_id) for call in signed_in.calls]


def test_a_caller_id_that_is_no_number_makes_the_row_bad(batch, signed_in):
    result = batch(text=f"number,caller_id\n{A},\n{B},nobody\n")
    assert 2 == result.code
    assert result.err.startswith("evocall: row 3: Caller ID: 'nobody'")
    assert [] == signed_in.dials()


@pytest.mark.parametrize(("name", "why"), [("mistaken", "No flow is called"), ("duplicate", "2 flows are called")])
def test_a_flow_that_is_not_one_makes_the_row_bad(batch, signed_in, name, why):
    """As any other bad row, and the service is not asked anew for each of them."""
    result = batch(text=f"number,flow\n{A},alert\n{B},{name}\n{C},{name}\n" + f"{A},{name}\n" * 9)
    assert (2, []) == (result.code, signed_in.dials())
    assert [f"evocall: row {line}: {why} '{name}'" in result.err for line in range(3, 14)] == [True] * 11
    assert 3 >= len([request for request in signed_in.requests if request.path.startswith("/flows")])


def test_run_again_it_dials_nothing_that_was_placed(summary, rung):
    first, second = summary(rows=[A, B]), summary()
    assert (0, 2, 0) == (first[0], first[1]["outcomes"]["placed"], first[1]["placed_before"])
    assert (0, 0, 2) == (second[0], second[1]["outcomes"]["placed"], second[1]["placed_before"])
    assert {A: 1, B: 1} == rung()


def test_run_again_it_dials_rows_that_came_since(batch, rung):
    batch(rows=[A])
    assert 0 == batch(rows=[B, A, C]).code
    assert {A: 1, B: 1, C: 1} == rung()


def test_a_row_written_differently_is_the_same_row(batch, rung):
    batch(rows=[A])
    assert 0 == batch("--region", "US", rows=["(814) 555-0100"]).code
    assert {A: 1} == rung()


def test_a_row_that_may_have_rung_is_not_dialled_again(summary, rung):
    """Not by the same command, however often; with --retry-unknown it is, unless the service shows a call."""
    code, document = summary(rows=[A, LOST, UNHEARD])
    assert (14, 1, 2) == (code, document["outcomes"]["placed"], document["outcomes"]["unknown"])
    for _ in range(2):
        code, document = summary()
        assert (14, 1, 2) == (code, document["placed_before"], document["unknown_before"])
    rehearsed = summary("--retry-unknown", "--dry-run")[1]  # which asks nobody, so it counts both of them
    assert (2, 0) == (rehearsed["to_dial"], rehearsed["unknown_before"])
    assert {A: 1, LOST: 1, UNHEARD: 1} == rung()
    code, document = summary("--retry-unknown")
    assert (14, 1, 2, 0) == (
        code,
        document["outcomes"]["unknown"],
        document["placed_before"],
        document["unknown_before"],
    )
    assert {A: 1, LOST: 1, UNHEARD: 2} == rung()


@pytest.mark.usefixtures("signed_in")
def test_an_unknown_row_that_was_not_dialled_again_stays_unknown(batch, summary):
    """Be it for the limit, or because another process took it."""
    batch(rows=[A, UNHEARD, "+12125550150"])
    code, document = summary("--retry-unknown", "--limit", "1")
    assert (14, 2) == (code, document["outcomes"]["unknown"])
    assert "1 of 3 rows are placed, 2 may have been, 0 are not." in document["error"]["message"]


def test_a_row_that_was_found_at_the_service_is_placed_from_then_on(batch, summary, outcomes, signed_in, rung):
    """The history says how it is known, and the campaign is complete."""
    assert 14 == batch(rows=[A, LOST]).code
    result = batch("--retry-unknown")
    assert (0, {A: "placed", LOST: "placed"}, {A: 1, LOST: 1}) == (result.code, outcomes(), rung())
    assert "evocall: of the unknown calls 1 had been placed, and 0 may have been." in result.err.splitlines()
    code, document = summary()
    assert (0, 2, 0) == (code, document["placed_before"], document["to_dial"])


def test_a_row_that_could_be_one_of_two_calls_is_left_alone(batch, outcomes, signed_in, rung):
    """Somebody else rang the number at the same moment: nobody guesses, and nobody is rung again."""
    assert 14 == batch(rows=[A, LOST]).code
    signed_in.place_elsewhere(LOST)
    for _ in range(2):
        result = batch("--retry-unknown")
        assert (14, {A: "placed", LOST: "unknown"}) == (result.code, outcomes())
        assert "evocall: of the unknown calls 0 had been placed, and 1 may have been." in result.err.splitlines()
    assert {A: 1, LOST: 1} == rung()


def test_a_row_that_another_process_is_placing_is_not_said_to_be_found(batch, journal, signed_in):
    """That process will write down itself what became of it."""
    assert 0 == batch(rows=[A]).code
    signed_in.place_elsewhere(LOST)
    profile, flow = Profile("default", signed_in.base_url), Flow(signed_in.flows[0].id)
    plan = Plan(phone.read(LOST), flow, None, profile)
    key, now = Key(f"{LOST} {flow.id}", "spring"), datetime.now(UTC)
    with Journal(journal) as other:
        other.reserve(plan, lambda _: None, key=key, username=None, now=now, hold_back=timedelta(0))
        result = batch("--retry-unknown")
    assert (0, False) == (result.code, "of the unknown calls" in result.err)


def test_while_the_service_does_not_tell_no_unknown_row_is_dialled_again(batch, signed_in, rung, monkeypatch):
    """Exit 8, and the next run with --retry-unknown asks again."""
    assert 14 == batch(rows=[A, UNHEARD]).code
    with FaultServer(answering(http("500 Oops"))) as server, monkeypatch.context() as there:
        there.setenv("EVOCALL_BASE_URL", server.base_url)
        assert (8, []) == (batch("--retry-unknown").code, server.posts)
    assert 14 == batch("--retry-unknown").code
    assert {A: 1, UNHEARD: 2} == rung()


def test_a_row_that_was_not_placed_is_dialled_again(summary, rung):
    for _ in range(2):
        code, document = summary(rows=[REFUSED, A])
        assert (14, {"rejected": 1}, 1) == (code, document["errors"], document["outcomes"]["not_placed"])
    assert {REFUSED: 2, A: 1} == rung()


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (("--flow", "survey"), "flow was id:665f1c0000000000000000aa and is now id:665f1c0000000000000000a3"),
        (("--caller-id", "+18145550191"), "caller_id was +18145550190 and is now +18145550191"),
        (("--profile", "b"), "profile was a and is now b"),
    ],
)
def test_a_campaign_goes_on_only_as_it_was_begun(batch, config, rung, options, difference):
    """Else rows would be rung twice, or by the wrong flow, by mistake."""
    config("[profiles.a]\n[profiles.b]\n")
    begun = {"--profile": "a", "--flow": "alert", "--caller-id": "+18145550190"}
    assert 0 == batch(*(word for pair in begun.items() for word in pair), rows=[A]).code
    changed = begun | dict([options])
    result = batch(*(word for pair in changed.items() for word in pair), rows=[A, B])
    assert 2 == result.code
    assert difference in result.err
    assert {A: 1} == rung()


def test_a_campaign_that_another_process_has_just_begun_stands_before_its_first_call(batch, journal, rung):
    """Both had looked before, when the name stood for nothing."""
    with Journal(journal) as other:
        other.campaigns.begin(Campaign("spring", "localhost", "default", "survey", None), datetime.now(UTC))
        result = batch(rows=[A])
    assert (2, True) == (result.code, "flow was survey and is now" in result.err)
    assert {} == rung()
    assert 0 == batch(rows=[A]).code


def test_a_campaign_does_not_follow_an_alias_to_another_flow(batch, config, rung):
    """The name is the same, what it means is not; as the ID it goes on."""
    config('[profiles.a.flows]\nmine = "665f1c0000000000000000aa"\n')
    assert 0 == batch("--flow", "mine", rows=[A]).code
    config('[profiles.a.flows]\nmine = "665f1c0000000000000000a3"\n')
    for options in ((), ("--dry-run",)):
        result = batch("--flow", "mine", *options, rows=[A, B])
        assert 2 == result.code
        assert "flow was id:665f1c0000000000000000aa and is now id:665f1c0000000000000000a3" in result.err
    assert 0 == batch("--flow", "665f1c0000000000000000aa").code
    assert {A: 1, B: 1} == rung()


def test_rows_on_the_deny_list_are_left_out(summary, config, rung):
    """They do not stop the others, and the batch is incomplete."""
    config('[profiles.a.guard]\ndeny = "no.txt"\n').with_name("no.txt").write_text(f"{B}\n")
    code, document = summary(rows=[A, B, C])
    assert (14, 1, 0, 2) == (code, document["denied"], document["bad"], document["outcomes"]["placed"])
    assert {A: 1, C: 1} == rung()


def test_the_cap_of_the_profile_stops_the_campaign(summary, config, rung):
    """Exit 3, and the next run goes on when there is room."""
    config("[profiles.a.guard]\nmax_per_day = 2\n")
    code, document = summary("--concurrency", "1", rows=[A, B, C])
    assert (3, "max_per_day", 2) == (code, document["error"]["code"], document["outcomes"]["placed"])
    assert "--again" not in document["error"]["hint"]  # which batch does not have
    assert {A: 1, B: 1} == rung()


def test_limit_dials_so_many_rows_and_the_next_run_the_next(batch, rung):
    assert [14, 14, 0] == [batch("--limit", "2", rows=[A, B, C, "+18145550103", "+18145550105"]).code for _ in range(3)]
    assert [1] * 5 == list(rung().values())


@pytest.mark.parametrize("name", ["--profile", "--sandbox"])
def test_a_dry_run_needs_no_login_dials_nothing_and_makes_no_journal(evocall, config, home, path, name):
    """It checks the whole table all the same."""
    config('[profiles.a]\nflow = "alert"\n')
    path.write_text(f"number\n{A}\n", encoding="utf-8")
    target = ("--profile", "a") if name == "--profile" else ("--sandbox",)
    arguments = ("batch", str(path), "--campaign", "spring", *target, "--dry-run")
    assert 0 == evocall(*arguments).code
    path.write_text(f"number\n{A}\nx\n", encoding="utf-8")
    assert 2 == evocall(*arguments).code
    assert ["config.toml"] == [found.name for found in (home / "evocall").iterdir()]


def test_a_dry_run_knows_what_was_placed_before(batch, signed_in):
    batch(rows=[A])
    result = batch("--dry-run", rows=[A, B])
    assert 0 == result.code
    assert "left out    placed before: 1" in result.err
    assert 1 == len(signed_in.dials())


def test_a_dry_run_of_a_campaign_asks_nobody_what_its_flow_is_called(batch, signed_in):
    """It takes the flow that the campaign was begun with."""
    batch("--flow", "alert", rows=[A])
    asked = len(signed_in.requests)
    result = batch("--flow", "alert", "--dry-run", rows=[A, B])
    assert (0, asked) == (result.code, len(signed_in.requests))
    assert "left out    placed before: 1" in result.err


def test_a_dry_run_begins_no_campaign(batch, rung):
    """Another flow may be chosen after it, whether there was a journal or not."""
    batch("--campaign", "other", rows=[A])
    assert 0 == batch("--flow", "survey", "--dry-run", rows=[B]).code
    assert 0 == batch("--flow", "alert", rows=[B]).code


def test_off_a_terminal_it_dials_only_with_yes(spawn, signed_in, path, home):
    """Exit 2, and the hint names the option."""
    path.write_text(f"number\n{A}\n", encoding="utf-8")
    result = spawn("batch", str(path), "--campaign", "spring", env={"EVOCALL_HOME": str(home / "evocall")})
    assert 2 == result.returncode
    assert "--yes" in result.stderr
    assert [] == signed_in.dials()


@pytest.mark.parametrize(("typed", "code", "calls"), [(b"y\n", 0, 1), (b"n\n", 130, 0), (b"\n", 130, 0)])
def test_on_a_terminal_it_shows_what_it_is_about_to_do_and_asks(signed_in, path, typed, code, calls):
    """Whoever says anything but yes has dialled nothing."""
    path.write_text(f"number\n{A}\n", encoding="utf-8")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "evocall", "batch", str(path), "--campaign", "spring"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        os.write(ours, typed)
        _, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (code, calls) == (process.returncode, len(signed_in.dials()))
    assert err.index("to dial     1") < err.index("Dial?")


def test_on_a_terminal_the_bar_counts_to_what_this_run_dials(signed_in, path, monkeypatch):
    """And not to what is left of the table."""
    path.write_text(f"number\n{A}\n{B}\n{C}\n", encoding="utf-8")
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "evocall", "batch", str(path), "--campaign", "spring", "--limit", "1", "--yes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs):
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the end of a pty on Linux
            while more := os.read(ours, 65536):
                seen += more
    os.close(ours)
    assert (b"1 of 3" in seen, b"1/1" in seen, b"1/3" in seen) == (True, True, False)


def test_standard_input_is_a_table(spawn, signed_in, home):
    """CSV and JSON Lines; run again with the same rows it dials nothing."""
    env = {
        "EVOCALL_HOME": str(home / "evocall"),
        "EVOCALL_BASE_URL": signed_in.base_url,
        "EVOCALL_USERNAME": signed_in.manager.username,
        "EVOCALL_PASSWORD": signed_in.manager.password,
    }
    arguments = ("batch", "-", "--campaign", "spring", "--flow", "alert", "--pace", "100", "--yes")
    tables = [f"number\n{A}\n{B}\n", f'{{"number": "{A}"}}\n{{"number": "{B}"}}\n']
    assert [0, 0] == [spawn(*arguments, env=env, stdin=table).returncode for table in tables]
    assert [A, B] == sorted(call.number for call in signed_in.calls)


def test_json_is_one_object_with_the_same_keys_whatever_happened(summary, signed_in):
    """Placed, incomplete, nothing left to do."""
    documents = [summary(rows=rows)[1] for rows in ([A], [A, REFUSED], [A])]
    assert [KEYS] * 3 == [set(document) for document in documents]
    assert [None, "incomplete", None] == [document["error"] and document["error"]["code"] for document in documents]
    assert {"placed", "already_placed", "not_placed", "unknown"} == set(documents[0]["outcomes"])
    assert datetime.fromisoformat(documents[0]["started"]) <= datetime.fromisoformat(documents[0]["finished"])


@pytest.mark.parametrize(
    ("options", "table", "code"),
    [
        ((), "number\nx\n", 2),
        ((), "phone\n1\n", 2),
        (("--pace", "0"), f"number\n{A}\n", 2),
        (("--profile", "nobody"), f"number\n{A}\n", 10),
        (("--encoding", "nonsense"), f"number\n{A}\n", 2),
        (("--max-failures", "none"), f"number\n{A}\n", 2),
    ],
)
def test_json_is_one_object_also_when_it_fails_at_once(summary, signed_in, options, table, code):
    left, document = summary(*options, text=table)
    assert (code, code) == (left, document["error"]["exit_code"])


def test_json_is_one_object_also_for_a_dry_run(summary, signed_in):
    code, document = summary("--dry-run", rows=[A, B, A])
    assert (0, 3, 1, None) == (code, document["rows"], document["duplicates"], document["error"])


def test_results_in_csv_carry_all_columns_and_say_what_became_of_each_row(batch, signed_in, tmp_path):
    """In the order of the table, duplicates and bad rows with the others."""
    text = f'name,number,note\n"Ann, Dr.",{A},"two\nlines"\nBo,x,ü\nCy,{LOST},\nDi,{REFUSED},\nAnn,{A},again\n'
    file = tmp_path / "results.csv"
    assert 14 == batch("--skip-invalid", "--results", str(file), text=text).code
    with file.open(encoding="utf-8", newline="") as opened:
        lines = list(csv.DictReader(opened))
    assert ["placed", "invalid", "unknown", "not_placed", "placed"] == [line["outcome"] for line in lines]
    assert ["two\nlines", "ü", "", "", "again"] == [line["note"] for line in lines]
    assert ["Ann, Dr.", "Bo", "Cy", "Di", "Ann"] == [line["name"] for line in lines]
    assert [call.id for call in signed_in.calls if call.number == A] == [lines[0]["session_id"]]
    assert "rejected" == lines[3]["error_code"]
    assert [None] == list({line.get(None) for line in lines})


def test_results_in_json_lines_have_the_same_values(batch, evocall, signed_in, tmp_path):
    file = tmp_path / "results.jsonl"
    batch("--results", str(file), text=f"name,number\nAnn,{A}\nBo,{REFUSED}\n")
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [("Ann", A, "placed", 200), ("Bo", REFUSED, "not_placed", 400)] == [
        (line["name"], line["number"], line["outcome"], line["http_status"]) for line in lines
    ]
    history = {call["number"]: call["requested_at"] for call in json.loads(evocall("history", "--json").out)}
    assert history == {line["number"]: line["requested_at"] for line in lines}


@pytest.mark.parametrize(
    "fields",
    [
        [{"number": A, "id": 5, "tags": ["a", None], "vip": True, "note": None}],
        [{"number": A}, {"number": B, "only here": "x"}],
    ],
    ids=["values that are no text", "a column of a later row"],
)
def test_results_of_json_lines_carry_everything_along_untouched(batch, signed_in, path, tmp_path, fields, evocall):
    table, file = tmp_path / "calls.jsonl", tmp_path / "results.jsonl"
    table.write_text("".join(json.dumps(one) + "\n" for one in fields), encoding="utf-8")
    options = ("--campaign", "spring", "--pace", "100", "--yes", "--results", str(file))
    assert 0 == evocall("batch", str(table), *options).code
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert fields == [{name: line.get(name) for name in one} for one, line in zip(fields, lines, strict=True)]


def test_columns_with_the_names_of_results_keep_their_own(batch, signed_in, tmp_path):
    file = tmp_path / "results.csv"
    batch("--results", str(file), text=f"number,outcome\n{A},mine\n")
    with file.open(encoding="utf-8", newline="") as opened:
        (line,) = csv.DictReader(opened)
    assert ("mine", "placed") == (line["outcome"], line["evocall_outcome"])


@pytest.mark.parametrize(
    "name", ["results.csv", "results.txt", "missing/results.csv", f"results{'s' * 241}.csv", f"results{'s' * 300}.csv"]
)
def test_results_that_cannot_be_written_stop_the_batch_before_the_first_call(batch, signed_in, tmp_path, name):
    """Above all a file that is there already."""
    (tmp_path / "results.csv").write_text("mine")
    result = batch("--results", str(tmp_path / name), rows=[A])
    assert (2, [], "mine") == (result.code, signed_in.dials(), (tmp_path / "results.csv").read_text())
    assert name.partition("/")[0] in result.err


@pytest.fixture
def no_links(monkeypatch):
    """As on FAT and on many network drives."""

    def refuse(_source, _target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


def test_results_need_no_hard_links(batch, signed_in, tmp_path, no_links):
    file = tmp_path / "results.csv"
    assert 0 == batch("--results", str(file), rows=[A]).code
    assert f"{A},placed," in file.read_text()
    assert 0o600 == file.stat().st_mode & 0o777
    assert {file, tmp_path / "calls.csv"} == {found for found in tmp_path.iterdir() if found.is_file()}


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_results_are_not_written_over_a_file_that_has_come_since(batch, signed_in, started, tmp_path, request, links):
    """Exit 2 would say that no call was placed, so it is that of a batch with something left to do."""
    if not links:
        request.getfixturevalue("no_links")
    file = tmp_path / "results.csv"

    def answer(visit):
        visit.read()
        file.write_text("mine")
        visit.send(http("200 OK", b'{"id": "s1"}'))

    started(FaultServer(answer))
    result = batch("--results", str(file), rows=[A])
    assert (14, "mine") == (result.code, file.read_text())
    assert ["outcome  calls", "placed   1"] == result.out.splitlines()
    assert f"{file} cannot be written: File exists." in result.err
    assert "--results" in result.err.partition("hint: ")[2]


@pytest.mark.parametrize(("status", "code"), [("200 OK", "results"), ("401 Unauthorized", "wrong_login")])
def test_results_that_cannot_be_written_cost_no_summary(summary, signed_in, started, tmp_path, status, code):
    """And what stopped the campaign is not hidden by them."""
    directory = tmp_path / "results"
    directory.mkdir()

    def answer(visit):
        visit.read()
        directory.rmdir()
        visit.send(http(status))

    started(FaultServer(answer))
    exit_code, document = summary("--results", str(directory / "results.csv"), rows=[A])
    assert (14 if code == "results" else 4, code) == (exit_code, document["error"]["code"])
    assert (1, KEYS) == (sum(document["outcomes"].values()), set(document))


def test_max_failures_in_a_row_stop_the_campaign(summary, rung):
    """With the exit code of the last failure; what succeeds in between starts the count anew."""
    rows = [REFUSED, "+12125550140", A, "+12025550140", "+13125550140", "+13035550140", B, C]
    code, document = summary("--max-failures", "3", "--concurrency", "1", rows=rows)
    assert (11, "rejected", 5, 1) == (
        code,
        document["error"]["code"],
        document["outcomes"]["not_placed"],
        document["outcomes"]["placed"],
    )
    assert rows[:6] == list(rung())
    assert KEYS == set(document)


def test_a_refused_sign_in_stops_at_once(summary, signed_in, monkeypatch):
    """Before an account is locked by a thousand wrong passwords."""
    monkeypatch.setenv("EVOCALL_PASSWORD", "wrong")
    code, document = summary("--concurrency", "1", rows=[A, B, C])
    assert (4, "auth", 1) == (code, document["error"]["code"].replace("wrong_login", "auth"), len(signed_in.dials()))
    assert KEYS == set(document)


def test_a_session_with_cookies_that_runs_out_stops_no_campaign(summary, outcomes, config, signed_in, started):
    """Campaigns last for longer than sessions do: the refused request placed nothing, and is sent again."""
    config('[profiles.default]\nsign_in = "cookies"\n')
    session = answering(http("200 OK", b"{}", "Set-Cookie: ss-id=s;path=/"))
    placed, over = answering(http("200 OK", b'{"id": "s1"}')), answering(http("401 Unauthorized"))
    started(FaultServer(session, placed, over, session, placed))
    assert summary("--concurrency", "1", rows=[A, B, C])[0] == 0
    assert outcomes() == {A: "placed", B: "placed", C: "placed"}


def test_a_login_that_may_not_dial_stops_at_once(batch, signed_in, monkeypatch):
    monkeypatch.setenv("EVOCALL_USERNAME", signed_in.customer.username)
    monkeypatch.setenv("EVOCALL_PASSWORD", signed_in.customer.password)
    assert (6, 1) == (batch("--concurrency", "1", rows=[A, B, C]).code, len(signed_in.dials()))


def test_rows_outside_their_hours_are_left_under_no_wait(summary, rung):
    """Each at its own clock: it is night in New York while it is day in Tokyo."""
    hours = window("Asia/Tokyo", -3, 3)
    code, document = summary("--between", hours, "--no-wait", rows=[A, TOKYO, B])
    assert (14, 2, 1) == (code, document["waiting"], document["outcomes"]["placed"])
    assert {TOKYO: 1} == rung()
    assert 0 == summary("--between", "00:00-24:00")[0]
    assert {TOKYO: 1, A: 1, B: 1} == rung()


def test_a_service_that_is_busy_once_gets_the_row_again(summary, rung):
    code, document = summary(rows=["+18145550129", "+18145550153", A])
    assert (0, 3) == (code, document["outcomes"]["placed"])
    assert {"+18145550129": 2, "+18145550153": 2, A: 1} == rung()


def test_a_service_that_is_busy_slows_the_whole_campaign(summary, signed_in):
    """Nobody starts before the time that it asked for; the row after was due a second earlier."""
    busy = http("429 Too Many Requests", b"", "Retry-After: 2")
    placed = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}')
    moments = []

    def play(answer):
        def script(visit):
            visit.read()
            moments.append(time.monotonic())
            visit.send(answer)

        return script

    with FaultServer(play(busy), play(placed)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOCALL_BASE_URL", server.base_url)
        assert 0 == summary("--pace", "1", rows=[A, B])[0]
    assert 3 == len(moments)
    assert all(moment >= moments[0] + 2 for moment in moments[1:])


def test_a_service_that_is_always_busy_is_asked_three_times_a_row_at_its_pace(summary, signed_in, monkeypatch):
    """And --max-failures ends it, exit 7."""
    moments = []

    def busy(visit):
        visit.read()
        moments.append(time.monotonic())
        visit.send(http("429 Too Many Requests", b"", "Retry-After: 1"))

    with FaultServer(busy) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        code, document = summary("--max-failures", "1", "--concurrency", "1", rows=[A, B])
    assert (7, {"rate_limited": 1}, 3) == (code, document["errors"], len(moments))
    assert all(later >= earlier + 1 for earlier, later in pairwise(moments))


@pytest.mark.parametrize("pace", ["0", "-1", "nan", "inf"])
def test_a_pace_is_a_number_above_0(batch, signed_in, pace):
    assert (2, []) == (batch("--pace", pace, rows=[A]).code, signed_in.dials())


def test_a_connection_that_the_server_closes_while_idle_loses_no_call(batch, outcomes, signed_in, monkeypatch):
    """Between two calls of a slow campaign."""
    alive = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}').replace(b"Connection: close\r\n", b"")

    def close_soon(visit):
        visit.read()
        visit.send(alive)
        server.stopping.wait(0.2)

    with FaultServer(close_soon) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        assert 0 == batch("--pace", "1", rows=[A, B, C]).code
    assert {A: "placed", B: "placed", C: "placed"} == outcomes()
    assert 3 == len(server.posts)


def test_a_connection_that_the_server_closes_at_the_next_request_is_not_used_when_old(
    batch, outcomes, signed_in, monkeypatch
):
    """A request on it would leave, and nobody could say what became of it."""
    alive = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}').replace(b"Connection: close\r\n", b"")

    def close_when_asked_again(visit):
        visit.read()
        visit.send(alive)
        visit.peek()

    with FaultServer(close_when_asked_again) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        assert 0 == batch("--pace", "0.3", rows=[A, B]).code
    assert {A: "placed", B: "placed"} == outcomes()


@pytest.fixture
def deny_list(config):
    """The deny list of the profile, with a number in it that no row has."""
    path = config('[profiles.a.guard]\ndeny = "no.txt"\n').with_name("no.txt")
    path.write_text("+18145550199\n")
    return path


def denying(path, *numbers, answer=None):
    """A script that puts these numbers on the list while a call is under way."""

    def script(visit):
        visit.read()
        with path.open("a") as file:
            file.write("\n".join([*numbers, ""]))
        visit.send(answer or http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}'))

    return script


def test_rows_that_come_onto_the_deny_list_while_a_batch_runs_are_counted_and_told(
    evocall, path, deny_list, signed_in, started, journal
):
    """Each once, however often it stands in the table; and no next command is named, since it would dial nothing."""
    deny_list.write_text(f"{REFUSED}\n")
    path.write_text(f"number\n{A}\n{B}\n{REFUSED}\n{C}\n+1 814-555-0102\n+1 814-555-0100\n")
    server = started(FaultServer(denying(deny_list, B, C)))
    command = ("batch", str(path), "--campaign", "spring", "--pace", "100", "--yes", "--concurrency", "1", "--json")
    result = evocall(*command)
    document = json.loads(result.out)
    counts = ("rows", "denied", "duplicates", "to_dial")
    assert (14, [6, 3, 2, 3]) == (result.code, [document[name] for name in counts])
    assert ({"placed": 1}, {}) == ({k: n for k, n in document["outcomes"].items() if n}, document["errors"])
    assert 1 == len(server.posts)
    told = [line for line in result.err.splitlines() if line.startswith("evocall: row ")]
    assert ["row 4", "row 3", "row 5"] == [line[9:14] for line in told]
    assert all("deny list" in line for line in told)
    assert document["error"]["hint"] is None
    again = json.loads(evocall(*command).out)
    assert (2, 4, 0) == (again["placed_before"], again["denied"], again["to_dial"])
    assert again["error"]["hint"] is None


def test_a_batch_with_rows_left_to_dial_still_says_how_it_goes_on(summary, deny_list, signed_in, started):
    """Beside those that were denied meanwhile, which the next run counts, too."""
    started(FaultServer(denying(deny_list, B)))
    code, document = summary("--concurrency", "1", "--limit", "2", rows=[A, B, C, "+18145550103"])
    assert (14, 1, True) == (code, document["denied"], "goes on" in document["error"]["hint"])
    code, document = summary("--concurrency", "1", rows=None)
    assert (14, 1, 1) == (code, document["denied"], document["outcomes"]["placed"])
    assert document["error"]["hint"] is None


def test_a_row_that_is_denied_between_two_attempts_is_counted_as_denied_alone(summary, deny_list, signed_in, started):
    """And is no failure of the service that --max-failures counts."""
    busy = http("429 Too Many Requests", b"", "Retry-After: 0")
    server = started(FaultServer(denying(deny_list, A, answer=busy), denying(deny_list, A)))
    code, document = summary("--concurrency", "1", "--max-failures", "1", rows=[A, B])
    assert (14, 1, {}, 2) == (code, document["denied"], document["errors"], len(server.posts))
    assert {"placed": 1} == {name: number for name, number in document["outcomes"].items() if number}


def test_a_row_that_failed_before_its_number_was_denied_counts_as_not_placed_alone(
    summary, deny_list, signed_in, started
):
    """What became of it has been told already."""
    refused = http("400 Bad Request", b"{}")
    started(FaultServer(denying(deny_list, A, B, answer=refused)))
    code, document = summary("--concurrency", "1", rows=[A, B])
    assert (14, 1, {"rejected": 1}) == (code, document["denied"], document["errors"])


def test_the_table_of_a_batch_shows_who_was_denied_meanwhile(batch, deny_list, signed_in, started):
    started(FaultServer(denying(deny_list, B)))
    lines = [line.split() for line in batch("--concurrency", "1", rows=[A, B]).out.splitlines()]
    assert [["outcome", "calls"], ["placed", "1"], ["denied", "1"]] == lines


def test_an_unknown_row_that_is_denied_when_it_is_tried_again_is_counted_as_denied_alone(
    summary, deny_list, signed_in, started
):
    """It was to be dialled, and was not; what became of its earlier call is still not known."""
    started(FaultServer(answering(http("500 Oops"))))
    assert 14 == summary(rows=[A])[0]

    def none_found_then_busy(visit):
        if visit.read().method == "GET":
            visit.send(http("200 OK", b'{"items": [], "hasMorePages": false}'))
            return
        deny_list.write_text(f"{A}\n")
        visit.send(http("429 Too Many Requests", b"", "Retry-After: 0"))

    started(FaultServer(none_found_then_busy))
    code, document = summary("--retry-unknown")
    assert (14, 1, 1, 0) == (code, document["to_dial"], document["denied"], sum(document["outcomes"].values()))


@pytest.fixture
def meanwhile(monkeypatch):
    """Makes the next batch act once while it waits for its hours, which then come at once."""

    def arrange(act):
        later, run = [timedelta(0)], campaign.Run

        def wait(seconds):
            if not later[0]:
                monkeypatch.setattr(campaign, "Run", run)
                act()
            later[0] += timedelta(seconds=seconds)

        waiting = partial(run, now=lambda: datetime.now(UTC) + later[0], wait=wait)
        monkeypatch.setattr(campaign, "Run", waiting)

    return arrange


@pytest.fixture
def flows_rung(signed_in):
    """How often each flow was asked for at the service."""
    return lambda: Counter(json.loads(request.body)["flowId"] for request in signed_in.dials())


def test_a_name_stays_with_the_run_that_waits_for_its_hours(batch, meanwhile, signed_in, flows_rung):
    """Also when another run of the same command came and went in between."""
    hours, codes = window("America/New_York", 3, 6), []

    def come_and_go():
        codes.append(batch("--between", hours, "--no-wait").code)
        codes.append(batch("--flow", f"id:{signed_in.flows[1].id}").code)

    meanwhile(come_and_go)
    assert 0 == batch("--between", hours, rows=[A, B]).code
    assert ([14, 2], {signed_in.flows[0].id: 2}) == (codes, flows_rung())


def test_a_run_that_was_taken_for_dead_while_it_waited_rings_nobody_by_another_flow(
    summary, batch, meanwhile, signed_in, flows_rung, journal
):
    """It ends at the first row, with the exit code of a campaign that has changed before its start."""

    def take_over():
        shutil.rmtree(journal.parent / "running")
        assert 0 == batch("--flow", f"id:{signed_in.flows[1].id}", rows=[A]).code

    meanwhile(take_over)
    hours = window("America/New_York", 3, 6)
    code, document = summary("--between", hours, "--concurrency", "1", rows=[A, B, C])
    assert (2, "campaign_changed", {"campaign_changed": 1}) == (code, document["error"]["code"], document["errors"])
    assert {signed_in.flows[1].id: 1} == flows_rung()


def test_a_row_that_was_placed_before_its_number_was_denied_counts_as_placed_alone(
    summary, deny_list, signed_in, started
):
    """However the number is written."""
    started(FaultServer(denying(deny_list, A, B)))
    code, document = summary("--concurrency", "1", rows=["+1 814-555-0100", B])
    assert (14, 1, 1) == (code, document["denied"], document["outcomes"]["placed"])
