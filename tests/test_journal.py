"""Every call ever attempted is on disk before its first byte leaves, and what became of it is never forgotten."""

import base64
import json
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from evocall import guard, placing, records
from evocall.earlier import Key
from evocall.errors import EvocallError, JournalError, OutcomeUnknown, RateLimited, Refused, Rejected, UsageError
from evocall.history import Filter
from evocall.journal import Journal, Reserved
from evocall.model import (
    Answer,
    Call,
    Campaign,
    DialRequest,
    Ending,
    Flow,
    Guard,
    Hours,
    Number,
    NumberClass,
    Outcome,
    Phase,
    Plan,
    Profile,
)
from evocall.records import LONGEST_RESPONSE, call_id
from evocall.schema import MIGRATIONS
from tests import postgresql

NOW = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACED = Answer(Outcome.PLACED, 200, "6743a0b1c2d3e4f5a6b7c8d9", {"id": "6743a0b1c2d3e4f5a6b7c8d9"})
REFUSED = Answer(Outcome.NOT_PLACED, 400, error=Rejected("The service refused the request (400)."))
LOST = Answer(Outcome.UNKNOWN, 500, error=OutcomeUnknown("the service answered 500."))
BUSY = Answer(Outcome.NOT_PLACED, 429, error=RateLimited("Fewer, please."), resend=True, retry_after=5.0)
HUGE = Answer(Outcome.PLACED, 200, "1", {"id": "1", "log": "x" * (2 * LONGEST_RESPONSE)})
LONG = random.Random(1).randbytes(10_000).hex()  # nothing that could be compressed
SPRING = Campaign("spring", "localhost", "default", "welcome", None)
ANSWERS = {answer.outcome: answer for answer in (PLACED, REFUSED, LOST)}


def plan_for(
    flow: str = "f", number: str = "+18145550100", *, hours: Hours | None = None, **limits: int | None
) -> Plan:
    """A call that has passed every check."""
    callee = Number(number, number, number, number, "US", NumberClass.FIXED, ("America/New_York",))
    profile = Profile("default", "http://127.0.0.1:9", "ops@example.com", guard=Guard(**limits))
    return Plan(callee, Flow(flow), None, profile, hours)


def reserve(
    journal: Journal, once: str | None = None, *, plan: Plan | None = None, again: bool = False, now: datetime = NOW
) -> Reserved | Call | None:
    """What placing does first."""
    plan = plan or plan_for()
    return journal.reserve(
        plan,
        lambda earlier: guard.may_dial(plan.number, plan.profile.guard, earlier, once=once, again=again),
        key=Key(once),
        username="ops@example.com",
        now=now,
        hold_back=guard.HOLD_BACK,
    )


class InFile:
    """A journal in a file, as everybody else sees it."""

    def __init__(self, directory: Path) -> None:
        self.where = directory / "journal.db"
        self.name = str(self.where)

    def empty(self) -> None:
        """Forget it."""
        shutil.rmtree(self.where.parent, ignore_errors=True)

    def prepare(self) -> None:
        """Make room for it."""
        self.where.parent.mkdir()

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What one statement finds or changes, over another connection."""
        with closing(sqlite3.connect(self.where)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def states(self) -> list[str]:
        """The states as they are on disk, oldest first."""
        return [state for (state,) in self.run("SELECT state FROM calls ORDER BY id")] if self.where.exists() else []

    def crash(self, journal: Journal) -> None:
        """End the journal as the end of its process would: nothing resolved, and the kernel drops the lock."""
        engine = journal.engine
        engine._connection.close()
        if engine._lease is not None:
            engine._lease.abandon()

    def end_leases_of_the_dead(self) -> None:
        """The kernel has done it."""

    def forget_who_lives(self) -> None:
        """As a cleaner of old files does."""
        shutil.rmtree(self.where.parent / "running")

    def refuse_writes(self, journal: Journal) -> None:
        """From now on nothing can be written."""
        journal.engine._connection.execute("PRAGMA query_only = ON")

    def contents(self) -> bytes:
        """All that is kept, the write-ahead log with it."""
        files = {file.name: file.read_bytes() for file in self.where.parent.rglob("*") if file.is_file()}
        assert {"journal.db", "journal.db-wal"} <= set(files)
        return b"\n".join(files.values())

    def close(self) -> None:
        """Nothing is open."""


class InDatabase:
    """A journal in a PostgreSQL database, as everybody else sees it."""

    def __init__(self, url: str) -> None:
        self.where = self.name = url
        self._connection = psycopg.connect(url, autocommit=True)
        self.empty()

    def empty(self) -> None:
        """Forget it, with whoever is still connected; that is faster than to make a new database."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        self.run("DROP SCHEMA public CASCADE")
        self.run("CREATE SCHEMA public")

    def prepare(self) -> None:
        """Make room for it: there is a database."""

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What one statement finds or changes, over another connection."""
        cursor = self._connection.execute(statement.replace("?", "%s").encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def states(self) -> list[str]:
        """The states as they are committed, oldest first."""
        try:
            return [state for (state,) in self.run("SELECT state FROM calls ORDER BY id")]
        except psycopg.errors.UndefinedTable:
            return []

    def crash(self, journal: Journal) -> None:
        """End the journal as the end of its process would: nothing resolved, and in time the lease ends."""
        engine = journal.engine
        engine._connection._closing.set()
        engine._connection._current.close()
        if engine.holder is not None:
            self.run("UPDATE leases SET ends_at = 0 WHERE holder = ?", engine.holder)

    def end_leases_of_the_dead(self) -> None:
        """As time does."""
        self.forget_who_lives()

    def forget_who_lives(self) -> None:
        """As when no host could renew its lease in time."""
        self.run("UPDATE leases SET ends_at = 0")

    def refuse_writes(self, journal: Journal) -> None:
        """From now on nothing can be written."""
        journal.engine._connection.cursor().execute("SET default_transaction_read_only = on")

    def contents(self) -> bytes:
        """All rows of all tables, as text."""
        tables = self.run("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        assert ("calls",) in tables
        return "\n".join(str(self.run(f"SELECT t::TEXT FROM {name} t")) for (name,) in tables).encode()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


Store = InFile | InDatabase


def outcomes(store: Store) -> list[str]:
    """The outcomes that the history shows, oldest first."""
    with Journal(store.where) as journal:
        return [str(record.call.outcome) for record in journal.history.calls()][::-1]


@pytest.fixture(scope="module")
def database(postgres_server: postgresql.Server | None) -> str | None:
    """The URL of a database for these tests, None where there is no server."""
    return postgres_server and postgres_server.database()


@pytest.fixture(params=["file", "postgresql"])
def store(
    request: pytest.FixtureRequest, home: Path, database: str | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """The place of a journal that is not there yet, which commands use as well."""
    if request.param == "file":
        yield InFile(home / "evocall")
        return
    request.getfixturevalue("postgres")
    with closing(InDatabase(str(database))) as store:
        monkeypatch.setenv("EVOCALL_JOURNAL", store.where)
        yield store


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    with Journal(store.where) as journal:
        yield journal


class Service:
    """Answers with what it was given, in turn; `watch` sees each request at the moment when it would leave."""

    def __init__(self, *answers: Answer, watch: Callable[[], None] = lambda: None) -> None:
        self.answers, self.watch, self.asked = list(answers), watch, 0

    def place(self, request: DialRequest, _: Callable[[], bool]) -> Answer:
        self.watch()
        self.asked += 1
        return self.answers.pop(0)


class Watch:
    """A clock that moves only when somebody pauses before a new attempt."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def clock(self) -> placing.Clock:
        return placing.Clock(now=lambda: self.now, pause=self.pause)


