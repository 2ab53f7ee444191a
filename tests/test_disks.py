"""Disks that are full, read-only or damaged: without a journal nothing is dialled, and nothing dialled is forgotten."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evocall.history import Filter
from evocall.journal import Journal
from tests.faultserver import FaultServer, Visit, answering, http, resetting

NUMBER = "+18145550100"
FLOW = "665f1c0000000000000000a1"
PLACED = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}')
FAILS = answering(http("500 Internal Server Error"))
SHOWS_NOTHING = answering(http("200 OK", b'{"items": []}'))
TELLS_NOBODY = answering(http("403 Forbidden"))
PAGE = 4096


class Disk:
    """A file system of a quarter of a megabyte."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.root / "filling").open("ab", buffering=0) as file:
            try:
                while file.write(bytes(PAGE)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """Make room again."""
        (self.root / "filling").unlink()

    def forbid_writing(self) -> None:
        """Make it read-only."""
        mount("-o", "remount,ro", str(self.root))


def mount(*arguments: str) -> str | None:
    """Why it could not be mounted, None when it was."""
    if sys.platform != "linux":
        return f"this is {sys.platform}"
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    return done.stderr.strip() or f"mount: {done.returncode}" if done.returncode else None


@pytest.fixture
def disk(tmp_path: Path, missing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A small disk of its own, with the home of evocall on it."""
    root = tmp_path / "disk"
    root.mkdir()
    refusal = mount("-t", "tmpfs", "-o", "size=256k,mode=700", "evocall-test", str(root))
    if refusal is not None:
        missing(f"needs to mount a small disk, as root on Linux: {refusal}")
    monkeypatch.setenv("EVOCALL_HOME", str(root / "evocall"))
    yield Disk(root)
    subprocess.run(["umount", str(root)], check=True)


@pytest.fixture
def journal(home: Path) -> Path:
    """Where the journal is."""
    return home / "evocall" / "journal.db"


@pytest.fixture
def dial(evocall) -> Callable[[str], tuple[int, str, str]]:
    """Exit code, outcome and errors of a dial with a key."""

    def run(key: str) -> tuple[int, str, str]:
        result = evocall("dial", NUMBER, "--once", key, "--json")
        return result.code, json.loads(result.out)["outcome"], result.err

    return run


@pytest.fixture
def sign_in_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Names the server to dial at."""
    monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
    monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
    monkeypatch.setenv("EVOCALL_FLOW", FLOW)
    return lambda base_url: monkeypatch.setenv("EVOCALL_BASE_URL", base_url)


def outcomes(path: Path) -> list[str]:
    """The outcomes in the history, oldest first."""
    with Journal(path) as opened:
        return [str(record.call.outcome) for record in opened.history.calls(Filter())][::-1]


def test_a_full_disk_stops_a_dial_before_the_request(disk, signed_in, dial):
    """The journal is there, but has no room; with room again, the same command dials."""
    dial("first")
    disk.fill()
    code, outcome, err = dial("second")
    assert (10, "not_placed") == (code, outcome)
    assert "hint: Make room on the disk." in err
    assert 1 == len(signed_in.dials())
    disk.free()
    assert (0, "placed", "") == dial("second")


def test_a_full_disk_stops_the_first_dial_of_all(disk, signed_in, dial):
    """There is no journal yet and no room for one; what is left of the try is no hindrance later."""
    disk.fill()
    code, outcome, err = dial("first")
    assert (10, "not_placed") == (code, outcome)
    assert "hint: Make room on the disk." in err
    assert [] == signed_in.dials()
    disk.free()
    assert (0, "placed", "") == dial("first")


def test_a_disk_that_fills_up_during_the_call_costs_the_record_but_not_the_truth(disk, dial, sign_in_to):
    """The call was placed: exit 0 with a warning. The journal can only say unknown, so the key stays used up."""

    def fill_and_answer(visit: Visit) -> None:
        visit.read()
        disk.fill()
        visit.send(PLACED)

    with FaultServer(fill_and_answer, SHOWS_NOTHING) as server:
        sign_in_to(server.base_url)
        code, outcome, err = dial("key")
        assert (0, "placed") == (code, outcome)
        assert err.startswith("evocall: warning: the outcome could not be recorded")
        disk.free()
        code, outcome, _ = dial("key")
        assert (9, "unknown") == (code, outcome)
    assert 1 == len(server.posts)


@pytest.mark.parametrize("fills_up_for", ["the dial", "the next use of its key"])
def test_a_disk_that_fills_up_while_the_service_is_asked_costs_no_finding(disk, dial, sign_in_to, fills_up_for):
    """The answer got lost, and the service shows the call: exit 0 with a warning, and the key stays used up."""

    def fill_and_show(visit: Visit) -> None:
        visit.read()
        disk.fill()
        now = f"/Date({time.time() * 1000:.0f})/"
        session = {"id": "s1", "toAddress": NUMBER, "dateCreated": now}
        visit.send(http("200 OK", json.dumps({"items": [session], "hasMorePages": False}).encode()))

    lost = [resetting] if fills_up_for == "the dial" else [resetting, TELLS_NOBODY]
    with FaultServer(*lost, fill_and_show, TELLS_NOBODY) as server:
        sign_in_to(server.base_url)
        if fills_up_for != "the dial":
            assert (9, "unknown") == dial("key")[:2]
        code, outcome, err = dial("key")
        assert (0, "placed" if fills_up_for == "the dial" else "already_placed") == (code, outcome)
        assert "evocall: warning: the outcome could not be recorded" in err
        disk.free()
        assert (9, "unknown") == dial("key")[:2]
    assert 1 == len(server.posts)


def test_a_read_only_directory_stops_a_dial_before_the_request(disk, signed_in, dial):
    """There is a journal that could be read; what cannot be recorded is not dialled."""
    dial("first")
    disk.forbid_writing()
    code, outcome, err = dial("second")
    assert (10, "not_placed") == (code, outcome)
    assert "hint: The directory must be writable; EVOCALL_HOME can name another one." in err
    assert 1 == len(signed_in.dials())


def test_a_read_only_directory_stops_the_first_dial_of_all(disk, signed_in, dial):
    """Neither the directory nor the journal can be made."""
    disk.forbid_writing()
    code, outcome, err = dial("first")
    assert (10, "not_placed") == (code, outcome)
    assert "hint: The directory must be writable; EVOCALL_HOME can name another one." in err
    assert [] == signed_in.dials()


def test_a_journal_of_random_bytes_stops_a_dial_and_is_not_touched(journal, signed_in, dial):
    """It could be anybody's file; the hint is the command that moves it away, after which dialling works."""
    journal.parent.mkdir()
    damaged = random.Random(1).randbytes(5000)
    journal.write_bytes(damaged)
    assert_damage_stops(dial, journal)
    assert damaged == journal.read_bytes()
    assert [] == signed_in.dials()
    journal.rename(journal.with_name("journal.db.damaged"))
    assert (0, "placed", "") == dial("first")


@pytest.mark.parametrize("kept", [0.5, 0.8], ids=["half", "most"])
def test_a_truncated_journal_stops_a_dial(journal, signed_in, dial, kept):
    """What was cut off may have held the key."""
    fill_journal(dial, journal)
    content = journal.read_bytes()
    journal.write_bytes(content[: int(len(content) * kept)])
    assert_damage_stops(dial, journal)
    assert 1 == len(signed_in.dials())


def test_a_damaged_page_of_the_journal_never_makes_a_key_usable_again(journal, signed_in, dial):
    """Whichever page is overwritten with noise, the second dial for the key stops or knows of the first."""
    fill_journal(dial, journal)
    content = journal.read_bytes()
    noise = random.Random(2).randbytes(PAGE)
    seen = []
    for start in range(0, len(content), PAGE):
        journal.write_bytes(content[:start] + noise + content[start + PAGE :])
        code, outcome, err = dial("key")
        seen.append((start // PAGE, code, outcome, "Traceback" in err))
    allowed = {(10, "not_placed", False), (0, "already_placed", False)}
    assert [] == [entry for entry in seen if entry[1:] not in allowed]
    assert 10 in {code for _, code, *_ in seen}
    assert 1 == len(signed_in.dials())


def test_a_directory_in_the_place_of_the_journal_stops_a_dial(journal, signed_in, dial):
    """The message names the path and says what to do."""
    journal.mkdir(parents=True)
    code, outcome, err = dial("first")
    assert (10, "not_placed") == (code, outcome)
    assert f"The journal {journal} cannot be used" in err
    assert "hint: " in err
    assert [] == signed_in.dials()


def test_a_file_in_the_place_of_the_home_stops_a_dial(journal, signed_in, dial):
    """EVOCALL_HOME names a file by mistake."""
    journal.parent.write_text("not a directory\n", encoding="utf-8")
    code, outcome, err = dial("first")
    assert (10, "not_placed") == (code, outcome)
    assert str(journal.parent) in err
    assert "hint: " in err
    assert [] == signed_in.dials()


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full", "| true"])
@pytest.mark.parametrize("form", ["", "--json", "--verbose"])
def test_an_output_that_nobody_can_read_loses_no_record(journal, signed_in, dial, redirection, form):
    """The call was placed, is on record, and the next run with the key reports it."""
    by_shell(f"dial {NUMBER} --once key {form} {redirection}")
    assert ["placed"] == outcomes(journal)
    assert (0, "already_placed", "") == dial("key")
    assert 1 == len(signed_in.dials())


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize("form", ["", "--json", "--verbose"])
def test_a_placed_call_is_no_failure_when_its_receipt_cannot_be_written(signed_in, redirection, form):
    """Exit 0 says that it was placed; any other code would make a script dial again."""
    done = by_shell(f"dial {NUMBER} --once key {form} {redirection}")
    assert 1 == len(signed_in.dials())
    assert (0, False) == (done.returncode, "Traceback" in done.stderr)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize("form", ["", "--json", "--verbose"])
def test_an_unknown_outcome_keeps_its_exit_code_when_nothing_can_be_written(sign_in_to, redirection, form):
    """Exit 9 is the only thing that a script without output still sees."""
    with FaultServer(FAILS, TELLS_NOBODY) as server:
        sign_in_to(server.base_url)
        done = by_shell(f"dial {NUMBER} --once key {form} {redirection}")
    assert 1 == len(server.posts)
    assert 9 == done.returncode


@pytest.mark.parametrize(
    "command",
    [
        *("history", "history --json", "flows", f"check {NUMBER}", "doctor --json", "completion bash", "--version"),
        *("-h", f"dial {NUMBER} --dry-run --json", "profile list --json", "profile show"),
    ],
)
@pytest.mark.usefixtures("signed_in")
def test_a_command_that_only_tells_something_fails_when_nobody_hears_it(dial, command):
    """Exit 0 with half a document would make a script take it for whole."""
    dial("key")
    done = by_shell(f"{command} > /dev/full")
    assert (done.returncode, "output could not be written" in done.stderr) == (10, True), done.stderr
    assert by_shell(f"{command} | true").returncode == 0


def test_a_rehearsed_batch_fails_when_nobody_hears_of_it(signed_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.csv").write_text(f"number\n{NUMBER}\n", encoding="utf-8")
    done = by_shell("batch calls.csv --campaign c --dry-run --json > /dev/full")
    assert (10, []) == (done.returncode, signed_in.dials())


@pytest.mark.parametrize("command", ["hangup 0001", "reconcile", "batch calls.csv --campaign c --yes"])
def test_what_was_done_counts_when_the_output_cannot_be_written(signed_in, dial, tmp_path, monkeypatch, command):
    dial("key")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.csv").write_text(f"number\n{NUMBER}\n", encoding="utf-8")
    done = by_shell(f"{command} > /dev/full")
    assert (0, "defect" in done.stderr) == (done.returncode, False), done.stderr


@pytest.mark.parametrize("options", ["--json", "--once list", "--once=show", "--once --dry-run"])
def test_a_receipt_that_is_lost_is_not_lost_in_silence(signed_in, options):
    """Whatever the key is called, a call that was placed is none that a script may dial again."""
    done = by_shell(f"dial {NUMBER} {options} > /dev/full")
    assert (1, 0) == (len(signed_in.dials()), done.returncode)
    assert "warning: The output could not be written" in done.stderr


def assert_damage_stops(dial: Callable[[str], tuple[int, str, str]], journal: Path) -> None:
    """Exit 10, and the hint names the command that moves the journal away."""
    code, outcome, err = dial("key")
    assert (10, "not_placed") == (code, outcome)
    assert f"hint: Move it away (mv {journal} {journal}.damaged)" in err


def fill_journal(dial: Callable[[str], tuple[int, str, str]], journal: Path) -> None:
    """One call for the key, then as many copies of it under other keys as make the journal some 40 pages long."""
    dial("key")
    with sqlite3.connect(journal) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(calls)")]
        copied = ", ".join({"id": "id + n", "once_key": "'other ' || n"}.get(name, name) for name in columns)
        connection.execute(
            "WITH RECURSIVE counted(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 100) "
            f"INSERT INTO calls SELECT {copied} FROM calls, counted"
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def by_shell(command: str) -> subprocess.CompletedProcess[str]:
    """The command line as a shell runs it, with its redirections."""
    return subprocess.run(
        ["sh", "-c", f'"$0" -m evocall {command}', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
