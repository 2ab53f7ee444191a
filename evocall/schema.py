"""The journal's file: made, opened, and brought up to date. The SQL is such that PostgreSQL speaks it too."""

import contextlib
import os
import sqlite3
from pathlib import Path

from evocall.errors import JournalError
from evocall.lease import exclusive

BUSY_SECONDS = 30.0
MIGRATIONS = (
    """
    CREATE TABLE calls (
        id BIGINT PRIMARY KEY,
        state TEXT NOT NULL,
        holder TEXT NOT NULL,
        profile TEXT NOT NULL,
        base_url TEXT NOT NULL,
        host TEXT NOT NULL,
        username TEXT,
        number TEXT NOT NULL,
        flow TEXT NOT NULL,
        caller_id TEXT,
        once_key TEXT,
        campaign TEXT,
        attempt BIGINT NOT NULL,
        requested_at BIGINT NOT NULL,
        duration_ms BIGINT,
        http_status BIGINT,
        session_id TEXT,
        response TEXT,
        error TEXT
    );
    CREATE INDEX calls_by_key ON calls (profile, once_key) WHERE once_key IS NOT NULL;
    CREATE INDEX calls_by_number ON calls (number, requested_at);
    CREATE INDEX calls_by_time ON calls (profile, requested_at);
    CREATE INDEX calls_by_campaign ON calls (campaign, id) WHERE campaign IS NOT NULL;
    CREATE INDEX calls_open ON calls (state) WHERE state IN ('sending', 'waiting')
    """,
    """
    CREATE TABLE campaigns (
        name TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        flow TEXT,
        caller_id TEXT,
        begun_at BIGINT NOT NULL
    )
    """,
    """
    ALTER TABLE calls ADD COLUMN settled TEXT;
    ALTER TABLE calls ADD COLUMN ending TEXT;
    CREATE INDEX calls_by_session ON calls (session_id) WHERE session_id IS NOT NULL
    """,
    """
    CREATE TABLE purged (newest BIGINT NOT NULL);
    INSERT INTO purged (newest) VALUES (0)
    """,
)

FULL = "Make room on the disk."
READ_ONLY = "The directory must be writable; EVOCALL_HOME can name another one."
DAMAGED = "Move it away (mv {path} {path}.damaged); its once-keys are then forgotten."
HINTS = {
    "full": FULL,
    "No space": FULL,
    "quota": FULL,
    "disk I/O": FULL,
    "readonly": READ_ONLY,
    "Read-only": READ_ONLY,
    "Permission": READ_ONLY,
    "unable to open": READ_ONLY,
    "malformed": DAMAGED,
    "not a database": DAMAGED,
    "Is a directory": DAMAGED,
    "empty": DAMAGED,
    "locked": "Another process keeps it locked; try again.",
    "Not a directory": "EVOCALL_HOME must be a directory.",
    "File exists": "EVOCALL_HOME must be a directory.",
}


def opened(path: Path) -> sqlite3.Connection:
    """A connection to the journal, made if need be, for its owner only. Raises sqlite3.Error or OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the file that it finds. One that exists must not be opened here:
    # closing it would drop the locks (POSIX) of every other connection of this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and file.stat().st_mode & 0o077:
            file.chmod(0o600)
    if path.stat().st_size == 0 and path.with_name(f"{path.name}-wal").exists():
        raise sqlite3.DatabaseError("it is empty, although there are changes to it beside it")
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        if _version(connection) != len(MIGRATIONS):
            with exclusive(path.with_name("journal.lock")):
                connection.execute("PRAGMA journal_mode = WAL")
                _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    return int(connection.execute("SELECT version FROM schema_version").fetchone()[0]) if known else 0


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's schema, all steps or none."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise JournalError(
            f"The journal {path} was written by a newer evocall (schema {version}; this one knows {len(MIGRATIONS)}).",
            hint="Use the newer evocall; nothing was dialled.",
            code="journal_newer",
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version == 0:
            connection.execute("CREATE TABLE schema_version (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO schema_version (version) VALUES (0)")
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute("UPDATE schema_version SET version = ?", (len(MIGRATIONS),))
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def trouble(path: Path, error: Exception) -> JournalError:
    """What to do depends on what is wrong; in every case nothing is dialled."""
    text = str(error)
    hint = next((hint for mark, hint in HINTS.items() if mark in text), None)
    return JournalError(
        f"The journal {path} cannot be used: {text}. Without it nothing is dialled.",
        hint=hint and hint.format(path=path),
    )
