"""Many processes at once: one key is one call, and no journal is too new or too busy."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from evocall.history import Filter
from evocall.journal import Journal
from evocall.sandbox import Sandbox
from tests.faultserver import FaultServer, Visit, http

PROCESSES = 12
FLOW = "665f1c0000000000000000a1"
WAITING = "another process is placing the call"


class Crowd:
    """Dials that run at the same time; each reads its own errors, so that a test can wait for what they say."""

    def __init__(self, *commands: tuple[str, ...]) -> None:
        self.waiting = threading.Semaphore(0)
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "evocall", "dial", *command, "--timeout", "300", "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in commands
        ]
        self._errors: list[list[str]] = [[] for _ in commands]
        self._readers = [threading.Thread(target=self._read, args=pair) for pair in enumerate(self._processes)]
        for reader in self._readers:
            reader.start()

    def _read(self, n: int, process: subprocess.Popen[str]) -> None:
        for line in process.stderr:
            self._errors[n].append(line)
            if WAITING in line:
                self.waiting.release()

    def all_but_one_wait(self) -> bool:
        """Whether all but one have said, within minutes, that they wait for another process."""
        return all(self.waiting.acquire(timeout=240) for _ in self._processes[1:])

    def results(self) -> list[tuple[int, dict, str]]:
        """Exit code, JSON document and errors of each, when all have ended."""
        documents = [json.loads(process.stdout.read()) for process in self._processes]
        codes = [process.wait(240) for process in self._processes]
        for reader, process in zip(self._readers, self._processes, strict=True):
            reader.join()
            process.stdout.close()
            process.stderr.close()
        return list(zip(codes, documents, map("".join, self._errors), strict=True))


@pytest.fixture
def recorded(home: Path) -> Callable[[], list[str]]:
    """The outcomes in the history."""

    def read() -> list[str]:
        with Journal(home / "evocall" / "journal.db") as journal:
            return [str(record.call.outcome) for record in journal.history.calls(Filter())]

    return read


@pytest.fixture
def answers_the_last(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FaultServer]:
    """A server that keeps its answer until it is told to give it, and an environment that signs in to it."""

    def serve(answer: bytes, told: threading.Event) -> FaultServer:
        def script(visit: Visit) -> None:
            visit.read()
            told.wait(300)
            visit.send(answer)

        server = FaultServer(script)
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
        monkeypatch.setenv("EVOCALL_FLOW", FLOW)
        return server

    return serve


def test_twelve_processes_with_one_key_place_one_call(signed_in, recorded):
    """One places it, and the eleven others report the same session."""
    results = Crowd(*[("+18145550100", "--once", "reminder")] * PROCESSES).results()
    [call] = signed_in.calls
    assert 1 == len(signed_in.dials())
    assert [(0, call.id)] * PROCESSES == [(code, document["session_id"]) for code, document, _ in results]
    assert ["already_placed"] * 11 + ["placed"] == sorted(document["outcome"] for _, document, _ in results)
    assert ["placed"] == recorded()


def test_eleven_processes_wait_for_a_slow_answer_to_the_twelfth(answers_the_last, recorded):
    """The answer comes only when all others have said that they wait; then all have it."""
    told = threading.Event()
    with answers_the_last(http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}'), told) as server:
        crowd = Crowd(*[("+18145550100", "--once", "reminder")] * PROCESSES)
        waited = crowd.all_but_one_wait()
        told.set()
        results = crowd.results()
    assert waited, results
    assert 1 == len(server.posts)
    sessions = [(code, document["session_id"]) for code, document, _ in results]
    assert [(0, "6743a0b1c2d3e4f5a6b7c8d9")] * PROCESSES == sessions
    assert ["already_placed"] * 11 + ["placed"] == sorted(document["outcome"] for _, document, _ in results)
    assert ["placed"] == recorded()


def test_eleven_processes_that_waited_do_not_dial_after_an_unknown_outcome(answers_the_last, recorded):
    """A slow answer that says nothing, and a service that does not tell later: one POST, and exit 9 for everybody."""
    told = threading.Event()
    with answers_the_last(http("500 Internal Server Error"), told) as server:
        crowd = Crowd(*[("+18145550100", "--once", "reminder")] * PROCESSES)
        waited = crowd.all_but_one_wait()
        told.set()
        results = crowd.results()
    assert waited, results
    assert 1 == len(server.posts)
    assert [(9, "unknown")] * PROCESSES == [(code, document["outcome"]) for code, document, _ in results]
    assert ["unknown"] == recorded()


def test_a_waiting_process_dials_when_the_first_call_was_refused(answers_the_last, recorded):
    """A key is used up by a call, not by a refusal; each process that waited gets its own, one after the other."""
    told = threading.Event()
    with answers_the_last(http("400 Bad Request", b"{}"), told) as server:
        crowd = Crowd(*[("+18145550100", "--once", "reminder")] * 3)
        waited = crowd.all_but_one_wait()
        told.set()
        results = crowd.results()
    assert waited, results
    assert 3 == len(server.posts)
    assert [(11, "not_placed")] * 3 == [(code, document["outcome"]) for code, document, _ in results]
    assert ["not_placed"] * 3 == recorded()


def test_a_call_that_failed_after_it_was_placed_is_not_placed_again_by_eleven_others(signed_in: Sandbox, recorded):
    """0151 rings and answers 500; whoever asks first finds the call, and all report the same session."""
    results = Crowd(*[("+18145550151", "--once", "reminder")] * PROCESSES).results()
    [call] = signed_in.calls
    assert 1 == len(signed_in.dials())
    assert [(0, call.id)] * PROCESSES == [(code, document["session_id"]) for code, document, _ in results]
    assert ["already_placed"] * 11 + ["placed"] == sorted(document["outcome"] for _, document, _ in results)
    assert [True] * PROCESSES == [document["settled"] is not None for _, document, _ in results]
    assert ["placed"] == recorded()


@pytest.mark.parametrize("home_number", range(3))
def test_twelve_processes_with_twelve_keys_share_a_journal_that_none_of_them_found(signed_in, recorded, home_number):
    """Twelve calls, twelve rows, and not a word about locks, although all of them make the journal."""
    results = Crowd(*[("+18145550100", "--once", f"key {n}") for n in range(PROCESSES)]).results()
    assert [(0, "placed", "")] * PROCESSES == [(code, document["outcome"], err) for code, document, err in results]
    assert PROCESSES == len(signed_in.dials())
    assert ["placed"] * PROCESSES == recorded()
    assert PROCESSES == len({document["call"] for _, document, _ in results})
