"""Whatever kills a dial, and at whatever moment: no second ring, and no record that says less than what happened."""

import contextlib
import inspect
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from phonenumbers import is_valid_number, parse

from evocall.history import Filter
from evocall.journal import Journal
from evocall.sandbox import Sandbox
from tests.faultserver import FaultServer, answering, http

SEED = 20261123
UNDISTURBED = 0
PLACED = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}')


def trap(files: set[str], nth: int, number: int, where: int) -> Callable[[], int]:
    """Sends this process a signal when it executes the nth line of these files; returns what counts the lines."""
    lines = 0

    def each(frame: FrameType, event: str, _: object) -> object:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == nth:
                code = frame.f_code
                name = code.co_filename.rpartition("/")[2]
                os.write(where, f"{name}:{frame.f_lineno} in {code.co_qualname}".encode())
                os.kill(os.getpid(), number)
        return each

    sys.settrace(lambda frame, *_: each if frame.f_code.co_filename in files else None)
    return lambda: lines


def zygote() -> None:
    """Has evocall loaded and forks a child for each order, in a process without threads.

    An order names the arguments, the home, the files for what happens, and which line of evocall's core, or of its
    connections, counted as they are executed, sends the child which signal. The answer is the child's exit status.
    """
    import socket

    from evocall import __main__, cli, connections, journal, placing, service, settling, transport

    core = {module.__file__ for module in (placing, journal, service, settling, transport, connections)}
    connected = {module.__file__ for module in (socket, connections)}
    settling.PAUSES = (0.0,)
    sys.unraisablehook = __main__.unheard

    def perform(order: dict[str, Any]) -> int:
        os.environ["EVOCALL_HOME"] = order["home"]
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{order['files']}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        where = os.open(f"{order['files']}.where", os.O_WRONLY | os.O_CREAT)
        count = trap(connected if order["connected"] else core, order["line"], order["signal"], where)
        try:
            cli.main(order["arguments"])
        except SystemExit as left:
            return int(left.code or 0)
        except BaseException:  # noqa: BLE001 - as the interpreter would
            traceback.print_exc()
            return 1
        finally:
            sys.settrace(None)
            if not 0 < order["line"] <= count():
                os.write(where, str(count()).encode())

    # A first command loads what commands load when they run.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        cli.main(["dial", "+18145550100", "--dry-run"])
    for text in sys.stdin:
        child = os.fork()
        if not child:
            code = perform(json.loads(text))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


SOURCE = f"""
import contextlib, io, json, os, sys, traceback
from collections.abc import Callable
from types import FrameType
from typing import Any
{inspect.getsource(trap)}
{inspect.getsource(zygote)}
zygote()
"""


@dataclass(frozen=True)
class Run:
    """What one process left behind: `where` is the line that the signal hit, else how many lines it ran through."""

    code: int
    out: str
    err: str
    where: str

    @property
    def call(self) -> dict[str, Any]:
        """Its one JSON document."""
        return json.loads(self.out)


