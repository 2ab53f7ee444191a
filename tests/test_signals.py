"""Ctrl-C and SIGTERM: what is known is said, recorded, and nothing else is printed."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from evocall.history import Filter
from evocall.journal import Journal
from tests import processes
from tests.faultserver import FaultServer, NeverAccepting, Visit, answering, http, silent

NUMBER = "+18145550100"
FLOW = "665f1c0000000000000000a1"
PLACED = answering(http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}'))
SHOWS_NOTHING = answering(http("200 OK", b'{"items": []}'))
BUSY = answering(http("429 Too Many Requests", b"", "Retry-After: 30"))
FAILED = answering(http("500 Internal Server Error", b""))
MAY_NOT_LOOK = answering(http("403 Forbidden", b""))
both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


@pytest.fixture
def sign_in_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Names the server to dial at."""
    monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
    monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
    monkeypatch.setenv("EVOCALL_FLOW", FLOW)
    return lambda base_url: monkeypatch.setenv("EVOCALL_BASE_URL", base_url)


@pytest.fixture
def outcomes(home: Path) -> Callable[[], list[str]]:
    """The outcomes in the history, oldest first."""

    def read() -> list[str]:
        with Journal(home / "evocall" / "journal.db") as journal:
            return [str(record.call.outcome) for record in journal.history.calls(Filter())][::-1]

    return read


