"""Campaigns that are stopped, killed, starved of disk or run side by side: no number rings twice, and none is lost."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from evocall import paths
from evocall.history import Filter
from evocall.journal import Journal
from evocall.pacing import MARGIN, FilePace
from tests import processes
from tests.faultserver import FaultServer, Visit, http

SEED = 20261123
FLOW = "665f1c0000000000000000a1"
PLACED = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}')
FLOWS = http("200 OK", json.dumps({"items": [{"id": FLOW, "name": "welcome"}], "hasMorePages": False}).encode())
# Fictional numbers whose last digits ask the sandbox for nothing in particular.
NUMBERS = [f"+1{area}555{last:04}" for area in (814, 212, 202, 312, 303, 404) for last in range(165, 190)]
both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Writes a table of so many numbers."""

    def write(count: int, name: str = "calls.csv", start: int = 0) -> str:
        path = tmp_path / name
        path.write_text("\n".join(["number", *NUMBERS[start : start + count], ""]), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def outcomes(home: Path) -> Callable[..., dict[str, str]]:
    """The outcome of each number, the last call of it counting."""

    def read(campaign: str = "spring", path: Path | None = None) -> dict[str, str]:
        with Journal(path or home / "evocall" / "journal.db") as journal:
            calls = list(journal.history.calls(Filter(campaign=campaign)))[::-1]
        return {record.call.number: str(record.call.outcome) for record in calls}

    return read


@dataclass
class Gate:
    """A server that answers a dial when it is told to."""

    server: FaultServer
    opened: Event


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A running one, and an environment that signs in to it."""
    opened = Event()

    def hold_then_place(visit: Visit) -> None:
        if visit.read().method == "GET":
            visit.send(FLOWS)
            return
        while not opened.wait(0.05) and not server.stopping.is_set():
            pass
        visit.send(PLACED)

    with FaultServer(hold_then_place) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
        monkeypatch.setenv("EVOCALL_FLOW", FLOW)
        yield Gate(server, opened)


def running(table: str, *options: str, campaign: str = "spring") -> AbstractContextManager[subprocess.Popen[str]]:
    """A campaign in a process of its own."""
    return processes.running("batch", table, "--campaign", campaign, "--yes", *options)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for it as long as the process lives."""
    while not happened() and process.poll() is None:
        time.sleep(0.002)


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send the signal, and give whatever it does to the calls in flight the time to do harm."""
    process.send_signal(number)
    time.sleep(0.3)


def asked_for(posts) -> Counter[str]:
    """How often each number was asked for."""
    return Counter(json.loads(post.body)["numberToDial"] for post in posts)


@both_signals
@pytest.mark.parametrize("flow", [FLOW, "welcome"], ids=["by its ID", "by its name"])
def test_a_signal_lets_calls_in_flight_finish_and_begins_no_more(table, gate, outcomes, flow, number):
    """Exit 130; what was in flight is placed and recorded, and the hint says how to go on."""
    with running(table(10), "--flow", flow, "--pace", "50", "--concurrency", "3") as process:
        wait_until(lambda: len(gate.server.posts) == 3, process)
        interrupt(process, number)
        gate.opened.set()
        out, err = process.communicate(timeout=60)
    assert (130, 3) == (process.returncode, len(gate.server.posts))
    assert ["placed"] * 3 == list(outcomes().values())
    assert ["outcome  calls", "placed   3"] == out.splitlines()
    assert "evocall: interrupted; the calls in flight were finished and recorded." in err
    assert re.search(r"hint: .*evocall batch .*calls\.csv --campaign spring", err)


def test_after_a_signal_the_same_command_goes_on(table, gate, outcomes):
    """Every number is rung once."""
    arguments = (table(8), "--pace", "50", "--concurrency", "2")
    with running(*arguments) as process:
        wait_until(lambda: len(gate.server.posts) == 2, process)
        interrupt(process, signal.SIGINT)
        gate.opened.set()
        process.communicate(timeout=60)
    with running(*arguments) as process:
        process.communicate(timeout=60)
    assert 0 == process.returncode
    assert dict.fromkeys(NUMBERS[:8], "placed") == outcomes()
    assert dict.fromkeys(NUMBERS[:8], 1) == asked_for(gate.server.posts)


def test_a_signal_while_waiting_for_the_next_slot_ends_it_at_once(table, gate, outcomes):
    """The slot is a hundred seconds away."""
    gate.opened.set()
    with running(table(3), "--pace", "0.01", "--json") as process:
        wait_until(lambda: len(gate.server.posts) == 1, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    document = json.loads(out)
    assert (130, "interrupted", 1) == (
        process.returncode,
        document["error"]["code"],
        document["outcomes"]["placed"],
    )
    assert ["placed"] == list(outcomes().values())


def test_a_signal_while_rows_wait_for_their_hours_ends_it_at_once(table, gate):
    """And before it, it says how many wait and until when."""
    hours = f"{time.strftime('%H:%M', time.gmtime(time.time() + 6 * 3600))}-" + time.strftime(
        "%H:%M", time.gmtime(time.time() + 7 * 3600)
    )
    path = Path(table(0))
    path.write_text("number\n+442079460958\n+442079460959\n")
    with running(str(path), "--between", hours) as process:
        said = next(line for line in process.stderr if "wait for" in line)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert re.fullmatch(r"evocall: 2 rows wait for their hours, the first until \d\d:\d\d UTC\.\n", said)
    assert (130, []) == (process.returncode, gate.server.posts)


def test_a_second_signal_ends_it_at_once(table, gate, outcomes):
    """The calls in flight may ring, so they are unknown; the next run dials the others only."""
    arguments = (table(5), "--pace", "50", "--concurrency", "2")
    with running(*arguments) as process:
        wait_until(lambda: len(gate.server.posts) == 2, process)
        # Two that arrive as one count as one, so there may be a third.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        _, err = process.communicate(timeout=60)
    assert (130, 2) == (process.returncode, len(gate.server.posts))
    assert "Traceback" not in err
    assert dict.fromkeys(NUMBERS[:2], "unknown") == outcomes()
    gate.opened.set()
    with running(*arguments) as process:
        process.communicate(timeout=60)
    assert 14 == process.returncode
    assert dict.fromkeys(NUMBERS[:5], 1) == asked_for(gate.server.posts)


def test_results_are_written_after_an_interruption_too(table, gate, tmp_path):
    """With a line for every row."""
    file = tmp_path / "results.jsonl"
    with running(table(4), "--pace", "50", "--concurrency", "1", "--results", str(file)) as process:
        wait_until(lambda: len(gate.server.posts) == 1, process)
        interrupt(process, signal.SIGINT)
        gate.opened.set()
        process.communicate(timeout=60)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert NUMBERS[:4] == [line["number"] for line in lines]
    assert ["placed", "not_dialled", "not_dialled", "not_dialled"] == [line["outcome"] for line in lines]


def test_a_call_that_was_answered_is_on_record_before_the_next_one(table, gate, outcomes):
    """Killed while it waits for a slot or for hours, a campaign leaves nothing unknown that is known."""
    gate.opened.set()
    with running(table(2), "--pace", "0.01") as process:
        wait_until(lambda: len(gate.server.posts) == 1, process)
        deadline = time.monotonic() + 60
        while outcomes() != {NUMBERS[0]: "placed"} and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert {NUMBERS[0]: "placed"} == outcomes()


def test_a_campaign_killed_ten_times_rings_every_number_once(table, signed_in, outcomes):
    """At seeded random moments; what was in flight then is unknown, everything else is placed."""
    chance = random.Random(SEED)
    count, crew = len(NUMBERS), 3
    arguments = (table(count), "--pace", "100", "--concurrency", str(crew))
    for _ in range(10):
        goal = len(signed_in.requests) + chance.randint(1, 8)
        with running(*arguments) as process:
            wait_until(lambda goal=goal: len(signed_in.requests) >= goal, process)
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
            process.communicate(timeout=60)
        assert -signal.SIGKILL == process.returncode
    with running(*arguments) as process:
        process.communicate(timeout=60)
    known = outcomes()
    unknown = {number for number, outcome in known.items() if outcome == "unknown"}
    rung = asked_for(signed_in.dials())
    assert (14 if unknown else 0) == process.returncode
    assert set(NUMBERS) == set(known)
    assert {"placed"} == set(known.values()) - {"unknown"}
    assert len(unknown) <= 10 * crew
    assert 1 == max(rung.values())
    assert set(NUMBERS) - set(rung) <= unknown


def test_processes_of_one_profile_keep_one_pace(table, signed_in):
    """Four campaigns at once are no faster than one, since the carrier counts for the account."""
    per_second, each = 20, 12
    pace = FilePace(paths.journal_file().parent / "pace" / "default", per_second)
    pace.hold(1.5)
    first = pace.take()
    pace.close()
    campaigns = [
        running(table(each, f"{n}.csv", n * each), "--pace", str(per_second), campaign=f"campaign {n}")
        for n in range(4)
    ]
    processes = [campaign.__enter__() for campaign in campaigns]
    for process in processes:
        process.communicate(timeout=60)
    for campaign in campaigns:
        campaign.__exit__(None, None, None)
    arrivals = sorted(dial.at for dial in signed_in.dials())
    assert [0] * 4 == [process.returncode for process in processes]
    assert dict.fromkeys(NUMBERS[: 4 * each], 1) == asked_for(signed_in.dials())
    early = [n for n, at in enumerate(arrivals, 1) if at < first + n * MARGIN / per_second - 0.001]
    assert [] == early


def test_two_processes_with_one_campaign_ring_every_number_once(table, signed_in, outcomes):
    """Both end well, and what one has placed the other counts as placed."""
    arguments = (table(30), "--pace", "40", "--json")
    with running(*arguments) as one, running(*arguments) as other:
        documents = [json.loads(process.communicate(timeout=60)[0]) for process in (one, other)]
    assert [0, 0] == [one.returncode, other.returncode]
    assert dict.fromkeys(NUMBERS[:30], 1) == asked_for(signed_in.dials())
    assert dict.fromkeys(NUMBERS[:30], "placed") == outcomes()
    assert 30 == sum(document["outcomes"]["placed"] for document in documents)


@pytest.fixture
def disk(tmp_path: Path, missing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of a megabyte with the home of evocall on it."""
    root = tmp_path / "disk"
    root.mkdir()
    if sys.platform != "linux":
        missing(f"needs to mount a small disk: this is {sys.platform}")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "evocall-test", str(root)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"needs to mount a small disk, as root on Linux: {done.stderr.strip()}")
    monkeypatch.setenv("EVOCALL_HOME", str(root / "evocall"))
    yield root
    subprocess.run(["umount", str(root)], check=True)


