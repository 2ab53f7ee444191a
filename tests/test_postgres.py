"""A journal in PostgreSQL: whatever the server, the network or another host does, no phone rings twice."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from urllib.parse import quote

import psycopg
import pytest

from evocall import postgres as engine
from evocall import postgres_connection
from evocall.earlier import Key
from evocall.errors import EvocallError, JournalError, OutcomeUnknown
from evocall.history import Filter
from evocall.journal import Journal, Reserved
from evocall.model import Campaign, Ending, Phase
from evocall.schema import MIGRATIONS, VERSION
from evocall.transactions import Cursor
from tests import postgresql
from tests.faultserver import FaultServer, NeverAccepting, Visit, free_port, http
from tests.test_journal import (
    BUSY,
    LOST,
    NOW,
    PLACED,
    SECOND,
    InDatabase,
    Service,
    in_one_transaction,
    make_of_the_first_version,
    outcomes,
    place,
    plan_for,
    reserve,
)

CAMPAIGN = Campaign("c", "localhost", "default", "f", None)
TIMEOUT = 30  # seconds that a test waits for what must come


@pytest.fixture(scope="module")
def database(postgres_server):
    return postgres_server and postgres_server.database()


@pytest.fixture
def store(database, postgres, monkeypatch) -> Iterator[InDatabase]:
    """An empty database, which commands use as well."""
    with closing(InDatabase(database)) as store:
        monkeypatch.setenv("EVOCALL_JOURNAL", store.where)
        yield store


@pytest.fixture
def journal(store):
    with Journal(store.where) as journal:
        yield journal


@pytest.fixture
def preset(database, postgres):
    """Gives a setting of the server another value for those who connect from now on."""
    name = database.rpartition("/")[2]

    def preset_to(setting: str, value: str) -> None:
        with postgres.connected("postgres") as connection:
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())

    yield preset_to
    with postgres.connected("postgres") as connection:
        connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())


@pytest.fixture
def hurried(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(postgres_connection, "PATIENCE", 4.0)
    monkeypatch.setitem(postgres_connection.CONNECT, "connect_timeout", "3")


@contextmanager
def impatient(seconds: float) -> Iterator[None]:
    """What is done within the block is given up soon; what comes after it has time even on a machine that is busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_connection, "PATIENCE", seconds)
        yield


@pytest.fixture
def patient(monkeypatch):
    """Also a server that was given up before is waited for."""
    monkeypatch.setattr(postgres_connection, "PATIENCE", 60.0)
    monkeypatch.setattr(postgres_connection, "BRIEF", 60.0)


def wait_until(condition: Callable[[], object]) -> None:
    """Come back when it is so."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[list[object]]:
    """Do the work in another thread; after the block the list holds what it returned, or raised of ours."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except EvocallError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        thread.join(TIMEOUT)
    assert not thread.is_alive()


def cut(store: InDatabase) -> int:
    """End all connections to the database but our own, and come back when they are gone; how many there were."""
    ended = store.run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    assert all(gone for (gone,) in ended)
    return len(ended)


# Opening


