"""A journal in a file of this machine: who can read it, and what becomes of one that is damaged."""

import os
import random
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from evocall.errors import JournalError
from evocall.journal import Journal
from evocall.records import LONGEST_RESPONSE
from evocall.schema import MIGRATIONS
from tests.test_journal import HUGE, PLACED, SECOND, InFile, Service, place, reserve


@pytest.fixture
def path(home: Path) -> Path:
    return home / "evocall" / "journal.db"


@pytest.fixture
def journal(path):
    with Journal(path) as journal:
        yield journal


def modes(path: Path) -> dict[str, str]:
    """The permissions of the state directory and of all that is in it."""
    return {
        str(entry.relative_to(path.parent)): f"{stat.S_IMODE(entry.stat().st_mode):o}"
        for entry in (path.parent, *path.parent.rglob("*"))
    }


def test_only_the_owner_can_read_the_journal(path):
    """Also under a umask that lets everybody read, and while the write-ahead log is there."""
    before = os.umask(0)
    try:
        with Journal(path) as journal:
            reserve(journal)
            found = modes(path)
    finally:
        os.umask(before)
    assert {found.pop("."), found.pop("running")} == {"700"}
    assert {"journal.db", "journal.db-wal", "journal.db-shm"} <= set(found)
    assert set(found.values()) == {"600"}


def test_a_journal_that_others_could_read_is_narrowed(path):
    with Journal(path) as journal:
        reserve(journal)
    path.chmod(0o644)
    with Journal(path) as journal:
        reserve(journal, "k")
        assert [modes(path)[name] for name in ("journal.db", "journal.db-wal")] == ["600", "600"]


def test_a_directory_that_was_there_before_is_left_as_it_is(path):
    """EVOCALL_HOME may be any directory, also one that others need; the files in it are closed to them all the same."""
    path.parent.mkdir()
    path.parent.chmod(0o755)
    with Journal(path):
        assert (modes(path)["."], modes(path)["journal.db"]) == ("755", "600")


def test_a_log_that_a_crash_left_readable_is_narrowed(path):
    """The write-ahead log holds the latest calls, as the journal does."""
    left = Journal(path)
    reserve(left)
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        path.with_name(name).chmod(0o644)
    with Journal(path) as journal:
        reserve(journal, "k")
        found = modes(path)
    InFile(path.parent).crash(left)
    assert [found[name] for name in ("journal.db", "journal.db-wal", "journal.db-shm")] == ["600"] * 3


@pytest.mark.parametrize(
    "content", [b"this is not a database, and long enough to be sure " * 40, b"SQLite format 3\0xx"]
)
def test_a_damaged_journal_stops_every_call(evocall, signed_in, path, content):
    """The error says what the way out costs."""
    path.parent.mkdir()
    path.write_bytes(content)
    result = evocall("dial", "+18145550100")
    assert (result.code, signed_in.dials()) == (10, [])
    assert str(path) in result.err
    assert path.read_bytes() == content


def test_a_journal_that_cannot_be_made_stops_every_call(evocall, signed_in, path):
    path.mkdir(parents=True)
    result = evocall("dial", "+18145550100")
    assert (result.code, signed_in.dials()) == (10, [])
    assert f"{path} cannot be used" in result.err
    assert "Without it nothing is dialled." in result.err


def test_others_can_read_while_one_writes(journal, path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_huge_answer_does_not_make_the_file_huge(journal, path):
    place(journal, Service(HUGE))
    assert path.stat().st_size + path.with_name("journal.db-wal").stat().st_size < 5 * LONGEST_RESPONSE


def test_a_call_that_is_on_its_way_is_never_settled_for_one_that_failed_before_it(path, monkeypatch):
    """Many threads, and a disk that is full half of the time: numbers that were given back go to the next calls."""
    wrong: list[tuple[int, str]] = []
    chance = random.Random(1)

    def dial(journal: Journal, name: str) -> None:
        for n in range(120):
            with suppress(JournalError):
                reserved = reserve(journal, f"{name} {n}")
                [(state,)] = journal.engine.rows("SELECT state FROM calls WHERE id = ?", (reserved.id,))
                if state != "sending":
                    wrong.append((reserved.id, state))
                journal.resolve(reserved, PLACED, SECOND)

    with Journal(path) as journal:
        transaction = journal.engine.transaction

        def moody(work, **how):
            def full(cursor):
                work(cursor)
                raise sqlite3.OperationalError("database or disk is full")

            transaction(full if chance.random() < 0.5 else work, **how)

        monkeypatch.setattr(journal.engine, "transaction", moody)
        threads = [threading.Thread(target=dial, args=(journal, str(n))) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        monkeypatch.undo()
    assert wrong == []


def test_an_empty_file_with_changes_beside_it_is_damage(path):
    """Somebody has emptied it; SQLite would begin a new journal, and forget every key."""
    path.parent.mkdir(parents=True)
    path.touch()
    path.with_name("journal.db-wal").write_bytes(b"changes")
    with pytest.raises(JournalError, match="it is empty, although") as caught:
        Journal(path)
    assert "Move it away" in caught.value.hint


def test_tables_that_cannot_be_brought_up_to_date_stay_as_they_are(path):
    """All steps of it are one transaction."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(f"CREATE TABLE schema_version (version BIGINT NOT NULL); {MIGRATIONS[0]}")
        connection.execute("INSERT INTO schema_version VALUES (1)")
        connection.execute("ALTER TABLE calls ADD COLUMN ending TEXT")
    with pytest.raises(JournalError, match="duplicate column"):
        Journal(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert ("campaigns",) not in tables