def dialling(*options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A dial in a process of its own."""
    return processes.running("dial", NUMBER, "--once", "key", *options)


@both_signals
def test_interrupted_while_waiting_for_the_answer_the_outcome_is_unknown(sign_in_to, outcomes, evocall, number):
    """Exit 130; document, message and history say that it may ring, and the key stays used up."""
    with FaultServer(silent, SHOWS_NOTHING) as server:
        sign_in_to(server.base_url)
        with dialling("--json") as process:
            assert server.touched.wait(60)
            wait_until_reading(process)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        document = json.loads(out)
        assert (130, "unknown", "interrupted") == (process.returncode, document["outcome"], document["error"]["code"])
        assert [
            "evocall: interrupted while waiting for the answer, so the call may have been placed.",
            f"  number   {NUMBER}",
            "hint: Look whether the phone rang before you dial again.",
        ] == err.splitlines()
        assert ["unknown"] == outcomes()
        assert 9 == evocall("dial", NUMBER, "--once", "key").code
    assert 1 == len(server.posts)


@both_signals
def test_interrupted_while_waiting_for_the_connection_nothing_was_placed(sign_in_to, outcomes, evocall, number):
    """Nothing left, so exit 130 says that no call was placed, and the next run with the key dials."""
    with NeverAccepting() as server:
        sign_in_to(server.base_url)
        with dialling("--json") as process:
            wait_until_connecting(process)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
    document = json.loads(out)
    assert (130, "not_placed", "interrupted") == (process.returncode, document["outcome"], document["error"]["code"])
    assert [
        "evocall: interrupted before the request was sent: no call was placed.",
        f"  number   {NUMBER}",
    ] == err.splitlines()
    assert ["not_placed"] == outcomes()
    with FaultServer(PLACED) as server:
        sign_in_to(server.base_url)
        assert 0 == evocall("dial", NUMBER, "--once", "key").code


@both_signals
def test_interrupted_between_two_attempts_nothing_was_placed(sign_in_to, outcomes, evocall, number):
    """The service refused the first attempt; the wait ends at once, and the next run with the key dials."""
    with FaultServer(BUSY, PLACED) as server:
        sign_in_to(server.base_url)
        with dialling("--json") as process:
            notice = process.stderr.readline()
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        assert notice == "evocall: The service asks for fewer requests (429). Trying again in 30 s.\n"
        document = json.loads(out)
        assert (130, "not_placed") == (process.returncode, document["outcome"])
        assert "interrupted" == document["error"]["code"]
        assert [
            "evocall: interrupted between two attempts: no call was placed.",
            f"  number   {NUMBER}",
        ] == err.splitlines()
        assert ["not_placed"] == outcomes()
        assert 0 == evocall("dial", NUMBER, "--once", "key").code
    assert ["not_placed", "placed"] == outcomes()
    assert 2 == len(server.posts)


@both_signals
def test_interrupted_while_another_process_dials_for_the_key_that_one_is_not_disturbed(sign_in_to, outcomes, number):
    """Only the waiting one leaves; what it says does not deny the call of the other, which goes on."""
    with FaultServer(silent) as server:
        sign_in_to(server.base_url)
        with dialling("--timeout", "60") as first:
            assert server.touched.wait(60)
            with dialling("--json") as second:
                assert "waiting for it" in second.stderr.readline()
                second.send_signal(number)
                out, _ = second.communicate(timeout=60)
            assert (130, "interrupted") == (second.returncode, json.loads(out)["error"]["code"])
            assert first.poll() is None
            assert 1 == len(server.posts)
    assert ["unknown"] == outcomes()


def test_two_signals_leave_the_same_record_as_one(sign_in_to, outcomes):
    """An impatient second Ctrl-C costs neither the exit code nor the record."""
    with FaultServer(silent) as server:
        sign_in_to(server.base_url)
        with dialling("--json") as process:
            assert server.touched.wait(60)
            wait_until_reading(process)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert "unknown" == json.loads(out)["outcome"]
    assert "Traceback" not in err
    assert ["unknown"] == outcomes()


@pytest.fixture
def interrupted_program(sign_in_to) -> Callable[..., str]:
    """Runs a program with an open `evo`, sends it SIGINT at the silent answer, and returns what it printed."""

    def run(work: str, *scripts: Callable[[Visit], None]) -> str:
        program = f"""
import signal
from evocall import EvoVoice, Interrupted, OutcomeUnknown

mine = signal.getsignal(signal.SIGINT)
with EvoVoice() as evo:
    try:
{textwrap.indent(textwrap.dedent(work), " " * 8)}
    except Interrupted as error:
        print(error.call.outcome, error.call.id, error.call.session_id)
    print([call.outcome.value for call in evo.history()], signal.getsignal(signal.SIGINT) is mine)
"""
        asked = threading.Event()

        def never_answering(visit: Visit) -> None:
            visit.peek()
            asked.set()
            silent(visit)

        with FaultServer(*scripts, never_answering) as server:
            sign_in_to(server.base_url)
            with processes.python("-c", program) as process:
                assert asked.wait(60)
                wait_until_reading(process)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
        assert err == ""
        return out

    return run


def test_a_program_that_is_interrupted_learns_what_is_known(interrupted_program):
    """`except OutcomeUnknown` alone would miss a call that may ring. Its own handler is where it was."""
    assert "unknown 0001 None\n['unknown'] True\n" == interrupted_program(f'evo.place("{NUMBER}")')


def test_a_program_that_is_interrupted_while_its_flow_is_looked_up_has_placed_nothing(interrupted_program):
    out = interrupted_program(f'evo.place("{NUMBER}", flow="welcome")')
    assert "not_placed None None\n[] True\n" == out


def test_a_program_that_is_interrupted_while_an_unknown_outcome_is_asked_after_learns_of_the_call(interrupted_program):
    """The service failed after the request was sent, and does not answer when it is asked."""
    out = interrupted_program(f'evo.place("{NUMBER}")', FAILED)
    assert "unknown 0001 None\n['unknown'] True\n" == out


def test_a_program_that_is_interrupted_between_two_looks_for_an_unknown_call_learns_of_it(sign_in_to):
    """The number for which the sandbox fails; whoever asks after it sleeps between the looks."""
    program = """
from evocall import EvoVoice, Interrupted
with EvoVoice(sandbox=True) as evo:
    print("ready", flush=True)
    try:
        evo.place("+18145550150")
    except Interrupted as error:
        print(error.call.outcome, error.call.number)
"""
    with processes.python("-c", program) as process:
        assert "ready\n" == process.stdout.readline()
        wait_until(process, "nanosleep")
        process.send_signal(signal.SIGINT)
        assert ("unknown +18145550150\n", "") == process.communicate(timeout=60)


def test_a_program_that_is_interrupted_while_it_asks_after_the_earlier_call_of_a_key_learns_of_that(
    interrupted_program,
):
    """Nothing was sent now, but for this key a phone may have rung, and nobody may say that it has not."""
    work = f"""
    try:
        evo.place("{NUMBER}", once="key")
    except OutcomeUnknown:
        evo.place("{NUMBER}", once="key")
    """
    out = interrupted_program(work, FAILED, MAY_NOT_LOOK)
    assert "unknown 0001 None\n['unknown'] True\n" == out


def test_a_program_that_is_interrupted_while_it_follows_a_call_learns_of_that(interrupted_program):
    out = interrupted_program(f'evo.follow(evo.place("{NUMBER}"))', PLACED)
    assert "placed 0001 6743a0b1c2d3e4f5a6b7c8d9\n['placed'] True\n" == out


def test_a_program_that_is_interrupted_while_its_journal_is_locked_keeps_no_lock(sign_in_to, home):
    """It goes on, and so do all others that use the journal."""
    program = f"""
import sqlite3, sys
from evocall import EvoVoice, Interrupted, Outcome

with EvoVoice() as evo:
    evo._journal.engine._connection.set_trace_callback(sys.stdout.write)
    try:
        evo.place("{NUMBER}")
    except Interrupted as error:
        print("\\ninterrupted:", error.call.outcome)
    sys.stdin.readline()
    print([call.outcome.value for call in evo.history()])
"""
    sign_in_to("http://127.0.0.1:9")
    with Journal(home / "evocall" / "journal.db") as journal:
        journal.bury()
    with (
        contextlib.closing(sqlite3.connect(home / "evocall" / "journal.db", isolation_level=None)) as other,
        processes.python("-u", "-c", program) as process,
    ):
        other.execute("BEGIN IMMEDIATE")
        said = ""
        while not said.endswith("BEGIN IMMEDIATE"):
            said += process.stdout.read(1) or pytest.fail(said)
        process.send_signal(signal.SIGINT)
        other.execute("COMMIT")
        while not said.endswith("\ninterrupted: not_placed\n"):
            said += process.stdout.read(1) or pytest.fail(said)
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        out, err = process.communicate("go on\n", timeout=60)
    assert (out.splitlines()[-1][-2:], err) == ("[]", "")


def test_a_terminal_that_goes_away_leaves_a_record_of_what_may_ring(sign_in_to, outcomes):
    """SIGHUP ends the process as it ends any other; the history knows of the call all the same."""
    with FaultServer(silent) as server:
        sign_in_to(server.base_url)
        with dialling() as process:
            assert server.touched.wait(60)
            wait_until_reading(process)
            process.send_signal(signal.SIGHUP)
            process.communicate(timeout=60)
    assert ["unknown"] == outcomes()


def test_an_interruption_that_meets_a_finalizer_is_not_lost():
    """Python cannot raise what happens while an object is thrown away, and would go on."""
    program = """
import os, signal, sys, time
from evocall import __main__

class Thrown:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sys.stdout.write("interrupted, ")

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.unraisablehook = __main__.unheard
try:
    Thrown()
    time.sleep(20)
    sys.stdout.write("went on")
except KeyboardInterrupt:
    sys.stdout.write("heard")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("heard", "")


@pytest.mark.parametrize(
    "answer", ["", "HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n{"], ids=["silent", "half an answer"]
)
def test_an_exchange_that_a_signal_has_ended_was_interrupted(answer):
    """Up to Python 3.12 the exception vanishes in the finalizer of a file; a handler that does nothing is the same."""
    program = f"""
import os, signal, socket, threading
from evocall import transport
from evocall.flight import watchman

def serve():
    visitor, _ = server.accept()
    visitor.recv(65536)
    visitor.sendall(b"{answer}")
    os.kill(os.getpid(), signal.SIGTERM)
    visitor.recv(1)

signal.signal(signal.SIGTERM, lambda *_: None)
watchman.listen_to_signals()
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, daemon=True).start()
wire = transport.Wire("http://127.0.0.1:%d" % server.getsockname()[1], {{}}, connect_timeout=20, timeout=20)
try:
    print(wire.exchange("GET", "/"))
except transport.Cut as cut:
    print("interrupted", cut.left)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("interrupted True\n", "")


def wait_until_connecting(process: subprocess.Popen[str]) -> None:
    """Returns when a socket of that process has sent its first packet and has no answer to it."""
    directory = Path(f"/proc/{process.pid}")
    while process.poll() is None:
        sockets = set()
        for file in (directory / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                sockets.add(str(file.readlink()))
        for line in (directory / "net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            columns = line.split()
            if columns[3] == "02" and f"socket:[{columns[9]}]" in sockets:
                return
    pytest.fail(f"it ended before it connected: {process.communicate()}")


def wait_until_reading(process: subprocess.Popen[str]) -> None:
    """Returns when the kernel has put the main thread to sleep until its socket has something to read."""
    wait_until(process, "poll")


def wait_until(process: subprocess.Popen[str], where: str) -> None:
    """Returns when the main thread sleeps in a function of the kernel with that in its name."""
    while process.poll() is None:
        if where in Path(f"/proc/{process.pid}/wchan").read_text(encoding="ascii"):
            return
    pytest.fail(f"it ended before it waited: {process.communicate()}")