def fill(root: Path) -> None:
    """Leave no byte free."""
    with (root / "filling").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_a_disk_that_fills_up_in_the_middle_stops_the_campaign(table, disk, outcomes, monkeypatch):
    """What cannot be recorded is not dialled; with room again it goes on, and the call that was answered is unknown."""
    answered = iter(range(100))

    def script(visit: Visit) -> None:
        visit.read()
        if next(answered) == 2:
            fill(disk)
        visit.send(PLACED)

    with FaultServer(script) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
        monkeypatch.setenv("EVOCALL_FLOW", FLOW)
        arguments = (table(8), "--pace", "50", "--concurrency", "1")
        with running(*arguments, "--json") as process:
            out, err = process.communicate(timeout=60)
        assert (10, 3) == (process.returncode, len(server.posts))
        assert "journal" == json.loads(out)["error"]["code"]
        assert "Make room on the disk." in err
        (disk / "filling").unlink()
        with running(*arguments) as process:
            _, err = process.communicate(timeout=60)
        assert (14, 8) == (process.returncode, len(server.posts)), err
        assert dict.fromkeys(NUMBERS[:8], 1) == asked_for(server.posts)
    known = outcomes(path=disk / "evocall" / "journal.db")
    assert dict.fromkeys(NUMBERS[:8], "placed") | {NUMBERS[2]: "unknown"} == known


def test_on_a_terminal_it_asks_and_no_means_no(tmp_path, sandbox):
    """Through a real terminal; whoever presses Enter has not agreed."""
    (tmp_path / "rows.csv").write_text("number\n+18145550100\n", encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "EVOCALL_HOME": str(tmp_path / "evocall"),
        "EVOCALL_BASE_URL": sandbox.base_url,
        "EVOCALL_USERNAME": sandbox.manager.username,
        "EVOCALL_PASSWORD": sandbox.manager.password,
        "EVOCALL_FLOW": FLOW,
    }
    command = [sys.executable, "-m", "evocall", "batch", "rows.csv", "--campaign", "c"]
    for answer, code, dialled in ((b"\n", 130, 0), (b"y\n", 0, 1)):
        ours, theirs = os.openpty()
        with subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            os.write(ours, answer)
            _, err = process.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert (process.returncode, len(sandbox.dials())) == (code, dialled), err
        assert b"Dial?" in err
        assert (b"nothing was dialled" in err) == (dialled == 0)