@pytest.mark.parametrize("made", [lambda _: None, make_of_the_first_version], ids=["empty", "of the first version"])
def test_twenty_that_open_at_once_make_the_tables_once(store, made):
    """The first one makes them or brings them up to date, while the others wait."""
    made(store)
    start = threading.Barrier(20)
    opened = []

    def open_and_look() -> None:
        start.wait(TIMEOUT)
        with Journal(store.where) as journal:
            journal.try_out()
            opened.append(len(list(journal.history.calls())))

    threads = [threading.Thread(target=open_and_look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = len(store.states())
    assert opened == [calls] * 20
    assert store.run("SELECT version FROM schema_version") == [(VERSION,)]
    assert store.run("SELECT newest FROM purged") == [(0,)]


def test_eight_processes_with_one_key_place_one_call_by_a_database_that_none_of_them_found(store, signed_in):
    """One makes the tables, one dials."""
    dial = [sys.executable, "-m", "evocall", "dial", "+18145550100", "--once", "k", "--json"]
    processes = [subprocess.Popen(dial, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    documents = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    [call] = signed_in.calls
    assert [document["session_id"] for document in documents] == [call.id] * 8
    assert sorted(document["outcome"] for document in documents) == ["already_placed"] * 7 + ["placed"]
    assert outcomes(store) == ["placed"]


def test_tables_that_are_there_need_no_right_to_make_others(store):
    """An administrator may have made them, and nobody else may then do so."""
    Journal(store.where).__exit__()
    with user(store, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}") as name:
        with Journal(store.where.replace(f"//{postgresql.USER}@", f"//{name}@")) as journal:
            assert place(journal, Service(PLACED), once="k").outcome == "placed"
            journal.pace("a", 1).take()
        assert outcomes(store) == ["placed"]


@pytest.mark.parametrize("step", range(1, len(MIGRATIONS)))
def test_every_older_version_is_brought_up_to_date(store, step):
    """As far as it is from this one."""
    make_of_the_first_version(store)
    for migration in MIGRATIONS[1:step]:
        for statement in migration.split(";"):
            store.run(statement)
    store.run("UPDATE schema_version SET version = ?", step)
    with Journal(store.where) as journal:
        assert reserve(journal, "k").id == "0007"
        assert reserve(journal, "new") == Reserved(8)
    assert store.run("SELECT version FROM schema_version") == [(VERSION,)]


def test_journals_in_two_schemas_of_one_database_do_not_see_each_other(store):
    """Nor do they share a lease or a pace."""
    store.run("DROP SCHEMA IF EXISTS one CASCADE")
    store.run("DROP SCHEMA IF EXISTS other CASCADE")
    store.run("CREATE SCHEMA one")
    store.run("CREATE SCHEMA other")
    urls = [f"{store.where}?options=-csearch_path%3D{name}" for name in ("one", "other")]
    with Journal(urls[0]) as one, Journal(urls[1]) as other:
        assert reserve(one, "k") == Reserved(1)
        assert list(other.history.calls()) == []
        assert reserve(other, "k") == Reserved(1)
        one.pace("a", 1).hold(60)
        assert not other.pace("a", 1).held()
    for name in ("one", "other"):
        assert store.run(f"SELECT once_key FROM {name}.calls") == [("k",)]
    assert store.run("SELECT to_regclass('public.calls')") == [(None,)]


@pytest.fixture
def attempts(monkeypatch) -> list[str]:
    """Each attempt to connect."""
    made: list[str] = []
    connect = psycopg.connect

    def counted(*arguments, **options):
        made.append(str(options.get("dbname")))
        return connect(*arguments, **options)

    monkeypatch.setattr(postgres_connection.psycopg, "connect", counted)
    return made


def test_a_journal_that_is_opened_while_its_server_restarts_waits_for_it(
    postgres, database, store, restarted, attempts, patient
):
    """Two cron hosts at nine o'clock would else both not dial."""
    stop, start = restarted
    stop("fast")
    with beside(lambda: Journal(database).__exit__()) as results:
        wait_until(lambda: len(attempts) > 1)
        start()
    assert results == [None]


def test_a_journal_that_is_opened_while_all_connections_are_used_waits_for_one(store, attempts, patient):
    Journal(store.where).__exit__()
    with user(store, "ALTER ROLE {} CONNECTION LIMIT 1", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}") as name:
        url = store.where.replace(f"//{postgresql.USER}@", f"//{name}@")
        with closing(psycopg.connect(url)) as only:
            attempts.clear()
            with beside(lambda: Journal(url).__exit__()) as results:
                wait_until(lambda: len(attempts) > 1)
                only.close()
    assert results == [None]


@pytest.fixture
def no_follower(postgres) -> Iterator[None]:
    """Each commit waits for a follower that is gone."""
    enough = threading.Event()

    def write() -> None:
        with postgres.connected("postgres") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS written ()")
            while not enough.is_set():
                connection.execute("INSERT INTO written DEFAULT VALUES")

    with postgres.connected("postgres") as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        connection.execute("SELECT pg_reload_conf()")
        with beside(write):
            try:
                waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                wait_until(lambda: connection.execute(waits).fetchall())
                yield
            finally:
                enough.set()
                connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
                connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("made", [lambda _: None, make_of_the_first_version], ids=["empty", "of the first version"])
def test_tables_whose_making_cannot_be_committed_are_given_up_in_time(store, hurried, monkeypatch, request, made):
    """A server that waits for a follower that is gone waits for ever."""
    monkeypatch.setattr(engine, "BEGIN", engine.BEGIN.replace("lock_timeout = '8s'", "lock_timeout = '300ms'"))
    made(store)
    request.getfixturevalue("no_follower")
    with beside(lambda: Journal(store.where)) as results:
        pass
    assert [type(result) for result in results] == [JournalError]


# What stands in the way

SECRET = "horse"  # part of every password here


@contextmanager
def user(store: InDatabase, *grants: str) -> Iterator[str]:
    """A user who may only connect, besides what these statements allow; the password is the usual one."""
    name = "guest"
    store.run(f"CREATE ROLE {name} LOGIN PASSWORD '{postgresql.PASSWORD}'")
    store.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        store.run(f"GRANT USAGE ON SCHEMA public TO {name}")
        for grant in grants:
            store.run(grant.format(name))
        yield name
    finally:
        store.run(f"DROP OWNED BY {name}")
        store.run(f"DROP ROLE {name}")


@contextmanager
def wrong_password(_server, _store):
    yield {"password": "wrong horse"}


@contextmanager
def no_password(_server, _store):
    yield {"password": ""}


@contextmanager
def unknown_user(_server, _store):
    yield {"user": "stranger"}


@contextmanager
def unknown_database(_server, _store):
    yield {"database": "nosuch"}


@contextmanager
def no_right_to_make_tables(_server, store):
    with user(store) as name:
        yield {"user": name}


@contextmanager
def no_right_to_write(_server, store):
    Journal(store.where).__exit__()
    with user(store, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}") as name:
        yield {"user": name}


@contextmanager
def no_right_to_connect(_server, store):
    database = store.where.rpartition("/")[2]
    with user(store) as name:
        store.run(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
        try:
            yield {"user": name}
        finally:
            store.run(f"GRANT CONNECT ON DATABASE {database} TO PUBLIC")


@contextmanager
def a_follower(_server, _store):
    yield {"query": "?options=-cdefault_transaction_read_only%3Don"}


@contextmanager
def refused(_server, _store):
    yield {"host": f"127.0.0.1:{free_port()}"}


@contextmanager
def unknown_host(_server, _store):
    yield {"host": "nosuchhost.invalid"}


@contextmanager
def no_root_certificate(_server, _store):
    yield {"query": "?sslmode=verify-full&sslrootcert=/nonexistent"}


@contextmanager
def unknown_authority(_server, store):
    yield {"query": "?sslmode=verify-full&sslrootcert=system"}


@contextmanager
def no_table_of_calls(_server, store):
    Journal(store.where).__exit__()
    store.run("DROP TABLE calls")
    yield {}


@contextmanager
def swallowed(_server, _store):
    with NeverAccepting() as host:
        yield {"host": host.base_url.removeprefix("http://")}


@contextmanager
def silent(_server, _store):
    with FaultServer(Visit.stay_silent) as host:
        yield {"host": f"127.0.0.1:{host.port}"}


@contextmanager
def hung_up(_server, _store):
    with FaultServer(Visit.close) as host:
        yield {"host": f"127.0.0.1:{host.port}"}


@contextmanager
def another_service(_server, _store):
    with FaultServer(lambda visit: visit.send(http("400 Bad Request"))) as host:
        yield {"host": f"127.0.0.1:{host.port}"}


@contextmanager
def frozen(server, _store):
    server.freeze()
    try:
        yield {}
    finally:
        server.thaw()


@contextmanager
def latin(server, _store):
    with server.connected("postgres") as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
        try:
            yield {"database": "latin"}
        finally:
            connection.execute("DROP DATABASE latin WITH (FORCE)")


@contextmanager
def of_bytes(server, _store):
    with server.connected("postgres") as connection:
        connection.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
        try:
            yield {"database": "bytes"}
        finally:
            connection.execute("DROP DATABASE bytes WITH (FORCE)")


TROUBLE = [
    (wrong_password, "PGPASSWORD"),
    (no_password, "PGPASSWORD"),
    (unknown_user, "PGPASSWORD"),
    (unknown_database, "createdb"),
    (no_right_to_make_tables, "must own its database"),
    (no_right_to_write, "must own its database"),
    (no_right_to_connect, "must own its database"),
    (a_follower, "target_session_attrs=read-write"),
    (refused, "Is PostgreSQL running there"),
    (unknown_host, "Is the name of its host right?"),
    (no_root_certificate, "PGSSLROOTCERT"),
    (unknown_authority, "PGSSLROOTCERT"),
    (no_table_of_calls, None),
    (swallowed, "Is PostgreSQL running there"),
    (silent, "Is PostgreSQL running there"),
    (hung_up, None),
    (another_service, None),
    (frozen, "Is PostgreSQL running there"),
    (latin, "--encoding=UTF8"),
    (of_bytes, "--encoding=UTF8"),
]


def address(server: postgresql.Server, store: InDatabase, changes: dict[str, str]) -> dict[str, str]:
    """The parts of a URL, of which a trouble has changed some."""
    parts = {"user": postgresql.USER, "password": postgresql.PASSWORD, "host": f"127.0.0.1:{server.port}"}
    return {**parts, "database": store.where.rpartition("/")[2], "query": "", **changes}


@pytest.mark.parametrize(("trouble", "hint"), TROUBLE)
def test_without_its_database_nothing_is_dialled(
    evocall, signed_in, store, postgres, monkeypatch, hurried, trouble, hint
):
    """One error says what is wrong and what to do."""
    with trouble(postgres, store) as changes:
        parts = address(postgres, store, changes)
        monkeypatch.setenv("PGPASSWORD", parts["password"])
        monkeypatch.setenv("EVOCALL_JOURNAL", "postgresql://{user}@{host}/{database}{query}".format(**parts))
        result = evocall("dial", "+18145550100", "--json", "--verbose")
    error = json.loads(result.out)["error"]
    assert (result.code, error["code"], signed_in.dials()) == (10, "journal", [])
    assert "ournal postgresql://" in error["message"]
    assert (hint or "") in (error["hint"] or "")
    assert (hint is None) == (error["hint"] is None)
    assert SECRET not in result.out + result.err


@pytest.mark.parametrize("trouble", [wrong_password, unknown_user, unknown_database, unknown_host, no_right_to_connect])
def test_what_does_not_pass_is_not_waited_for(store, postgres, monkeypatch, attempts, trouble):
    """Trying again with a wrong password may lock the user out."""
    with trouble(postgres, store) as changes:
        parts = address(postgres, store, changes)
        monkeypatch.setenv("PGPASSWORD", parts["password"])
        with pytest.raises(JournalError):
            Journal("postgresql://{user}@{host}/{database}{query}".format(**parts))
    assert len(attempts) == 1


@pytest.mark.parametrize("trouble", [trouble for trouble, _ in TROUBLE])
def test_a_password_in_the_url_is_in_no_error(store, postgres, monkeypatch, hurried, trouble):
    """Nor in anything that it was raised from."""
    with trouble(postgres, store) as changes:
        monkeypatch.delenv("PGPASSWORD")
        parts = address(postgres, store, changes)
        parts["password"] = quote(parts["password"])
        url = "postgresql://{user}:{password}@{host}/{database}{query}".format(**parts)
        with pytest.raises(JournalError) as caught, Journal(url) as journal:
            reserve(journal)
    assert caught.value.exit_code == 10
    shown = [repr(caught.value), str(caught.value.hint), *traceback.format_exception(caught.value)]
    assert [text for text in shown if SECRET in text] == []


def test_what_is_open_does_not_show_its_password(store, monkeypatch):
    """Neither to whoever prints it, nor in the history of its own errors."""
    monkeypatch.delenv("PGPASSWORD")
    login = f"{postgresql.USER}:{quote(postgresql.PASSWORD)}"
    with Journal(store.where.replace(f"//{postgresql.USER}@", f"//{login}@")) as journal:
        assert journal.name == store.where
        connection = journal.engine._connection
        parts = (journal, journal.engine, connection, connection._current, journal.pace("a", 1))
        assert [part for part in parts if SECRET in f"{part!r} {part}"] == []
        store.refuse_writes(journal)
        with pytest.raises(JournalError) as caught:
            reserve(journal)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://evocall:correct%zzhorse@127.0.0.1:1/journal",
        "postgresql://evocall:correct%00horse@127.0.0.1:1/journal",
        "postgresql://evocall:horse%@127.0.0.1:1/journal",
        "postgresql://evocall@127.0.0.1:1/journal?password=horse%zz",
        "postgresql://evocall@127.0.0.1:1/journal?password=horse%00",
        "postgresql://evocall@127.0.0.1:1/journal?sslpassword=horse%1",
        "postgresql://evocall:horse@127.0.0.1:1/%zz",
        "postgresql://evocall:horse@127.0.0.1:1/journal?sslmode=perhaps",
        "postgresql://evocall:horse@127.0.0.1:1/journal?nonsense=1",
        "postgresql://evocall:horse@127.0.0.1:99999999/journal",
        "postgresql://evocall:correct%ffhorse@127.0.0.1:1/journal",
        "postgresql://evocall:horse@127.0.0.1:1/\udcff",
        "postgresql://evocall:horse@127.0.0.1:1/journal?application_name=\udcff",
        "postgresql://evocall:horse\udcff@127.0.0.1:1/journal",
    ],
)
def test_a_url_that_libpq_cannot_read_does_not_give_its_password_away(evocall, signed_in, monkeypatch, url):
    """A percent sign that was not written as %25 is a common one; libpq would quote the password in its error."""
    monkeypatch.setenv("EVOCALL_JOURNAL", url)
    result = evocall("dial", "+18145550100", "--verbose")
    with pytest.raises(JournalError) as caught:
        Journal(url)
    assert (result.code, caught.value.exit_code) == (10, 10)
    shown = [result.out, result.err, repr(caught.value), *traceback.format_exception(caught.value)]
    assert [text for text in shown if SECRET in text] == []


MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name=name)

if "without" in sys.argv[1]:
    sys.meta_path.insert(0, Missing())
from evocall.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("psycopg_is", ["without it", "with one that has no libpq"])
def test_without_psycopg_the_error_says_how_to_get_it(signed_in, monkeypatch, psycopg_is):
    """A journal in a file does not need it."""
    if "libpq" in psycopg_is:
        monkeypatch.setenv("PSYCOPG_IMPL", "none")
    command = [sys.executable, "-c", MISSING, psycopg_is]
    there = subprocess.run([*command, "history"], capture_output=True, text=True, timeout=60, check=False)
    assert (there.returncode, there.stderr) == (0, "evocall: no calls yet.\n")
    monkeypatch.setenv("EVOCALL_JOURNAL", "postgresql://evocall@127.0.0.1:1/journal")
    dial = subprocess.run(
        [*command, "dial", "+18145550100", "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    error = json.loads(dial.stdout)["error"]
    assert (dial.returncode, error["code"], signed_in.dials()) == (10, "no_psycopg", [])
    assert "psycopg" in error["message"]
    assert "pip install 'evocall[postgres]'" in error["hint"]


# What a database cannot hold


@pytest.mark.parametrize("key", ["\0", "a\0b", "\ud800", "a\udcffb"])
def test_a_key_that_is_no_text_costs_no_other_thread_its_row(journal, store, key):
    """It is refused alone, although all of them share a transaction."""
    ringing = reserve(journal, "ringing")
    results = in_one_transaction(
        journal,
        lambda: reserve(journal, "one"),
        lambda: reserve(journal, key),
        lambda: journal.resolve(ringing, PLACED, SECOND),
        lambda: reserve(journal, "other"),
    )
    assert (results[0], results[3]) == (Reserved(2), Reserved(3))
    assert (results[1].code, results[1].exit_code, results[2].call.outcome) == ("no_text", 10, "placed")
    assert store.states() == ["placed", "sending", "sending"]


@pytest.mark.parametrize("text", ["\0", "\ud800", "a\udcffb"])
@pytest.mark.parametrize(
    "look",
    [
        lambda journal, text: list(journal.history.calls(Filter(campaign=text))),
        lambda journal, text: list(journal.history.calls(Filter(profile=text))),
        lambda journal, text: list(journal.campaigns.keys(replace(CAMPAIGN, name=text))),
        lambda journal, text: journal.campaigns.named(text, "localhost"),
        lambda journal, text: journal.campaigns.call(CAMPAIGN, text),
        lambda journal, text: journal.campaigns.begin(replace(CAMPAIGN, name=text), NOW),
        lambda journal, text: journal.earlier(plan_for(), key=Key(text), now=NOW, hold_back=SECOND),
    ],
    ids=["calls", "profile", "keys", "campaign", "call", "begin", "earlier"],
)
def test_a_name_that_is_no_text_is_refused_wherever_it_is_looked_for(journal, look, text):
    """A shell hands over bytes that are no UTF-8 as lone surrogates."""
    with pytest.raises(JournalError) as caught:
        look(journal, text)
    assert caught.value.code == "no_text"


# Leases


def test_a_lease_is_renewed_while_its_process_lives(store, monkeypatch):
    """By nobody but its own, whatever the process does meanwhile."""
    monkeypatch.setattr(engine, "RENEWAL", 0.02)
    with Journal(store.where) as journal, Journal(store.where) as other:
        reserve(journal, "k")
        [(left,)] = store.run(f"SELECT ends_at - {engine.NOW} FROM leases")
        assert 0 < left <= engine.LEASE
        store.forget_who_lives()
        wait_until(lambda: store.run(f"SELECT 1 FROM leases WHERE ends_at > {engine.NOW}"))
        assert reserve(other, "k") is None
    assert store.states() == ["sending"]


def test_a_lease_is_renewed_after_the_connection_was_cut(store, monkeypatch):
    monkeypatch.setattr(engine, "RENEWAL", 0.02)
    with Journal(store.where) as journal:
        reserve(journal, "k")
        assert cut(store) == 1
        store.forget_who_lives()
        wait_until(lambda: store.run(f"SELECT 1 FROM leases WHERE ends_at > {engine.NOW}"))
        assert outcomes(store) == ["unknown"]
        assert store.states() == ["sending"]


def test_only_a_lease_that_cannot_have_ended_allows_a_request_to_leave(store, monkeypatch):
    """By a clock that goes on while the machine sleeps. Who woke up must look into the journal before it dials."""
    at = 1000.0
    monkeypatch.setattr(engine, "_clock", lambda: at)
    monkeypatch.setattr(engine, "RENEWAL", 3600.0)
    with Journal(store.where) as journal:
        slept, busy = reserve(journal, "slept"), reserve(journal, "busy")
        at += engine.SURE - 1
        assert journal.is_ours(slept)
        at += 2
        assert not journal.is_ours(slept)
        journal.wait(busy, BUSY)
        assert journal.is_ours(journal.resume(busy, 2, NOW))
        assert not journal.is_ours(slept)  # the lease is renewed, but others may have seen that it had ended
        assert journal.is_ours(journal.resume(slept, 1, NOW))


def test_a_lease_that_is_renewed_in_time_allows_it_for_ever(store, monkeypatch):
    at = 1000.0
    monkeypatch.setattr(engine, "_clock", lambda: at)
    monkeypatch.setattr(engine, "RENEWAL", 0.02)
    with Journal(store.where) as journal:
        reserved = reserve(journal, "k")
        for _ in range(4):
            at += engine.SURE - 1
            [(before,)] = store.run("SELECT ends_at FROM leases")
            for _ in range(2):  # the first one may have begun before the clock was set
                wait_until(lambda: store.run(f"SELECT 1 FROM leases WHERE ends_at > {before}"))  # noqa: B023
                [(before,)] = store.run("SELECT ends_at FROM leases")
            assert journal.is_ours(reserved)


def test_a_renewal_that_was_not_committed_counts_for_nothing(store, monkeypatch):
    """The server did not take it, so the lease ends as before."""
    at = 1000.0
    monkeypatch.setattr(engine, "_clock", lambda: at)
    monkeypatch.setattr(engine, "RENEWAL", 3600.0)
    with Journal(store.where) as journal:
        reserved = reserve(journal, "k")
        at += engine.SURE - 1

        def renew(cursor: Cursor) -> None:
            journal.engine.show_life(cursor)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            journal.engine.transaction(renew)
        at += 2
        assert not journal.is_ours(reserved)


def test_a_lease_that_has_ended_gives_its_rows_up_but_the_late_owner_knows_best(store):
    """What was being sent may have rung and what waited did not; an answer that comes after all is the truth."""
    with Journal(store.where) as late, Journal(store.where) as other:
        sent, waiting = reserve(late, "sent"), reserve(late, "waiting")
        late.wait(waiting, BUSY)
        store.forget_who_lives()
        with pytest.raises(OutcomeUnknown):
            reserve(other, "sent")
        assert reserve(other, "waiting") == Reserved(3)
        assert store.states() == ["unknown", "not_placed", "sending"]
        assert other.history.find("0001").call.error["code"] == "died"
        with pytest.raises(JournalError):
            late.resume(waiting, 2, NOW)
        assert late.resolve(sent, PLACED, SECOND).call.outcome == "placed"
        found = reserve(other, "sent")
        assert (found.outcome, found.session_id, found.error) == ("placed", PLACED.session_id, None)
    assert store.states() == ["placed", "not_placed", "sending"]


def test_a_lease_is_given_back_at_the_end(store):
    """So that nobody waits for it to end, whatever was left open."""
    with Journal(store.where) as journal:
        reserve(journal, "k")
        assert len(store.run("SELECT holder FROM leases")) == 1
    assert store.run("SELECT holder FROM leases") == []
    with Journal(store.where) as journal, pytest.raises(OutcomeUnknown):
        reserve(journal, "k")


def test_leases_of_the_dead_are_cleared_away(store):
    """A thousand crashes leave no thousand rows."""
    Journal(store.where).__exit__()
    store.run("INSERT INTO leases (holder, ends_at) SELECT n::TEXT, n FROM generate_series(1, 1000) n")
    with Journal(store.where) as journal:
        reserve(journal)
        assert store.run("SELECT holder FROM leases") == [(journal.engine.holder,)]


def test_a_process_that_was_suspended_for_longer_than_its_lease_still_tells_what_became_of_its_call(
    store, signed_in, started
):
    """Others take the call for one that may have rung, and dial again only when told to."""
    answer = threading.Event()

    def script(visit: Visit) -> None:
        visit.read()
        answer.wait(TIMEOUT)
        visit.send(http("200 OK", json.dumps(PLACED.response).encode()))

    service = started(FaultServer(script))
    dial = [sys.executable, "-m", "evocall", "dial", "+18145550100", "--once", "k", "--json"]
    with subprocess.Popen(dial, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert service.touched.wait(TIMEOUT)
        os.kill(process.pid, signal.SIGSTOP)
        store.forget_who_lives()
        with Journal(store.where) as journal, pytest.raises(OutcomeUnknown):
            reserve(journal, "k", plan=plan_for())
        assert outcomes(store) == ["unknown"]
        os.kill(process.pid, signal.SIGCONT)
        answer.set()
        document = json.loads(process.communicate(timeout=TIMEOUT)[0])
    assert (process.returncode, document["outcome"]) == (0, "placed")
    assert outcomes(store) == ["placed"]


# Connections that break


def nothing(_: Journal) -> None:
    pass


def sending(journal: Journal) -> Reserved:
    return reserve(journal, "k")


def waiting(journal: Journal) -> Reserved:
    reserved = reserve(journal, "k")
    journal.wait(reserved, BUSY)
    return reserved


def unknown(journal: Journal) -> None:
    journal.resolve(reserve(journal, "k"), LOST, SECOND)


def placed(journal: Journal) -> None:
    journal.resolve(reserve(journal, "k"), PLACED, SECOND)


def dialled(journal: Journal) -> None:
    """A campaign with one call."""
    journal.campaigns.begin(CAMPAIGN, NOW)
    key = Key("row", "c")
    found = journal.reserve(plan_for(), lambda _: None, key=key, username=None, now=NOW, hold_back=SECOND)
    journal.resolve(found, PLACED, SECOND)


def resolve_soon(journal: Journal, reserved: Reserved) -> None:
    journal.resolve_soon(reserved, PLACED, SECOND)
    journal.flush()


def untimed(act: Callable[[Journal], object]) -> Callable[[Journal, object], None]:
    """Without its result, which is another one each time."""

    def run(journal: Journal, _: object) -> None:
        act(journal)

    return run


WRITES = {
    "reserve": (nothing, lambda journal, _: reserve(journal, "k")),
    "earlier": (placed, lambda journal, _: journal.earlier(plan_for(), key=Key("k"), now=NOW, hold_back=SECOND)),
    "wait": (sending, lambda journal, reserved: journal.wait(reserved, BUSY)),
    "resume": (waiting, lambda journal, reserved: journal.resume(reserved, 2, NOW)),
    "resolve": (sending, lambda journal, reserved: journal.resolve(reserved, PLACED, SECOND)),
    "resolve_soon": (sending, resolve_soon),
    "settle": (unknown, lambda journal, _: journal.history.settle("0001", "found", "it was seen")),
    "follow": (placed, lambda journal, _: journal.history.follow("0001", "seen", Ending(Phase.ENDED, seconds=7.5))),
    "begin": (nothing, lambda journal, _: journal.campaigns.begin(CAMPAIGN, NOW)),
    "purge": (placed, lambda journal, _: journal.history.purge(NOW + SECOND)),
    "try_out": (nothing, untimed(lambda journal: journal.try_out())),
    "take": (nothing, untimed(lambda journal: journal.pace("a", 1).take())),
    "hold": (nothing, lambda journal, _: journal.pace("a", 1).hold(60)),
}
READS = {
    "calls": (placed, lambda journal, _: list(journal.history.calls())),
    "find": (placed, lambda journal, _: journal.history.find("0001")),
    "campaign": (dialled, lambda journal, _: journal.campaigns.named("c", "localhost")),
    "campaign_keys": (dialled, lambda journal, _: list(journal.campaigns.keys(CAMPAIGN))),
    "campaign_call": (dialled, lambda journal, _: journal.campaigns.call(CAMPAIGN, "row")),
    "held": (lambda journal: journal.pace("a", 1).hold(60), lambda journal, _: journal.pace("a", 1).held()),
}
KEPT = (
    "SELECT to_jsonb(c) - 'holder' FROM calls c ORDER BY id",
    "SELECT to_jsonb(c) - 'holder' FROM campaigns c ORDER BY name",
    "SELECT newest FROM purged",
    "SELECT account FROM paces",
    "SELECT COUNT(*) FROM leases",
)


def undisturbed(store: InDatabase, begin, act) -> tuple[object, object]:
    """What it returns, and what it leaves in the database, when nothing happens; it is empty again afterwards."""
    with Journal(store.where) as journal:
        result = act(journal, begin(journal))
        kept = [store.run(statement) for statement in KEPT]
    store.empty()
    return result, kept


@pytest.mark.parametrize("what", [*WRITES, *READS])
def test_a_connection_that_was_cut_is_made_anew(store, what):
    """Nobody notices: the result is the same, and so is what is kept."""
    begin, act = {**WRITES, **READS}[what]
    expected = undisturbed(store, begin, act)
    with Journal(store.where) as journal:
        begun = begin(journal)
        assert cut(store) == 1
        result = act(journal, begun)
        assert (result, [store.run(statement) for statement in KEPT]) == expected


class Line(FaultServer):
    """A way to the server that can be told to break around the next COMMIT, and to let nobody through again."""

    def __init__(self, port: int) -> None:
        super().__init__(self._carry)
        self._server_port = port
        self.breaks: str | None = None
        self.closed_afterwards = self.closed = False

    def to(self, url: str) -> str:
        """The URL by this way, and without TLS, since the line must be able to read."""
        return f"{url.replace(f':{self._server_port}/', f':{self.port}/')}?sslmode=disable"

    def _carry(self, visit: Visit) -> None:
        if self.closed:
            return
        with socket.create_connection(("127.0.0.1", self._server_port)) as server:
            back = threading.Thread(target=self._back, args=(server, visit))
            back.start()
            with suppress(OSError):
                self._forth(visit, server)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _forth(self, visit: Visit, server: socket.socket) -> None:
        while data := visit._sock.recv(65536):
            if self.breaks and data.endswith(b"COMMIT\0"):
                self.closed = self.closed_afterwards
                if self.breaks == "before":
                    self.breaks = None
                    return
            server.sendall(data)

    def _back(self, server: socket.socket, visit: Visit) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self.breaks == "after" and b"COMMIT\0" in data:
                    self.breaks = None
                    break
                visit.send(data)
        visit.hang_up()


@pytest.fixture
def line(store, postgres):
    """A way to the database whose tables are there."""
    Journal(store.where).__exit__()
    with Line(postgres.port) as line:
        yield line


@pytest.fixture
def by_the_line(store, postgres, line):
    """The journal at the other end."""
    with Journal(line.to(store.where)) as journal:
        yield journal


@pytest.mark.parametrize("breaks", ["before", "after"])
@pytest.mark.parametrize("what", WRITES)
def test_a_line_that_breaks_around_the_commit_changes_nothing(store, postgres, what, breaks):
    """Nobody can know whether the server has committed, and so the work itself looks."""
    begin, act = WRITES[what]
    expected = undisturbed(store, begin, act)
    Journal(store.where).__exit__()
    with Line(postgres.port) as line, Journal(line.to(store.where)) as journal:
        begun = begin(journal)
        line.breaks = breaks
        result = act(journal, begun)
        assert (line.breaks, line.connections) == (None, 2)
        assert (result, [store.run(statement) for statement in KEPT]) == expected


@pytest.mark.parametrize("breaks", ["before", "after"])
def test_threads_that_share_a_broken_commit_get_a_row_each(store, line, by_the_line, breaks):
    """And no more than one, although the work of all is done twice."""
    line.breaks = breaks
    works = [lambda n=n: reserve(by_the_line, f"k{n}") for n in range(4)]
    results = in_one_transaction(by_the_line, *works)
    assert line.connections == 2
    keys = dict(store.run("SELECT id, once_key FROM calls"))
    assert keys == {reserved.id: f"k{n}" for n, reserved in enumerate(results)}
    assert store.states() == ["sending"] * 4


@pytest.mark.parametrize("breaks", ["before", "after"])
def test_a_line_that_breaks_while_the_tables_are_made_changes_nothing(store, postgres, breaks):
    with Line(postgres.port) as line:
        line.breaks = breaks
        with Journal(line.to(store.where)) as journal:
            assert reserve(journal) == Reserved(1)
        assert line.connections == 2
    assert store.run("SELECT version FROM schema_version") == [(VERSION,)]


def test_a_row_that_was_committed_without_our_knowledge_does_not_lock_its_key(line, by_the_line, patient):
    """The server went away with its answer, and nothing was dialled; the next try must not wait for the first one."""
    line.breaks, line.closed_afterwards = "after", True
    with impatient(1.0), pytest.raises(JournalError):
        reserve(by_the_line, "k")
    assert line.breaks is None
    line.closed = False
    try:
        again = reserve(by_the_line, "k")
    except OutcomeUnknown:
        again = reserve(by_the_line, "k", again=True)
    assert isinstance(again, Reserved)


def test_an_outcome_that_could_not_be_committed_is_unknown_to_all(store, line, by_the_line, patient):
    """Also to this process, although the row is its own; when the server is back, others are told so too."""
    reserved = reserve(by_the_line, "k")
    line.breaks, line.closed_afterwards = "before", True
    with impatient(1.0), pytest.raises(JournalError):
        by_the_line.resolve(reserved, PLACED, SECOND)
    line.closed = False
    with pytest.raises(OutcomeUnknown):
        reserve(by_the_line, "k")
    assert store.states() == ["unknown"]


# Servers that stop


@pytest.fixture
def restarted(postgres):
    """Stops the server, and starts it again at the end, if nobody has."""
    down = threading.Event()

    def stop(how: str) -> None:
        postgres.stop(how)
        down.set()

    def start() -> None:
        postgres.start()
        down.clear()

    yield stop, start
    if down.is_set():
        postgres.start()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_comes_back_in_time_is_waited_for(postgres, database, store, restarted, patient, how):
    """In the middle of a call, whether it was stopped in order or crashed."""
    stop, start = restarted
    with Journal(store.where) as journal:
        reserved = reserve(journal, "k")
        stop(how)
        with beside(lambda: journal.resolve(reserved, PLACED, SECOND)) as results:
            start()
    [record] = results
    assert record.call.outcome == "placed"
    with Journal(database) as journal:
        assert [record.call.outcome for record in journal.history.calls()] == ["placed"]


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_row_survives_a_crash_of_the_server(postgres, database, store, preset, restarted, setting):
    """Also of one that is told to answer before its disk has it."""
    preset("synchronous_commit", setting)
    stop, start = restarted
    for n in range(3):
        with Journal(database) as journal:
            assert reserve(journal, f"k{n}") == Reserved(n + 1)
            stop("immediate")
            start()
    with Journal(database) as journal:
        assert len(list(journal.history.calls())) == 3


def test_a_server_that_stays_away_is_given_up_in_time(store, restarted, patient):
    """With a hint, and the row counts as one that may have rung."""
    stop, start = restarted
    with Journal(store.where) as journal:
        reserved = reserve(journal, "k")
        stop("fast")
        with impatient(1.0):
            with pytest.raises(JournalError) as caught:
                journal.resolve(reserved, PLACED, SECOND)
            with pytest.raises(JournalError):
                reserve(journal, "other")
        start()
        with pytest.raises(OutcomeUnknown):
            reserve(journal, "k")
    assert "no answer within 1 seconds" in str(caught.value)
    assert "Is PostgreSQL running there" in caught.value.hint


def test_a_server_that_was_given_up_is_hardly_waited_for_again(store, restarted, monkeypatch):
    """What follows a lost outcome, such as the end of the call, would each wait as long; then all is as before."""
    monkeypatch.setattr(postgres_connection, "BRIEF", 0.5)
    stop, start = restarted
    with Journal(store.where) as journal:
        reserved = reserve(journal, "k")
        stop("fast")
        with impatient(0.5), pytest.raises(JournalError):
            journal.resolve(reserved, PLACED, SECOND)
        monkeypatch.setattr(postgres_connection, "PATIENCE", 3600.0)
        with beside(journal.flush) as results:
            pass
        assert [type(result) for result in results] == [JournalError]
        start()
        monkeypatch.setattr(postgres_connection, "BRIEF", 30.0)
        journal.flush()
        stop("fast")
        with beside(journal.flush) as results:
            start()
    assert results == [None]


@pytest.mark.parametrize("renewal", [0.05, 3600.0], ids=["while the lease is renewed", "in between"])
def test_the_end_does_not_wait_for_a_server_that_is_frozen(store, postgres, monkeypatch, renewal):
    """The lease ends by itself."""
    monkeypatch.setattr(postgres_connection, "PATIENCE", 3600.0)
    monkeypatch.setattr(postgres_connection, "BRIEF", 0.5)
    monkeypatch.setattr(engine, "RENEWAL", renewal)
    journal = Journal(store.where)
    reserve(journal, "k")
    lock = journal.engine._connection._lock

    def is_renewed() -> bool:
        if lock.acquire(timeout=1):
            lock.release()
            return False
        return True

    postgres.freeze()
    try:
        if renewal < 1:
            wait_until(is_renewed)
        with beside(journal.__exit__):
            pass
    finally:
        postgres.thaw()


@pytest.mark.parametrize("what", ["reserve", "resolve", "calls", "take"])
def test_a_server_that_freezes_is_given_up_in_time_and_serves_again_once_it_thaws(store, postgres, patient, what):
    """Nobody waits for ever at a connection that is open and says nothing."""
    begin, act = {**WRITES, **READS}[what]
    with Journal(store.where) as journal:
        begun = begin(journal)
        with impatient(1.0):
            postgres.freeze()
            try:
                with pytest.raises(JournalError):
                    act(journal, begun)
            finally:
                postgres.thaw()
        journal.try_out()


# Other clients


def test_a_client_that_freezes_in_a_transaction_does_not_keep_the_others_out(store, monkeypatch):
    """The server ends its transaction. When it goes on, it begins again and finds what the others did."""
    monkeypatch.setattr(engine, "BEGIN", engine.BEGIN.replace("session_timeout = '8s'", "session_timeout = '500ms'"))
    frozen, thawed = threading.Event(), threading.Event()

    def freeze(_: object) -> None:
        frozen.set()
        assert thawed.wait(TIMEOUT)

    with Journal(store.where) as one, Journal(store.where) as other:

        def reserve_slowly() -> object:
            return one.reserve(plan_for(), freeze, key=Key("k"), username=None, now=NOW, hold_back=SECOND)

        with beside(reserve_slowly) as results:
            assert frozen.wait(TIMEOUT)
            reserved = reserve(other, "k")
            thawed.set()
        assert (reserved, results) == (Reserved(1), [None])
        other.resolve(reserved, PLACED, SECOND)
        assert reserve(one, "k").outcome == "placed"
    assert store.states() == ["placed"]


def within(journal: Journal, setting: str) -> str:
    """The value of a setting for our transactions."""
    found = []

    def look(cursor) -> None:
        cursor.execute(f"SHOW {setting}")
        found.append(cursor.fetchone()[0])

    journal.engine.transaction(look)
    return found[-1]


def test_nobody_is_locked_out_for_longer_than_ten_seconds(journal):
    """And nothing of it is left to whoever gets the connection next, as behind a pooler."""
    limits = ("idle_in_transaction_session_timeout", "lock_timeout")
    assert all(0 < int(within(journal, limit).removesuffix("s")) <= 10 for limit in limits)
    left = [journal.engine._connection.cursor().execute(f"SHOW {limit}").fetchone()[0] for limit in limits]
    assert left == ["0", "0"]


def test_a_user_whose_statements_are_cut_early_still_waits_for_the_lock(store, preset):
    """We cut by ourselves."""
    preset("statement_timeout", "5s")
    with Journal(store.where) as journal:
        assert within(journal, "statement_timeout") == "0"
        assert journal.engine._connection.cursor().execute("SHOW statement_timeout").fetchone() == ("5s",)


def test_a_journal_that_somebody_keeps_locked_is_said_to_be(store, journal, monkeypatch):
    monkeypatch.setattr(engine, "BEGIN", engine.BEGIN.replace("lock_timeout = '8s'", "lock_timeout = '300ms'"))
    keeping, enough = threading.Event(), threading.Event()

    def keep(_: object) -> None:
        keeping.set()
        assert enough.wait(TIMEOUT)

    with Journal(store.where) as other, beside(lambda: other.engine.transaction(keep)):
        assert keeping.wait(TIMEOUT)
        with pytest.raises(JournalError) as caught:
            reserve(journal)
        enough.set()
    assert "keeps it locked" in caught.value.hint
    assert reserve(journal) == Reserved(1)


@pytest.mark.parametrize(
    ("setting", "ours"),
    [
        ("off", "on"),
        ("on", "on"),
        ("local", "local"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_a_commit_is_on_disk_whatever_the_server_is_set_to(store, preset, setting, ours):
    """More than that is left to the server."""
    preset("synchronous_commit", setting)
    with Journal(store.where) as journal:
        assert within(journal, "synchronous_commit") == ours


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize("key", ["k", "other"])
def test_whoever_waits_for_the_lock_sees_what_was_done_meanwhile(store, preset, level, key):
    """Whatever isolation the server is set to: the second of two with one key finds the first one's row."""
    preset("default_transaction_isolation", level)
    deciding, decided = threading.Event(), threading.Event()

    def decide(_: object) -> None:
        deciding.set()
        assert decided.wait(TIMEOUT)

    with Journal(store.where) as one, Journal(store.where) as other:

        def reserve_slowly() -> object:
            return one.reserve(plan_for(), decide, key=Key("k"), username=None, now=NOW, hold_back=SECOND)

        with beside(reserve_slowly) as first:
            assert deciding.wait(TIMEOUT)
            with beside(lambda: reserve(other, key)) as second:
                wait_until(lambda: store.run("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
                decided.set()
    assert first == [Reserved(1)]
    assert second == [None if key == "k" else Reserved(2)]


def test_no_statement_is_prepared(journal):
    """A pooler in transaction mode hands each transaction to another connection, which does not know it."""
    for n in range(12):
        place(journal, Service(PLACED), once=f"k{n}")
        list(journal.history.calls())
        journal.pace("a", 1000).take()
    assert journal.engine._connection.cursor().execute("SELECT name FROM pg_prepared_statements").fetchall() == []


def test_a_pace_is_kept_by_the_clock_of_the_server(store):
    """Here both clocks are real, so that a moment is only known to lie between two looks at our own."""
    with Journal(store.where) as one, Journal(store.where) as other:
        before = time.monotonic()
        first = one.pace("a", 0.1).take()
        second = other.pace("a", 0.1).take()
        after = time.monotonic()
    assert before <= first <= after
    assert before + 10.1 <= second + 0.001
    assert second <= after + 10.1


def test_tables_that_somebody_has_locked_are_not_waited_for_when_a_journal_is_opened(store):
    """As behind a PgBouncer that keeps the question until the server is back."""
    Journal(store.where).__exit__()
    with psycopg.connect(store.where) as other:
        other.execute("LOCK TABLE schema_version")
        with impatient(1.0), pytest.raises(JournalError):
            Journal(store.where)
        other.rollback()
    Journal(store.where).__exit__()


def test_the_encoding_of_a_url_does_not_matter(store):
    """Text is UTF-8 for us, whatever else is asked for."""
    with Journal(f"{store.where}?client_encoding=LATIN1") as journal:
        assert isinstance(reserve(journal, "☎"), Reserved)


@pytest.mark.parametrize("left", ["SELECT 1", "SELECT 1 / 0", "COPY calls TO STDOUT"])
def test_what_ctrl_c_leaves_on_the_connection_does_not_stay_there(postgres, left):
    """A transaction that is open, one that has failed, and a command whose answer nobody has read."""
    url = postgres.database()
    with Journal(url) as journal, Journal(url) as other:
        line = journal.engine._connection._current
        line.execute("BEGIN")
        line.execute("SELECT pg_advisory_xact_lock(7310873265411)")
        line.pgconn.send_query(left.encode())
        journal.bury()
        other.bury()
        assert (list(journal.history.calls()), list(other.history.calls())) == ([], [])
