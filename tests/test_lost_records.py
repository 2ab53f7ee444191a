"""A journal that is lost once the request has left: what the service has said is said, and never "not placed"."""

import json
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from evocall import EvoVoice, postgres_connection, sqlite, watching
from tests.faultserver import FaultServer, Script, Visit, answering, http

NUMBER, NEXT = "+18145550100", "+18145550101"
FLOW = "665f1c0000000000000000a1"
PLACED = http("200 OK", b'{"id": "s1"}')
BUSY = http("429 Too Many Requests", b"", "Retry-After: 0")
SHOWS_NOTHING = answering(http("200 OK", b'{"items": []}'))
NOT_RECORDED = "evocall: warning: the outcome could not be recorded, so the journal will show it as unknown."
Lose = Callable[[], None]


@pytest.fixture(params=["file", "database"])
def lose(request, home, monkeypatch) -> Iterator[Lose]:
    """Takes the journal away for good: another process locks its file, or its server lets nobody in any more."""
    if request.param == "database":
        server = request.getfixturevalue("postgres")
        url = server.database()
        monkeypatch.setenv("EVOCALL_JOURNAL", url)

        def shut() -> None:
            monkeypatch.setattr(postgres_connection, "PATIENCE", 0.3)
            with server.connected("postgres") as connection:
                connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS false")
            server.cut(url)

        yield shut
        return
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.5)
    locks = []

    def lock() -> None:
        path = home / "evocall" / "journal.db"
        locks.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        locks[-1].execute("BEGIN EXCLUSIVE")

    yield lock
    for connection in locks:
        connection.close()


@pytest.fixture
def served(started, monkeypatch) -> Callable[..., FaultServer]:
    """A server with these scripts, which is signed in to."""
    monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
    monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
    monkeypatch.setenv("EVOCALL_FLOW", FLOW)
    monkeypatch.setattr(watching, "FIRST_POLL", 0.001)
    return lambda *scripts: started(FaultServer(*scripts))


def then(lose: Lose, answer: bytes) -> Script:
    """Reads the request, takes the journal away, answers."""

    def script(visit: Visit) -> None:
        visit.read()
        lose()
        visit.send(answer)

    return script


def ended(outcome: str) -> Script:
    """Shows that the call has ended."""
    return answering(http("200 OK", json.dumps({"items": [{"id": "s1", "ended": True, "outcome": outcome}]}).encode()))


def test_a_placed_call_is_reported_with_a_warning(lose, served, evocall):
    """The receipt says what the service said, and by which name the call can be looked up."""
    server = served(then(lose, PLACED))
    result = evocall("dial", NUMBER)
    assert (result.code, len(server.posts)) == (0, 1)
    assert result.out.startswith("placed    +1 814-555-0100")
    assert "session   s1   evocall show 0001\n" in result.out
    assert result.err.startswith(NOT_RECORDED)


def test_a_call_whose_answer_got_lost_too_is_unknown(lose, served, dial):
    """Nothing can be proven any more, and that is what it says."""

    def script(visit: Visit) -> None:
        visit.read()
        lose()
        visit.reset()

    server = served(script, SHOWS_NOTHING)
    code, call = dial(NUMBER)
    assert (code, call["outcome"], call["call"], call["error"]["code"]) == (9, "unknown", "0001", "connection_lost")
    assert len(server.posts) == 1


def test_a_call_is_followed_to_its_end(lose, served, evocall):
    server = served(then(lose, PLACED), ended("Answered"))
    result = evocall("dial", NUMBER, "--wait", "--json")
    call = json.loads(result.out)
    assert (result.code, call["outcome"], call["ending"]["answered"]) == (0, "placed", True)
    assert "warning: how the call went on could not be recorded." in result.err
    assert len(server.posts) == 1


def test_a_program_gets_its_call_and_may_follow_it(lose, served):
    server = served(then(lose, PLACED), ended("Answered"))
    with EvoVoice() as evo:
        call = evo.place(NUMBER)
        assert (call.outcome, call.session_id) == ("placed", "s1")
        assert evo.follow(call).ending.answered
    assert len(server.posts) == 1


def test_a_service_that_is_busy_keeps_its_exit_code(lose, served, evocall):
    """Provably not placed; what cannot be recorded is not sent again."""
    server = served(then(lose, BUSY))
    result = evocall("dial", NUMBER, "--json")
    call = json.loads(result.out)
    assert (result.code, call["outcome"], call["error"]["code"]) == (7, "not_placed", "rate_limited")
    assert NOT_RECORDED in result.err
    assert len(server.posts) == 1


def test_after_a_call_that_nobody_answered_nobody_else_is_rung(lose, served, evocall):
    """Somebody was rung, so it is not the exit code of a journal without which nothing is dialled."""
    server = served(then(lose, PLACED), ended("Busy"))
    result = evocall("dial", NUMBER, NEXT, "--until-answered", "--json")
    call = json.loads(result.out)
    assert (result.code, call["outcome"], call["number"]) == (12, "placed", NUMBER)
    assert [(other["number"], other["outcome"]) for other in call["tried"]] == [(NEXT, "not_placed")]
    assert "+1 814-555-0101: The journal" in result.err
    assert len(server.posts) == 1


def test_a_campaign_stops_and_says_what_it_has_placed(lose, served, evocall, tmp_path):
    """The summary counts the call, though the journal cannot."""
    server = served(then(lose, PLACED))
    rows = tmp_path / "rows.csv"
    rows.write_text(f"number\n{NUMBER}\n{NEXT}\n", encoding="utf-8")
    result = evocall("batch", str(rows), "--campaign", "c", "--pace", "100", "--concurrency", "1", "--yes", "--json")
    summary = json.loads(result.out)
    assert (result.code, summary["error"]["code"], summary["outcomes"]["placed"]) == (10, "journal", 1)
    assert len(server.posts) == 1