def place(
    journal: Journal, service: Service, *, plan: Plan | None = None, once: str | None = None, watch: Watch | None = None
) -> Call:
    """One call, by the only way there is."""
    terms = placing.Terms(once, username="ops@example.com")
    clock = watch.clock() if watch else placing.CLOCK
    return placing.place(plan or plan_for(), service, journal, terms, tell=lambda _: None, clock=clock)


def test_a_call_is_committed_before_the_request_leaves_and_resolved_after(journal, store):
    """Another connection sees the row while the request is on its way, so a power cut would leave it there."""
    seen = []
    service = Service(PLACED, watch=lambda: seen.append(store.states()))
    place(journal, service)
    assert (seen, store.states()) == ([["sending"]], ["placed"])


def test_each_attempt_is_on_disk_before_it_is_made(journal, store):
    """Between two attempts the row waits, and the second one is as committed as the first."""
    seen = []
    service = Service(BUSY, PLACED, watch=lambda: seen.append(store.states()))
    clock = placing.Clock(pause=lambda _: seen.append(store.states()))
    placing.place(plan_for(), service, journal, placing.Terms(), tell=lambda _: None, clock=clock)
    assert seen == [["sending"], ["waiting"], ["sending"]]
    [record] = journal.history.calls()
    assert (record.call.outcome, record.attempt) == ("placed", 2)


