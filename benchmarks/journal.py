"""What the journal adds to one call, beside bare SQLite that puts a row on disk and then changes it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import timing
from place import NUMBER, Place
from table import Row, duration
from timing import Cost


def rows(place: Place) -> Iterator[Row]:
    """Measured in a process of its own, whose memory must not become the least that can be told of other commands."""
    command = [sys.executable, __file__, place.env("journal")["HOME"], str(place.scale.rounds)]
    ours, bare = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    yield Row(
        "journal: open, reserve, resolve, close",
        duration(ours),
        "bare SQLite: open, insert, update, close",
        duration(bare),
        ours / bare,
    )


def main(directory: Path, rounds: int) -> None:
    """Print the two medians, in seconds."""
    runs = {"ours": lambda: one_call(directory / "ours.db"), "bare": lambda: two_commits(directory / "bare.db")}
    timing.in_turn(runs, 1)
    costs = timing.in_turn(runs, rounds)
    print(json.dumps([costs["ours"].seconds, costs["bare"].seconds]))


def one_call(path: Path) -> Cost:
    """What a dial does with the journal."""
    from evocall import guard
    from evocall.earlier import Key
    from evocall.journal import Journal, Reserved
    from evocall.model import Answer, Flow, Number, NumberClass, Outcome, Plan, Profile

    callee = Number(NUMBER, NUMBER, NUMBER, NUMBER, "US", NumberClass.FIXED, ())
    plan = Plan(callee, Flow("665f1c0000000000000000a1"), None, Profile("default"))
    session = "6743a0b1c2d3e4f5a6b7c8d9"
    start = time.perf_counter()
    with Journal(path) as journal:
        reserved = journal.reserve(
            plan, lambda _: None, key=Key(), username=None, now=datetime.now(UTC), hold_back=guard.HOLD_BACK
        )
        assert isinstance(reserved, Reserved)
        journal.resolve(reserved, Answer(Outcome.PLACED, 200, session, {"id": session}), timedelta(seconds=1))
    return Cost(time.perf_counter() - start)


def two_commits(path: Path) -> Cost:
    """The least that puts a row on disk before a call, and its outcome after it."""
    import sqlite3

    start = time.perf_counter()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, number TEXT, state TEXT)")
    placed = connection.execute("INSERT INTO calls (number, state) VALUES (?, 'sending')", (NUMBER,)).lastrowid
    connection.execute("UPDATE calls SET state = 'placed' WHERE id = ?", (placed,))
    connection.close()
    return Cost(time.perf_counter() - start)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