@dataclass
class Zygote:
    """The process that forks the dials, and the counter that names their files."""

    process: subprocess.Popen[str]
    directory: Path
    home: Path
    runs: int = field(default=0)

    def dial(
        self,
        number: str,
        *options: str,
        line: int = 0,
        with_signal: int = UNDISTURBED,
        home: Path | None = None,
        connected: bool = False,
    ) -> Run:
        """One dial in a child of its own, to its end or to that line of the core or of its connections."""
        self.runs += 1
        files = self.directory / str(self.runs)
        arguments = ["dial", number, "--json", *options]
        order = {"arguments": arguments, "home": str(home or self.home), "files": str(files), "connected": connected}
        self.process.stdin.write(json.dumps({**order, "line": line, "signal": int(with_signal)}) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return Run(
            code, *(files.with_suffix(f".{name}").read_text(encoding="utf-8") for name in ("out", "err", "where"))
        )

    def lines(self, number: str) -> int:
        """How many lines of the core an undisturbed dial to that number runs through, once there is a journal."""
        self.dial("+18145550108", "--once", "makes the journal")
        return int(self.dial(number, "--once", f"counted for {number}").where)


@pytest.fixture
def forked(signed_in: Sandbox, tmp_path: Path) -> Iterator[Zygote]:
    """A zygote that is signed in to the sandbox."""
    directory = tmp_path / "runs"
    directory.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SOURCE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Zygote(process, directory, Path(os.environ["EVOCALL_HOME"]))
        process.stdin.close()


@pytest.fixture
def states(home: Path) -> Callable[..., list[str]]:
    """What the history says of the calls to a number, oldest first."""

    def read(number: str, directory: Path | None = None) -> list[str]:
        with Journal((directory or home / "evocall") / "journal.db") as journal:
            return [str(record.call.outcome) for record in journal.history.calls(Filter(number=number))][::-1]

    return read


def fictional(last: str) -> Iterator[str]:
    """Numbers that end in those digits, of one area code after the other."""
    for area in range(201, 990):
        number = f"+1{area}555{last}"
        if is_valid_number(parse(number)):
            yield number


def moments(count: int, lines: int) -> list[int]:
    """That many lines, one from each stretch of the whole run."""
    chance = random.Random(SEED)
    return [1 + int((n + chance.random()) * lines / count) for n in range(count)]


def settle(forked: Zygote) -> None:
    """One more dial; when it has its answer, what was sent before it has been read."""
    assert forked.dial("+18145550109", "--once", "the last").code == 0


def session(sandbox: Sandbox, number: str) -> list[str]:
    """The sessions of the calls that ring that number."""
    return [call.id for call in sandbox.calls if call.number == number]


def test_a_dial_killed_at_any_line_is_never_dialled_twice_for_its_key(forked, signed_in, states):
    """The second run places it, knows that it was placed, or says that nobody knows; the journal says the same."""
    numbers = fictional("0100")
    runs = []
    for line in moments(100, forked.lines(next(numbers))):
        number = next(numbers)
        first = forked.dial(number, "--once", number, line=line, with_signal=signal.SIGKILL)
        runs.append((number, first, forked.dial(number, "--once", number)))
    settle(forked)
    wrong = []
    for number, first, second in runs:
        rings = session(signed_in, number)
        actual = (second.code, second.call["session_id"], len(signed_in.dials(number)), states(number))
        expected = {
            "placed": (0, *rings, 1, ["placed"]),
            "already_placed": (0, *rings, 1, ["placed"]),
            "unknown": (9, None, len(rings), ["unknown"]),
        }[second.call["outcome"]]
        if expected != actual or len(rings) > 1:
            wrong.append((first.where, second.call["outcome"], expected, actual))
    assert [] == wrong
    assert {"placed", "already_placed", "unknown"} == {second.call["outcome"] for *_, second in runs}
    assert {-signal.SIGKILL} == {first.code for _, first, _ in runs}


def test_a_dial_killed_while_the_service_fails_after_placing_is_found_by_the_next_one(forked, signed_in, states):
    """Answer 500, call rings: whoever finds it says so, and before it was sent there is nothing to find."""
    numbers = fictional("0151")
    runs = []
    for line in moments(30, forked.lines(next(numbers))):
        number = next(numbers)
        first = forked.dial(number, "--once", number, line=line, with_signal=signal.SIGKILL)
        runs.append((number, first, forked.dial(number, "--once", number)))
    settle(forked)
    wrong = []
    for number, first, second in runs:
        rings = session(signed_in, number)
        actual = (second.code, second.call["session_id"], len(signed_in.dials(number)), states(number))
        expected = {
            "placed": (0, *rings, 1, ["placed"]),
            "already_placed": (0, *rings, 1, ["placed"]),
            "unknown": (9, None, len(rings), ["unknown"]),
        }[second.call["outcome"]]
        if expected != actual or len(rings) > 1:
            wrong.append((first.where, second.call["outcome"], expected, actual))
    assert [] == wrong
    assert {"placed", "already_placed", "unknown"} == {second.call["outcome"] for *_, second in runs}


def test_a_dial_killed_while_the_service_fails_without_placing_stays_unknown(forked, signed_in, states):
    """Answer 500, nothing rings: whether killed before or after, there is one POST and nobody claims to know."""
    numbers = fictional("0150")
    runs = []
    for line in moments(30, forked.lines(next(numbers))):
        number = next(numbers)
        first = forked.dial(number, "--once", number, line=line, with_signal=signal.SIGKILL)
        runs.append((number, first, forked.dial(number, "--once", number)))
    settle(forked)
    wrong = []
    for number, first, second in runs:
        actual = (second.code, second.call["outcome"], states(number), len(signed_in.dials(number)) <= 1)
        if actual != (9, "unknown", ["unknown"], True):
            wrong.append((first.where, actual))
    assert [] == wrong


def test_a_dial_killed_around_two_attempts_rings_once_at_most(forked, signed_in, states):
    """The first attempt gets a 429, the second rings: what the history says last is what happened, or unknown."""
    numbers = fictional("0129")
    runs = []
    for line in moments(16, forked.lines(next(numbers))):
        number = next(numbers)
        first = forked.dial(number, "--once", number, line=line, with_signal=signal.SIGKILL)
        runs.append((number, first, forked.dial(number, "--once", number)))
    settle(forked)
    wrong = []
    for number, first, second in runs:
        rings = session(signed_in, number)
        actual = (second.code, second.call["session_id"], states(number)[-1], len(rings))
        expected = {
            "placed": (0, *rings, "placed", 1),
            "already_placed": (0, *rings, "placed", 1),
            "unknown": (9, None, "unknown", min(len(rings), 1)),
        }[second.call["outcome"]]
        if expected != actual:
            wrong.append((first.where, second.call["outcome"], expected, actual))
    assert [] == wrong


def test_a_dial_killed_while_it_waits_for_its_second_attempt_is_dialled_by_the_next_run(
    evocall, signed_in, monkeypatch, states
):
    """The service had refused the first attempt, so the history says not placed, and the key is free."""
    with FaultServer(answering(http("429 Too Many Requests", b"", "Retry-After: 30")), answering(PLACED)) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        with subprocess.Popen(dial_by_itself("+18145550100", "key"), stderr=subprocess.PIPE, text=True) as process:
            assert "Trying again in 30 s." in process.stderr.readline()
            process.kill()
        assert ["not_placed"] == states("+18145550100")
        second = evocall("dial", "+18145550100", "--once", "key", "--json")
    assert (0, "placed", 2) == (second.code, json.loads(second.out)["outcome"], len(server.posts))
    assert ["not_placed", "placed"] == states("+18145550100")


def test_a_dial_killed_while_it_makes_the_journal_leaves_one_that_works(forked, signed_in, tmp_path, states):
    """A half-made journal holds nobody up: the next run makes the rest of it and dials, unless it may have rung."""
    numbers = fictional("0101")
    lines = int(forked.dial(next(numbers), "--once", "counted", home=tmp_path / "counted").where)
    runs = []
    for line in moments(24, lines):
        number, home = next(numbers), tmp_path / f"killed at {line}"
        first = forked.dial(number, "--once", "key", line=line, with_signal=signal.SIGKILL, home=home)
        runs.append((number, home, first, forked.dial(number, "--once", "key", home=home)))
    settle(forked)
    wrong = []
    for number, home, first, second in runs:
        outcome = second.call["outcome"]
        actual = (second.code, states(number, home), len(signed_in.dials(number)) <= 1)
        expected = (9, ["unknown"], True) if outcome == "unknown" else (0, ["placed"], True)
        if expected != actual:
            wrong.append((first.where, outcome, expected, actual, second.err))
    assert [] == wrong


def test_a_killed_dial_without_a_key_holds_back_the_next_one_when_it_may_have_rung(forked, signed_in, states):
    """Every POST that arrived is on record as placed, or else the second dial refused with exit 9."""
    numbers = fictional("0102")
    runs = []
    for line in moments(40, forked.lines(next(numbers))):
        number = next(numbers)
        first = forked.dial(number, line=line, with_signal=signal.SIGKILL)
        runs.append((number, first, forked.dial(number)))
    settle(forked)
    wrong = []
    for number, first, second in runs:
        posts, recorded = len(signed_in.dials(number)), states(number)
        actual = (second.code, second.call["outcome"], recorded)
        held_back = (9, "unknown", ["unknown"])
        expected = held_back if "unknown" in recorded else (0, "placed", ["placed"] * posts)
        if expected != actual or posts > len(recorded):
            wrong.append((first.where, posts, expected, actual))
    assert [] == wrong
    assert {0, 9} == {second.code for *_, second in runs}


def test_a_dial_killed_after_any_time_is_never_dialled_twice_for_its_key(forked, signed_in, states):
    """Whole processes, from the interpreter's start to its end."""
    numbers = fictional("0103")
    chance = random.Random(SEED)
    before = time.monotonic()
    subprocess.run(dial_by_itself(next(numbers), "the first"), check=True, capture_output=True)
    longest = max(0.4, 1.2 * (time.monotonic() - before))
    runs = []
    for _ in range(50):
        number, delay = next(numbers), chance.uniform(0, longest)
        killed = killed_after(delay, dial_by_itself(number, number))
        runs.append((number, f"{killed} after {delay:.3f} s", forked.dial(number, "--once", number)))
    settle(forked)
    wrong = []
    for number, first, second in runs:
        rings = session(signed_in, number)
        actual = (second.code, second.call["session_id"], states(number))
        expected = {
            "placed": (0, *rings, ["placed"]),
            "already_placed": (0, *rings, ["placed"]),
            "unknown": (9, None, ["unknown"]),
        }[second.call["outcome"]]
        if expected != actual or len(signed_in.dials(number)) > 1:
            wrong.append((first, second.call["outcome"], expected, actual))
    assert [] == wrong


def test_an_interrupted_dial_never_says_that_a_call_was_not_placed_when_it_rings(forked, signed_in, states):
    """SIGTERM at any line: exit 130, one JSON document, and neither it nor the journal denies a POST that arrived."""
    numbers = fictional("0105")
    runs = []
    for line in moments(60, forked.lines(next(numbers))):
        number = next(numbers)
        first = forked.dial(number, "--once", number, line=line, with_signal=signal.SIGTERM)
        runs.append((number, first, states(number), forked.dial(number, "--once", number)))
    settle(forked)
    wrong = []
    for number, first, recorded, second in runs:
        posts, outcome = len(signed_in.dials(number)), first.call["outcome"]
        dialled_by_the_second = second.call["outcome"] == "placed"
        denied = not dialled_by_the_second and posts and "not_placed" in (outcome, *recorded)
        if denied or posts > 1 or first.code not in {0, 130} or second.code not in {0, 9}:
            wrong.append((first.where, first.code, outcome, recorded, second.call["outcome"], posts, first.err))
    assert [] == wrong


def test_a_dial_interrupted_anywhere_in_a_connection_shows_no_traceback(forked, signed_in):
    """SIGINT at each line; since Python 3.13 a socket's file that is half made complains when it is thrown away."""
    again = ("+18145550107", "--again")
    wrong = []
    for line in range(1, int(forked.dial(*again, connected=True).where) + 1):
        run = forked.dial(*again, line=line, with_signal=signal.SIGINT, connected=True)
        if run.code not in {0, 130} or not run.out or "Traceback" in run.err:
            wrong.append((run.where, run.code, run.err))
    assert [] == wrong


def dial_by_itself(number: str, key: str) -> list[str]:
    """The command line that places that call."""
    return [sys.executable, "-m", "evocall", "dial", number, "--once", key]


def killed_after(seconds: float, command: list[str]) -> int:
    """The exit status of a command that is killed when it has run for so long."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