@contextmanager
def dial_at(answer: bytes, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A dial in a process of its own whose request has left, and has been given this much of an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
        command = [sys.executable, "-m", "evocall", "dial", "+18145550100", "--flow", "id:f", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                connection, _ = server.accept()
                with connection:
                    assert connection.recv(1) == b"P"
                    connection.sendall(answer)
                    yield process
            finally:
                process.kill()


def test_a_dial_that_is_killed_while_the_request_is_on_its_way_is_unknown(store, monkeypatch, evocall):
    """The row was there with the first byte, its key is held back, and the history says why."""
    with dial_at(b"", monkeypatch, "--once", "k") as process:
        assert store.states() == ["sending"]
        assert outcomes(store) == ["unknown"]
        process.kill()
        process.wait()
    store.end_leases_of_the_dead()
    [call] = json.loads(evocall("history", "--outcome", "unknown", "--json").out)
    assert (call["outcome"], call["error"]["code"]) == ("unknown", "died")
    again = evocall("dial", "+18145550100", "--flow", "id:f", "--once", "k", "--json")
    assert (again.code, json.loads(again.out)["error"]["code"]) == (9, "held_back")
    assert store.states() == ["unknown"]


def test_a_dial_that_is_killed_between_two_attempts_was_not_placed(store, monkeypatch):
    """Its key may be used by the next run."""
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 50\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with dial_at(busy, monkeypatch, "--once", "k") as process:
        assert "Trying again in 50 s" in process.stderr.readline()
        process.kill()
        process.wait()
    store.end_leases_of_the_dead()
    with Journal(store.where) as journal:
        assert isinstance(reserve(journal, "k"), Reserved)
    assert outcomes(store) == ["not_placed", "unknown"]


@pytest.mark.parametrize("outcome", [Outcome.PLACED, Outcome.NOT_PLACED, Outcome.UNKNOWN])
def test_what_is_resolved_is_remembered_whole(store, outcome):
    """Every field of the call, after the journal was closed and opened again."""
    answer = ANSWERS[outcome]
    with Journal(store.where) as journal:
        record = journal.resolve(reserve(journal, "k"), answer, timedelta(milliseconds=1234))
    expected = Call(
        outcome,
        number="+18145550100",
        flow="f",
        caller_id=None,
        profile="default",
        base_url="http://127.0.0.1:9",
        requested_at=NOW,
        http_status=answer.status,
        session_id=answer.session_id,
        response=answer.response,
        error=answer.error and answer.error.document(),
        id="0001",
    )
    with Journal(store.where) as journal:
        [kept] = journal.history.calls()
    assert kept == record
    assert expected == kept.call
    assert (kept.username, kept.once_key, kept.attempt, kept.duration_ms) == ("ops@example.com", "k", 1, 1234)


@pytest.mark.parametrize("name", ["101O", "1010", "1oIo", "6743a0b1c2d3e4f5a6b7c8d9"])
def test_a_call_is_found_by_its_short_name_and_by_its_session(store, name):
    """Read aloud or typed by hand: letters in any case, and those that look like digits."""
    Journal(store.where).__exit__()
    store.run(
        "INSERT INTO calls (id, state, holder, profile, base_url, host, number, flow, attempt, requested_at, "
        "session_id) VALUES (?, 'placed', 'x', 'p', 'u', 'h', '+18145550100', 'f', 1, 0, ?)",
        32**3 + 32,
        PLACED.session_id,
    )
    with Journal(store.where) as journal:
        found = journal.history.find(name)
        assert found is not None
        assert (found.call.id, found.call.session_id) == ("1010", PLACED.session_id)


@pytest.mark.parametrize(
    "name", ["", "0000", "0002", "U001", "-001", "6743a0b1", "Z" * 5000, "\ud800", "\N{DIGIT ONE}\u0661"]
)
def test_a_name_that_is_nobodys_finds_nothing(journal, name):
    reserve(journal)
    assert journal.history.find(name) is None


def test_only_an_unknown_call_can_be_settled(store):
    """It is placed from then on, and nothing is left of the error; what was known stays as it was."""
    with Journal(store.where) as journal:
        for answer in (LOST, PLACED, REFUSED):
            journal.resolve(reserve(journal, answer.outcome), answer, SECOND)
        lost, placed, refused = list(journal.history.calls())[::-1]
        settled = journal.history.settle("0001", "found", "it was seen")
        assert journal.history.settle("0002", "found", "it was seen") == placed
        assert journal.history.settle("0003", "found", "it was seen") == refused
    expected = replace(lost.call, outcome=Outcome.PLACED, session_id="found", settled="it was seen", error=None)
    assert settled.call == expected
    with Journal(store.where) as journal:
        assert journal.history.find("0001") == settled
        found = reserve(journal, LOST.outcome)
        assert (found.id, found.outcome) == ("0001", "placed")


def test_how_a_call_went_on_is_remembered(store):
    """The session that was seen is the call's, whatever the answer had told; seeing none takes none away."""
    ending = Ending(Phase.ENDED, answered=True, machine=True, outcome="Voicemail", seconds=7.5)
    with Journal(store.where) as journal:
        for answer in (PLACED, replace(PLACED, session_id="CA1"), replace(PLACED, session_id=None)):
            journal.resolve(reserve(journal), answer, SECOND)
        seen = {"0001": None, "0002": "seen", "0003": "seen"}
        followed = [journal.history.follow(name, session, ending) for name, session in seen.items()]
    with Journal(store.where) as journal:
        assert followed == list(journal.history.calls())[::-1]
    assert [record.call.session_id for record in followed] == [PLACED.session_id, "seen", "seen"]
    assert [record.call.ending for record in followed] == [ending] * 3


def test_an_answer_that_took_no_measurable_time_is_recorded(journal):
    """Coarse clocks tick every 15 ms, and a refused connection is faster than that."""
    record = journal.resolve(reserve(journal), REFUSED, timedelta(0))
    assert (record.call.outcome, record.duration_ms) == ("not_placed", 0)


@pytest.mark.parametrize(
    ("session", "response"),
    [
        ("\ud800", {"id": "\ud800"}),
        ("a\x00b", {"id": "a\x00b"}),
        ("1", {"id": "1", "rate": float("inf")}),
        ("1", ["it", {"is": None}]),
        ("1", "text"),
        ("1", "a lone \ud800"),
        (None, 10**400),
        (LONG, {"id": LONG}),
    ],
)
def test_a_placed_call_is_recorded_whatever_the_service_sent(journal, session, response):
    """An odd answer must not turn a call that rings into one whose outcome nobody knows."""
    call = place(journal, Service(Answer(Outcome.PLACED, 200, session, response)), once="k")
    assert (call.outcome, call.response) == ("placed", response)
    assert place(journal, Service(), once="k").outcome == "already_placed"


def test_a_huge_answer_is_cut_and_the_call_is_placed_all_the_same(journal, store):
    place(journal, Service(HUGE))
    [record] = journal.history.calls()
    assert (record.call.outcome, record.call.session_id) == ("placed", "1")
    [(length,)] = store.run("SELECT LENGTH(response) FROM calls")
    assert length < 1.1 * LONGEST_RESPONSE


@pytest.mark.parametrize("sign_in", ["basic", "cookies"])
def test_no_secret_and_no_header_is_kept_anywhere(evocall, signed_in, config, home, store, sign_in):
    """Whatever the calls came to; the journal is held open, so that its write-ahead log is searched as well."""
    config(f'[profiles.a]\nsign_in = "{sign_in}"\n')
    with Journal(store.where):
        for ending in ("100", "140", "141", "151", "163"):
            evocall("dial", f"+18145550{ending}", "--verbose", "--once", ending)
        files = [file.read_bytes() for file in home.rglob("*") if file.is_file()]
        kept = b"\n".join([*files, store.contents()])
    assert b"+18145550151" in kept
    login = f"{signed_in.manager.username}:{signed_in.manager.password}"
    secrets = [signed_in.manager.password, base64.b64encode(login.encode()).decode(), "ss-id", "ss-pid"]
    secrets += ["Authorization", "User-Agent", "X-Powered-By", "Set-Cookie"]
    secrets += [base64.b64encode(signed_in.manager.password.encode()).decode().rstrip("=")]
    assert [secret for secret in secrets if secret.lower().encode() in kept.lower()] == []


def versions(store: Store) -> list[int]:
    """The schema version that the journal says it has."""
    return [version for (version,) in store.run("SELECT version FROM schema_version")]


def test_the_schema_version_is_recorded(journal, store):
    assert versions(store) == [len(MIGRATIONS)]


def make_of_the_first_version(store: Store) -> None:
    """A journal as the first evocall left it, with one call in it."""
    store.prepare()
    for statement in MIGRATIONS[0].split(";"):
        store.run(statement)
    store.run("CREATE TABLE schema_version (version BIGINT NOT NULL)")
    store.run("INSERT INTO schema_version (version) VALUES (1)")
    store.run(
        "INSERT INTO calls (id, state, holder, profile, base_url, host, number, flow, once_key, attempt, "
        "requested_at) VALUES (7, 'placed', 'x', 'default', 'http://127.0.0.1:9', 'localhost', '+18145550100', "
        "'f', 'k', 1, 1777982400000)"
    )


def test_a_journal_of_the_first_version_is_brought_up_to_date_and_keeps_its_calls(store):
    """Its used keys stay used after the upgrade."""
    make_of_the_first_version(store)
    with Journal(store.where) as journal:
        found = reserve(journal, "k")
        assert (found.outcome, found.id, found.requested_at) == ("placed", "0007", NOW)
        assert (found.settled, found.ending) == (None, None)
        assert reserve(journal, "new") == Reserved(8)
    assert versions(store) == [len(MIGRATIONS)]


CAPITALS, OTHER_CAPITALS = "665F1C0000000000000000A1", "665F1C0000000000000000A2"


def make_of_the_fifth_version(store: Store) -> None:
    """A journal whose hosts are as the addresses were written, and whose rows are named by flows as they were."""
    make_of_the_first_version(store)
    store.run("DELETE FROM calls")
    for migration in MIGRATIONS[1:5]:
        for statement in migration.split(";"):
            store.run(statement)
    store.run("UPDATE schema_version SET version = 5")


def add_call(store: Store, number: int, netloc: str, flow: str, key: str | None, campaign: str | None) -> None:
    """One that was placed, as that version wrote it."""
    store.run(
        "INSERT INTO calls (id, state, holder, profile, base_url, host, number, flow, once_key, campaign, attempt, "
        "requested_at) VALUES (?, 'placed', 'x', 'default', ?, ?, '+18145550100', ?, ?, ?, 1, 1777982400000)",
        *(number, f"https://{netloc}", netloc, flow, key, campaign),
    )


def add_campaign(store: Store, name: str, host: str, flow: str, begun_at: int = 0) -> None:
    """One, as that version wrote it."""
    insert = "INSERT INTO campaigns (name, host, profile, flow, begun_at) VALUES (?, ?, 'default', ?, ?)"
    store.run(insert, name, host, flow, begun_at)


@pytest.mark.parametrize(
    ("netloc", "host"),
    [
        ("evovoice.io", "evovoice.io"),
        ("evovoice.io:443", "evovoice.io"),
        ("EvoVoice.io.:443", "evovoice.io"),
        ("evovoice.io.", "evovoice.io"),
        ("evovoice.io.:8443", "evovoice.io:8443"),
        ("evovoice.io:80", "evovoice.io:80"),
        ("evovoice.io:", "evovoice.io"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::443]", "[2001:db8::443]"),
        ("x", "x"),
    ],
)
def test_what_an_older_version_placed_is_found_however_the_address_was_written(store, netloc, host):
    """Used keys stay used, and what a campaign's name stands for is still known."""
    make_of_the_fifth_version(store)
    add_call(store, 1, netloc, "f", "k", None)
    add_call(store, 2, netloc, "f", "row", "spring")
    add_campaign(store, "spring", netloc, "id:f")
    profile = Profile("default", f"https://{netloc}")
    assert profile.host == host
    plan = replace(plan_for(), profile=profile)
    with Journal(store.where) as journal:
        assert reserve(journal, "k", plan=plan).id == "0001"
        assert journal.campaigns.named("spring", host) == Campaign("spring", host, "default", "id:f", None)
        spring = Campaign("spring", host, "default", "id:f", None)
        assert list(journal.campaigns.keys(spring)) == [("row", Outcome.PLACED)]
    assert store.run("SELECT name, host FROM campaigns") == [("spring", host)]


def test_of_one_campaign_at_two_spellings_of_an_address_what_stands_at_the_right_one_counts(store):
    make_of_the_fifth_version(store)
    for n, (host, flow) in enumerate((("evovoice.io:443", "id:e"), ("evovoice.io", "id:f"), ("evovoice.io.", "id:g"))):
        add_call(store, n + 1, host, "f", f"row {n}", "spring")
        add_campaign(store, "spring", host, flow, n)
    add_campaign(store, "autumn", "evovoice.io.", "id:later", 2)
    add_campaign(store, "autumn", "evovoice.io:443", "id:earlier", 1)
    Journal(store.where).__exit__()
    found = store.run("SELECT name, host, flow FROM campaigns ORDER BY name")
    assert found == [("autumn", "evovoice.io", "id:earlier"), ("spring", "evovoice.io", "id:f")]
    assert store.run("SELECT DISTINCT host FROM calls") == [("evovoice.io",)]


@pytest.mark.parametrize(
    ("flow", "key", "campaign", "kept"),
    [
        (CAPITALS, f"+18145550100 {CAPITALS}", "spring", f"+18145550100 {CAPITALS.lower()}"),
        (CAPITALS, f"+18145550100 {CAPITALS}", None, f"+18145550100 {CAPITALS}"),
        (CAPITALS, f"+18145550100 {OTHER_CAPITALS}", "spring", f"+18145550100 {OTHER_CAPITALS}"),
        (CAPITALS, "Patient A1", "spring", "Patient A1"),
        ("Welcome", "+18145550100 Welcome", "spring", "+18145550100 Welcome"),
        (f"{CAPITALS[:-1]}G", f"+18145550100 {CAPITALS[:-1]}G", "spring", f"+18145550100 {CAPITALS[:-1]}G"),
    ],
    ids=["capitals", "a key of --once", "another flow's", "a key of a row", "no ID", "nearly an ID"],
)
def test_a_row_that_an_older_version_placed_by_a_flow_in_capitals_is_known(store, flow, key, campaign, kept):
    """What was said of it by hand stays as it is."""
    make_of_the_fifth_version(store)
    add_call(store, 1, "evovoice.io", flow, key, campaign)
    Journal(store.where).__exit__()
    assert store.run("SELECT once_key, flow FROM calls") == [(kept, flow)]


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(evocall, signed_in, store):
    """Nobody knows what its rows mean, so nothing is dialled."""
    Journal(store.where).__exit__()
    newer = len(MIGRATIONS) + 1
    store.run("UPDATE schema_version SET version = ?", newer)
    result = evocall("dial", "+18145550100", "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (10, "journal_newer")
    assert f"{store.name} was written by a newer evocall (schema {newer}; this one knows {newer - 1})" in result.err
    assert signed_in.dials() == []
    assert versions(store) == [newer]


def test_a_journal_that_cannot_be_written_stops_the_call_before_it_leaves(journal, store):
    """A row that is not on disk allows no request."""
    store.refuse_writes(journal)
    service = Service(PLACED)
    with pytest.raises(JournalError):
        place(journal, service)
    assert service.asked == 0


def test_a_call_whose_outcome_cannot_be_recorded_is_reported_and_stays_unknown(store):
    """The phone rings, so the receipt says placed; the journal never says that it did not."""
    journal = Journal(store.where)
    service = Service(PLACED, watch=lambda: store.refuse_writes(journal))
    told: list[str] = []
    call = placing.place(plan_for(), service, journal, placing.Terms(), tell=told.append)
    store.crash(journal)
    assert (call.outcome, call.session_id) == ("placed", PLACED.session_id)
    assert "could not be recorded" in told[0]
    assert outcomes(store) == ["unknown"]


def test_a_refused_call_leaves_no_row(journal, store):
    """What a guard refuses was not attempted."""
    with pytest.raises(Refused):
        reserve(journal, plan=plan_for(max_per_day=0))
    assert store.states() == []


def test_looking_ahead_reserves_nothing(journal, store):
    earlier = journal.earlier(plan_for(), key=Key("k"), now=NOW, hold_back=guard.HOLD_BACK)
    assert (earlier.placed, earlier.in_flight, earlier.unknown) == (None, False, None)
    assert store.states() == []


def test_a_living_process_is_not_declared_dead(journal, store):
    """Its row stays open for as long as it lives, and its key cannot be had by anybody else."""
    reserve(journal, "k")
    with Journal(store.where) as other:
        assert [reserve(other, "k") for _ in range(3)] == [None] * 3
        assert reserve(other, "k", again=True) is None
    assert store.states() == ["sending"]


def test_a_row_whose_process_is_gone_may_have_rung_if_it_was_being_sent(store):
    """Two of one process: one was on its way, one waited for its second attempt."""
    gone = Journal(store.where)
    reserve(gone, "sent")
    gone.wait(reserve(gone, "waited"), BUSY)
    store.crash(gone)
    with Journal(store.where) as journal:
        with pytest.raises(OutcomeUnknown):
            reserve(journal, "sent")
        assert isinstance(reserve(journal, "sent", again=True), Reserved)
        assert isinstance(reserve(journal, "waited"), Reserved)
        assert [str(record.call.outcome) for record in journal.history.calls()][::-1][:2] == ["unknown", "not_placed"]


def test_a_row_that_waited_and_was_sent_again_may_have_rung(store):
    """The second attempt counts like the first."""
    gone = Journal(store.where)
    reserved = reserve(gone)
    gone.wait(reserved, BUSY)
    gone.resume(reserved, 2, NOW)
    store.crash(gone)
    assert outcomes(store) == ["unknown"]


def test_whoever_was_taken_for_dead_does_not_dial_when_somebody_else_has(store):
    """The sign of life of a call that waits for its second attempt may be gone, though its process is not."""
    first, second = Journal(store.where), Journal(store.where)
    waiting = reserve(first, "k")
    first.wait(waiting, BUSY)
    store.forget_who_lives()
    second.resolve(reserve(second, "k"), PLACED, SECOND)
    with first, second, pytest.raises(JournalError):
        first.resume(waiting, 2, NOW)
    assert outcomes(store) == ["not_placed", "placed"]


def test_a_second_look_in_one_process_costs_no_row(store):
    """Two journals are open here when another process opens and closes its own; what is then recorded must stay."""
    look = "from evocall import cli; cli.main(['history', '--csv'])"
    with Journal(store.where) as journal, Journal(store.where):
        subprocess.run([sys.executable, "-c", look], check=True, timeout=60, capture_output=True)
        journal.resolve(reserve(journal, "k"), PLACED, SECOND)
        seen = subprocess.run([sys.executable, "-c", look], check=True, timeout=60, capture_output=True, text=True)
    assert [line.split(",")[2] for line in seen.stdout.splitlines()] == ["outcome", "placed"]


def test_threads_share_a_journal(journal):
    """Each gets rows of its own, none is lost, and what is refused to one is not refused to another."""
    got, refused = [], []

    def dial(n: int) -> None:
        for turn in range(5):
            reserved = reserve(journal, f"k{n}/{turn}")
            with pytest.raises(Refused):
                reserve(journal, plan=plan_for(max_per_number_per_day=0))
            refused.append(n)
            record = journal.resolve(reserved, PLACED, SECOND)
            got.append((reserved.id, record.call.id, record.once_key == f"k{n}/{turn}"))

    threads = [threading.Thread(target=dial, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [(n, call_id(n), True) for n in range(1, 41)]
    assert len(refused) == 40
    assert [str(record.call.outcome) for record in journal.history.calls()] == ["placed"] * 40


def test_threads_with_one_key_reserve_it_once(journal):
    """Also when they share one transaction."""
    found = []
    start = threading.Barrier(8)

    def dial() -> None:
        start.wait()
        found.append(reserve(journal, "k"))

    threads = [threading.Thread(target=dial) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [None] * 7 + [Reserved(1)]


def in_one_transaction(journal: Journal, *works: Callable[[], object]) -> list[object]:
    """What threads get that wait for the journal at the same time: a result each, or the error that was raised."""
    results: list[object] = [None] * len(works)

    def run(n: int, work: Callable[[], object]) -> None:
        try:
            results[n] = work()
        except EvocallError as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    with journal._transactions._lock:
        for n, thread in enumerate(threads, 1):
            thread.start()
            while len(journal._transactions._jobs) < n and thread.is_alive():
                thread.join(0.001)
    for thread in threads:
        thread.join()
    return results


def test_an_error_that_threads_share_is_about_the_call_of_each(journal, store):
    """When the disk fails, each row of a campaign is reported with its own number."""
    store.refuse_writes(journal)
    numbers = [f"+1814555010{n}" for n in range(3)]
    works = [lambda number=number: place(journal, Service(), plan=plan_for(number=number)) for number in numbers]
    errors = in_one_transaction(journal, *works)
    assert [type(error) for error in errors] == [JournalError] * 3
    assert numbers == [error.call.number for error in errors]


def test_what_one_thread_cannot_write_costs_no_other_thread_its_record(journal):
    """A key that is no text is refused alone; the call that rings is recorded as placed."""
    reserved = reserve(journal, "k")
    record, error = in_one_transaction(
        journal, lambda: journal.resolve(reserved, PLACED, SECOND), lambda: reserve(journal, "\ud800")
    )
    assert isinstance(error, EvocallError)
    assert not isinstance(record, EvocallError)
    assert [str(kept.call.outcome) for kept in journal.history.calls()] == ["placed"]


@pytest.mark.parametrize("letter", ["k", "ß", "☎", "\U0001f4de"])
def test_a_key_has_at_most_a_thousand_bytes(journal, letter):
    """No index takes much longer ones; a key that cannot be held is refused before anything else."""
    longest = letter * (1000 // len(letter.encode()))
    reserved = reserve(journal, longest)
    journal.resolve(reserved, PLACED, SECOND)
    assert reserve(journal, longest).id == "0001"
    with pytest.raises(UsageError, match="at most 1000"):
        reserve(journal, longest + letter)
    with pytest.raises(UsageError, match="at most 1000"):
        journal.campaigns.begin(Campaign(longest + letter, "localhost", "default", "welcome", None), NOW)
    journal.campaigns.begin(Campaign(longest, "localhost", "default", "welcome", None), NOW)
    assert journal.campaigns.named(longest, "localhost") is None


def test_a_name_that_a_living_process_has_begun_stands_for_that_before_the_first_call(store):
    """Whoever comes with another flow is told what it stands for, and with the same one joins in."""
    with Journal(store.where) as one, Journal(store.where) as joining:
        assert one.campaigns.begin(SPRING, NOW) == SPRING
        with Journal(store.where) as other:
            assert other.campaigns.begin(replace(SPRING, flow="reminder"), NOW) == SPRING
            assert other.campaigns.begin(replace(SPRING, profile="other"), NOW) == SPRING
        assert joining.campaigns.begin(SPRING, NOW) == SPRING


def test_a_name_begun_by_a_process_that_is_gone_without_a_call_is_free_again(store):
    """As when the flow was a wrong one and the service refused all calls before any was sent."""
    reminder = replace(SPRING, flow="reminder")
    with Journal(store.where) as one:
        one.campaigns.begin(SPRING, NOW)
        assert one.campaigns.begin(reminder, NOW) == reminder
    with Journal(store.where) as other:
        assert other.campaigns.begin(SPRING, NOW) == SPRING
        key = Key("k", "spring")
        reserved = other.reserve(plan_for(), lambda _: None, key=key, username=None, now=NOW, hold_back=SECOND)
        other.resolve(reserved, PLACED, SECOND)
    with Journal(store.where) as third:
        assert third.campaigns.begin(reminder, NOW) == SPRING


def test_a_name_stays_with_whoever_began_it_while_others_join_and_end(store):
    """It is theirs as long as they live, also when the last one who has joined is gone."""
    with Journal(store.where) as one:
        one.campaigns.begin(SPRING, NOW)
        with Journal(store.where) as joining:
            joining.campaigns.begin(SPRING, NOW)
        with Journal(store.where) as other:
            assert other.campaigns.begin(replace(SPRING, flow="reminder"), NOW) == SPRING


def place_a_row(journal: Journal, service: Service) -> Call:
    """Place the call of one row of the campaign as it was begun."""
    terms = placing.Terms("row", campaign=SPRING)
    return placing.place(plan_for(), service, journal, terms, tell=lambda _: None, clock=Watch().clock())


def test_whoever_began_a_campaign_dials_for_it(journal, store):
    journal.campaigns.begin(SPRING, NOW)
    assert place_a_row(journal, Service(PLACED)).outcome == "placed"
    assert store.states() == ["placed"]


@pytest.mark.parametrize("change", [{"flow": "reminder"}, {"caller_id": "+18145550199"}, {"profile": "other"}])
def test_whoever_was_taken_for_dead_does_not_dial_when_the_campaign_was_begun_differently_since(store, change):
    """As a host that was suspended before its first call."""
    with Journal(store.where) as suspended:
        suspended.campaigns.begin(SPRING, NOW)
        store.forget_who_lives()
        with Journal(store.where) as other:
            assert other.campaigns.begin(replace(SPRING, **change), NOW) == replace(SPRING, **change)
        service = Service(PLACED)
        with pytest.raises(UsageError) as caught:
            place_a_row(suspended, service)
    assert (caught.value.code, caught.value.call.outcome) == ("campaign_changed", "not_placed")
    assert (service.asked, store.states()) == (0, [])


def test_no_call_is_placed_for_a_campaign_that_the_journal_does_not_know(journal, store):
    """Nobody would find out that its name stands for something."""
    service = Service(PLACED)
    with pytest.raises(UsageError):
        place_a_row(journal, service)
    assert (service.asked, store.states()) == (0, [])


def test_of_two_with_one_key_the_second_waits_and_gets_the_first_call(store):
    """While the first request is on its way the second says what it waits for, and sends nothing."""
    second_waits, first_done = threading.Event(), threading.Event()
    second_service, second_call = Service(), []

    def second() -> None:
        clock = placing.Clock(sleep=lambda _: first_done.wait())
        with Journal(store.where) as other:
            terms = placing.Terms("k")
            tell = lambda _: second_waits.set()  # noqa: E731 - a listener
            second_call.append(placing.place(plan_for(), second_service, other, terms, tell=tell, clock=clock))

    thread = threading.Thread(target=second)

    def while_sending() -> None:
        thread.start()
        assert second_waits.wait(30)

    with Journal(store.where) as journal:
        first_call = place(journal, Service(PLACED, watch=while_sending), once="k")
        first_done.set()
        thread.join()
    [found] = second_call
    assert (found.outcome, found.session_id, found.id) == ("already_placed", first_call.session_id, first_call.id)
    assert second_service.asked == 0


def test_a_second_attempt_asks_the_hours_again(journal):
    """A wait may last until it is too late to ring there; then the call was not placed."""
    hours = guard.read_hours("07:00-08:00")
    watch = Watch(datetime(2026, 5, 5, 11, 59, 58, tzinfo=UTC))
    service = Service(BUSY, PLACED)
    with pytest.raises(Refused):
        place(journal, service, plan=plan_for(hours=hours), watch=watch)
    assert service.asked == 1
    [record] = journal.history.calls()
    assert (record.call.outcome, record.call.error["code"]) == ("not_placed", "hours")


@pytest.mark.parametrize(
    ("answers", "asked", "outcome"),
    [
        ([BUSY, BUSY, PLACED], 3, "placed"),
        ([BUSY, BUSY, BUSY, PLACED], 3, "not_placed"),
        ([BUSY, LOST, PLACED], 2, "unknown"),
        ([LOST, PLACED], 1, "unknown"),
        ([REFUSED, PLACED], 1, "not_placed"),
        ([PLACED, PLACED], 1, "placed"),
    ],
)
def test_a_request_is_sent_again_only_when_it_placed_no_call(journal, answers, asked, outcome):
    service = Service(*answers)
    if outcome == "placed":
        place(journal, service, watch=Watch())
    else:
        with pytest.raises(EvocallError) as caught:
            place(journal, service, watch=Watch())
        assert caught.value.call.outcome == outcome
    [record] = journal.history.calls()
    assert (service.asked, record.call.outcome, record.attempt) == (asked, outcome, asked)


def test_a_service_that_asks_for_a_long_wait_is_not_waited_for(journal):
    """Two minutes are left to whoever called."""
    late = Answer(Outcome.NOT_PLACED, 429, error=RateLimited("Later."), resend=True, retry_after=120.0)
    watch, service = Watch(), Service(late, PLACED)
    with pytest.raises(RateLimited):
        place(journal, service, watch=watch)
    assert (service.asked, watch.now) == (1, NOW)


@pytest.mark.parametrize(
    ("minutes", "held"), [(0, True), (9, True), (9.99, True), (10, False), (60, False), (-60, True), (-1440, True)]
)
def test_an_unknown_call_holds_the_next_one_back_for_ten_minutes(journal, minutes, held):
    """By the clock of the request; a clock that jumps back does not unlock it."""
    journal.resolve(reserve(journal), LOST, SECOND)
    service, watch = Service(PLACED), Watch(NOW + timedelta(minutes=minutes))
    if held:
        with pytest.raises(OutcomeUnknown) as caught:
            place(journal, service, watch=watch)
        assert caught.value.code == "held_back"
    else:
        place(journal, service, watch=watch)
    assert service.asked == (0 if held else 1)


def test_a_later_outcome_lifts_the_hold_back_only_when_it_is_known_to_have_rung(journal):
    """A refusal in between says nothing about the call that may have rung; a placed one settles it."""
    journal.resolve(reserve(journal), LOST, SECOND)
    journal.resolve(reserve(journal, again=True), REFUSED, SECOND)
    with pytest.raises(OutcomeUnknown):
        reserve(journal)
    journal.resolve(reserve(journal, again=True), PLACED, SECOND)
    assert isinstance(reserve(journal), Reserved)


@pytest.mark.parametrize(
    ("age", "counts"),
    [(timedelta(hours=24) - SECOND, True), (timedelta(hours=24), False), (timedelta(hours=-1), True)],
)
def test_a_cap_looks_back_24_hours(journal, age, counts):
    """A clock that jumped back does not make room."""
    journal.resolve(reserve(journal, now=NOW - age), PLACED, SECOND)
    service = Service(PLACED)
    if counts:
        with pytest.raises(Refused):
            place(journal, service, plan=plan_for(max_per_day=1), watch=Watch())
    else:
        place(journal, service, plan=plan_for(max_per_day=1), watch=Watch())
    assert service.asked == (0 if counts else 1)


def test_a_purge_keeps_what_is_younger_and_what_is_still_running(journal):
    old = NOW - timedelta(days=91)
    journal.resolve(reserve(journal, "old", now=old), PLACED, SECOND)
    reserve(journal, "running", now=old)
    journal.resolve(reserve(journal, "young", now=NOW - timedelta(days=89)), PLACED, SECOND)
    assert journal.history.purge(NOW - timedelta(days=90)) == 1
    assert [record.once_key for record in journal.history.calls()] == ["young", "running"]


@dataclass
class Row:
    """A call as it should be remembered; `state` is what a later process is to find."""

    id: int
    holder: Journal
    key: str | None
    flow: str
    again: bool
    state: str
    requested_at: datetime

    @property
    def is_open(self) -> bool:
        return self.state in {"sending", "waiting"}

    @property
    def may_have_rung(self) -> bool:
        return self.state not in {"waiting", "not_placed"}


class Ledger(RuleBasedStateMachine):
    """Several processes at one journal, any of which may die at any moment, while the clock jumps."""

    journals = Bundle("journals")

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        store.empty()
        self.rows: list[Row] = []
        self.alive: list[Journal] = []
        self.now = NOW

    def teardown(self) -> None:
        for journal in self.alive:
            self.store.crash(journal)
            self.bury(journal)
        with Journal(self.store.where) as journal:
            self.agree(journal)

    @rule(target=journals)
    def open(self):
        journal = Journal(self.store.where)
        self.alive.append(journal)
        return journal

    @rule(
        journal=journals,
        key=st.sampled_from(["a", "b", "c", None]),
        flow=st.sampled_from("fg"),
        again=st.booleans(),
    )
    def reserve(self, journal, key, flow, again):
        """At most one call for a key; without one, none within ten minutes of an unknown one."""
        expected = self.expected(key, flow, again=again)
        try:
            found = reserve(journal, key, plan=plan_for(flow), again=again, now=self.now)
        except OutcomeUnknown:
            found = "held back"
        if isinstance(found, Reserved):
            assert expected == "reserved"
            self.rows.append(Row(found.id, journal, key, flow, again, "sending", self.now))
        elif isinstance(found, Call):
            assert (expected, found.outcome) == ("placed", "placed")
            assert found.id in {call_id(row.id) for row in self.rows if row.key == key and row.state == "placed"}
        else:
            assert expected == found

    def expected(self, key, flow, *, again):
        if key is not None:
            states = {row.state for row in self.rows if row.key == key}
            if states & {"sending", "waiting"}:
                return None
            if "placed" in states:
                return "placed"
            return "held back" if "unknown" in states and not again else "reserved"
        recent = [
            row.state
            for row in self.rows
            if row.flow == flow and row.state in {"placed", "unknown"} and row.requested_at > self.now - guard.HOLD_BACK
        ]
        return "held back" if recent[-1:] == ["unknown"] and not again else "reserved"

    def open_rows(self, *states):
        return [row for row in self.rows if row.state in states]

    @precondition(lambda self: self.open_rows("sending"))
    @rule(data=st.data())
    def wait(self, data):
        row = data.draw(st.sampled_from(self.open_rows("sending")))
        row.holder.wait(Reserved(row.id), BUSY)
        row.state = "waiting"

    @precondition(lambda self: self.open_rows("waiting"))
    @rule(data=st.data())
    def resume(self, data):
        row = data.draw(st.sampled_from(self.open_rows("waiting")))
        row.holder.resume(Reserved(row.id), 2, self.now)
        row.state, row.requested_at = "sending", self.now

    @precondition(lambda self: self.open_rows("sending", "waiting"))
    @rule(data=st.data(), outcome=st.sampled_from(sorted(ANSWERS)))
    def resolve(self, data, outcome):
        """A call that waits for its next attempt can only end as not placed."""
        row = data.draw(st.sampled_from(self.open_rows("sending", "waiting")))
        outcome = Outcome.NOT_PLACED if row.state == "waiting" else outcome
        record = row.holder.resolve(Reserved(row.id), ANSWERS[outcome], SECOND)
        row.state = outcome.value
        assert (record.call.outcome, record.once_key) == (outcome, row.key)

    @rule(journal=consumes(journals))
    def crash(self, journal):
        self.store.crash(journal)
        self.bury(journal)

    @rule(journal=consumes(journals))
    def leave(self, journal):
        """An error on the way out leaves rows open too."""
        journal.__exit__()
        self.bury(journal)

    def bury(self, journal):
        if journal in self.alive:
            self.alive = [one for one in self.alive if one is not journal]
        for row in self.rows:
            if row.holder is journal and row.is_open:
                row.state = "unknown" if row.state == "sending" else "not_placed"

    @rule(minutes=st.sampled_from([-60, -1, 1, 5, 10, 11]))
    def the_clock_jumps(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule(journal=journals)
    def agree(self, journal):
        """The history shows what should be remembered; a call in flight shows as unknown."""
        shown = [str(record.call.outcome) for record in journal.history.calls()][::-1]
        assert ["unknown" if row.is_open else row.state for row in self.rows] == shown

    @invariant()
    def the_disk_says_no_less_than_what_happened(self):
        """Rows of the dead may not be buried yet; all others are on disk as they are, and none ever changes back."""
        unburied = {"unknown": {"unknown", "sending"}, "not_placed": {"not_placed", "waiting"}}
        states = self.store.states()
        assert len(states) == len(self.rows)
        for row, state in zip(self.rows, states, strict=True):
            dead = all(row.holder is not journal for journal in self.alive)
            assert state in (unburied.get(row.state, {row.state}) if dead else {row.state})

    @invariant()
    def a_key_rings_once_unless_it_was_dialled_again(self):
        for n, row in enumerate(self.rows):
            if row.key is not None and not row.again:
                assert not any(earlier.may_have_rung for earlier in self.rows[:n] if earlier.key == row.key)


def test_whatever_happens_a_key_rings_once_and_no_call_is_forgotten(store):
    """Histories of some dozen steps each; a database takes ten times as long for one as a file."""
    examples = 120 if isinstance(store, InFile) else 20
    steps = settings(deadline=None, max_examples=examples, stateful_step_count=40)
    run_state_machine_as_test(lambda: Ledger(store), settings=steps)


def test_the_history_is_read_newest_first_and_filtered(journal):
    for n, outcome in enumerate(ANSWERS):
        journal.resolve(reserve(journal, f"k{n}", now=NOW + n * SECOND), ANSWERS[outcome], SECOND)
    assert [record.once_key for record in journal.history.calls()] == ["k2", "k1", "k0"]
    assert [record.once_key for record in journal.history.calls(Filter(limit=2))] == ["k2", "k1"]
    assert [record.once_key for record in journal.history.calls(Filter(since=NOW + SECOND))] == ["k2", "k1"]
    assert [record.once_key for record in journal.history.calls(Filter(outcome=Outcome.PLACED))] == ["k0"]
    assert list(journal.history.calls(Filter(number="+18145550199"))) == []


def test_a_history_of_many_pages_shows_each_call_once(journal, monkeypatch):
    """However the pages fall: the last one may be full, and a call may be added while they are read."""
    ids = [call_id(reserve(journal, f"k{n}", now=NOW - n * SECOND).id) for n in range(7)]
    for size, limit in product((1, 3, 4, 7, 8, 100), (None, 1, 3, 6, 7, 50)):
        monkeypatch.setattr(records, "PAGE", size)
        shown = [record.call.id for record in journal.history.calls(Filter(limit=limit))]
        assert shown == ids[::-1][:limit], (size, limit)
        reading = journal.history.calls(Filter(limit=limit))
        begun = [next(reading).call.id]
        ids.append(call_id(reserve(journal, f"added/{size}/{limit}").id))
        assert shown == [*begun, *(record.call.id for record in reading)], (size, limit)


@pytest.mark.parametrize("size", [2, 5])
def test_a_campaign_of_many_pages_has_each_row_once(journal, monkeypatch, size):
    """Of those that were placed, or may have been."""
    monkeypatch.setattr(records, "PAGE", size)
    for n in range(10):
        key = Key(f"k{n}", "c" if n % 2 else None)
        found = journal.reserve(plan_for(), lambda _: None, key=key, username=None, now=NOW, hold_back=guard.HOLD_BACK)
        journal.resolve(found, REFUSED if n == 3 else PLACED, SECOND)
    campaign = Campaign("c", "localhost", "default", "welcome", None)
    assert list(journal.campaigns.keys(campaign)) == [(f"k{n}", "placed") for n in (9, 7, 5, 1)]


def test_a_call_that_was_given_up_is_not_sent_again(journal, store):
    """Another host took this one for dead while it was sending, and somebody may have dialled instead."""
    reserved = reserve(journal, "k")
    store.run("UPDATE calls SET state = 'unknown'")
    with pytest.raises(JournalError, match="given up by another process"):
        journal.wait(reserved, Answer(Outcome.NOT_PLACED))
    assert store.states() == ["unknown"]


def test_a_late_answer_does_not_undo_what_was_found(journal, store):
    """The call was given up, and found by asking the service, before its own answer failed to come."""
    reserved = reserve(journal, "k")
    store.run("UPDATE calls SET state = 'unknown'")
    journal.history.settle("0001", "6743a0b1c2d3e4f5a6b7c8d9", "found")
    journal.resolve(reserved, Answer(Outcome.UNKNOWN, error=OutcomeUnknown("no answer")), SECOND)
    [record] = journal.history.calls()
    assert (record.call.outcome, record.call.session_id) == ("placed", "6743a0b1c2d3e4f5a6b7c8d9")


def resolve_soon(journal: Journal, reserved: Reserved) -> None:
    journal.resolve_soon(reserved, REFUSED, SECOND)
    journal.flush()
    raise JournalError("nobody waits for what became of it")


@pytest.mark.parametrize(
    ("state", "act"),
    [
        ("placed", lambda journal, reserved: journal.resolve(reserved, REFUSED, SECOND)),
        ("placed", resolve_soon),
        ("sending", lambda journal, reserved: journal.wait(reserved, BUSY)),
        ("waiting", lambda journal, reserved: journal.resume(reserved, 2, NOW)),
    ],
    ids=["resolve", "resolve_soon", "wait", "resume"],
)
def test_a_call_that_got_the_number_of_ours_is_left_alone(journal, store, state, act):
    """As after a failover that lost our row: a follower took over without it, and another host dialled there."""
    ours = reserve(journal, "ours")
    store.run("DELETE FROM calls")
    with Journal(store.where) as other:
        theirs = reserve(other, "theirs")
        assert theirs.id == ours.id
        if state == "placed":
            other.resolve(theirs, PLACED, SECOND)
        if state == "waiting":
            other.wait(theirs, BUSY)
        before = list(other.history.calls())
        with pytest.raises(JournalError):
            act(journal, ours)
        assert (store.states(), list(other.history.calls())) == ([state], before)


@pytest.mark.parametrize(
    "act",
    [
        lambda journal: journal.history.find("0001"),
        lambda journal: journal.history.settle("0001", "found", "it was seen"),
        lambda journal: journal.history.follow("0001", "seen", Ending(Phase.ENDED)),
    ],
    ids=["find", "settle", "follow"],
)
def test_whoever_lost_a_call_does_not_take_another_one_for_it(journal, store, act):
    """Following our call to its end must not write into theirs, which has the same name."""
    ours = reserve(journal, "ours")
    store.run("DELETE FROM calls")
    with Journal(store.where) as other:
        theirs = other.resolve(reserve(other, "theirs"), LOST, SECOND)
        with pytest.raises(JournalError, match="not in the journal any more"):
            journal.resolve(ours, PLACED, SECOND)
        with pytest.raises(JournalError, match="not in the journal any more"):
            act(journal)
        assert other.history.find("0001") == theirs


def test_a_call_whose_row_is_gone_is_reported_with_a_warning(journal, store):
    """Somebody emptied the journal while the phone rang."""
    told: list[str] = []
    service = Service(PLACED, watch=lambda: store.run("DELETE FROM calls"))
    call = placing.place(plan_for(), service, journal, placing.Terms(), tell=told.append)
    assert (call.outcome, call.session_id) == ("placed", PLACED.session_id)
    assert "could not be recorded" in told[0]


@pytest.mark.parametrize("version", ["'1.1'", "NULL"])
def test_tables_of_another_program_are_no_defect(evocall, signed_in, store, version):
    """Flyway calls its own one schema_version too."""
    Journal(store.where).__exit__()
    store.run("DROP TABLE schema_version")
    store.run("CREATE TABLE schema_version (version TEXT)")
    store.run(f"INSERT INTO schema_version VALUES ({version})")
    result = evocall("dial", "+18145550100")
    assert (result.code, signed_in.dials()) == (10, [])
    assert "another program's" in result.err


def test_a_table_that_was_emptied_is_no_defect(evocall, signed_in, store):
    """The hint mends it."""
    Journal(store.where).__exit__()
    store.run("DELETE FROM purged")
    result = evocall("dial", "+18145550100", "--json")
    error = json.loads(result.out)["error"]
    assert (result.code, "purged" in error["message"], signed_in.dials()) == (10, True, [])
    store.run(error["hint"].removesuffix(" mends it."))
    assert evocall("dial", "+18145550100").code == 0


def test_trying_out_writes_what_a_dial_writes_and_leaves_nothing(journal, store):
    journal.try_out()
    assert store.states() == []
    assert reserve(journal) == Reserved(1)


@pytest.mark.parametrize("refused", ["INSERT", "UPDATE"])
def test_trying_out_fails_where_a_dial_would(journal, store, refused):
    """The table of the calls takes nothing any more, though all others do."""
    if isinstance(store, InFile):
        store.run(f"CREATE TRIGGER refuse BEFORE {refused} ON calls BEGIN SELECT RAISE(ABORT, 'no'); END")
    else:
        store.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
        store.run(f"CREATE TRIGGER refuse BEFORE {refused} ON calls FOR EACH ROW EXECUTE FUNCTION refuse()")
    with pytest.raises(JournalError):
        journal.try_out()


def test_an_interruption_within_a_transaction_leaves_nothing_and_tells_all_who_share_it(journal, store):
    """Ctrl-C comes to the main thread, and the rows of the others must not be lost in silence."""

    def interrupted(_earlier):
        raise KeyboardInterrupt

    plan = plan_for()
    terms = {"key": Key("k"), "username": None, "now": NOW, "hold_back": guard.HOLD_BACK}
    with pytest.raises(KeyboardInterrupt):
        journal.reserve(plan, interrupted, **terms)
    assert store.states() == []
    assert reserve(journal, "k") == Reserved(1)


def test_an_interruption_while_the_outcome_is_written_leaves_unknown_to_the_next_in_the_same_process(
    journal, monkeypatch
):
    """A program that lives on after Ctrl-C must not wait for ever for a call of its own."""
    reserved = reserve(journal, "k")
    with monkeypatch.context() as moment:
        moment.setattr("evocall.journal.record", raising(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            journal.resolve(reserved, PLACED, SECOND)
    with pytest.raises(OutcomeUnknown):
        reserve(journal, "k")


def raising(error: type[BaseException]) -> Callable[..., Any]:
    """What raises that."""

    def run(*_: object) -> Any:
        raise error

    return run
