"""What the journal costs: `python benchmarks/journal.py`.

Reserving and resolving one call on this machine's disk; opening the history of a journal with a million rows; taking up
a campaign of which a million rows are journalled.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evocall import guard
from evocall.journal import Journal, Key, Reserved
from evocall.model import Answer, Flow, Number, NumberClass, Outcome, Plan, Profile

EVOCALL = [str(Path(sys.executable).with_name("evocall"))]
ROWS = 1_000_000
RUNS = 50
CALLEE = Number("+18145550100", "+18145550100", "+1 814-555-0100", "(814) 555-0100", "US", NumberClass.FIXED, ())
PLACED = Answer(Outcome.PLACED, 200, "6743a0b1c2d3e4f5a6b7c8d9", {"id": "6743a0b1c2d3e4f5a6b7c8d9"})


def one_call(path: Path) -> float:
    """Seconds to open the journal, reserve, resolve and close, as one dial does."""
    plan = Plan(CALLEE, Flow("welcome"), None, Profile("default"))
    start = time.perf_counter()
    with Journal(path) as journal:
        reserved = journal.reserve(
            plan, lambda _: None, key=Key(), username=None, now=datetime.now(UTC), hold_back=guard.HOLD_BACK
        )
        assert isinstance(reserved, Reserved)
        journal.resolve(reserved, PLACED, timedelta(seconds=1))
    return time.perf_counter() - start


def fill(path: Path, rows: Path) -> None:
    """A journal with a million placed rows of one campaign, and the file that they came from."""
    now = int(time.time() * 1000)
    with sqlite3.connect(path) as connection, rows.open("w", encoding="utf-8") as file:
        file.write("number\n")
        connection.execute("DELETE FROM calls")
        numbers = [f"+1{212 + n // 5_000_000}{2_000_000 + n % 5_000_000}" for n in range(ROWS)]
        file.writelines(f"{number}\n" for number in numbers)
        connection.executemany(
            "INSERT INTO calls (id, state, holder, profile, base_url, host, number, flow, once_key, campaign, attempt, "
            "requested_at) VALUES (?, 'placed', 'x', 'default', 'https://evovoice.io', 'evovoice.io', ?, 'welcome', ?, "
            "'spring', 1, ?)",
            ((n + 1, number, f"{number} welcome", now - ROWS + n) for n, number in enumerate(numbers)),
        )


def seconds(*arguments: str, env: dict[str, str]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a command that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen([*EVOCALL, *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"evocall {' '.join(arguments)} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the three results."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        path = Path(directory) / "journal.db"
        costs = [one_call(path) for _ in range(RUNS)]
        print(f"reserve and resolve, median of {RUNS:<22} {statistics.median(costs) * 1000:8.1f} ms")
        rows = Path(directory) / "rows.csv"
        fill(path, rows)
        env = {"PATH": os.environ["PATH"], "EVOCALL_HOME": directory, "EVOCALL_FLOW": "welcome"}
        _, cpu = seconds("history", env=env)
        print(f"history, {ROWS:,} rows, newest 50 {cpu:20.2f} s of CPU")
        wall, _ = seconds("batch", str(rows), "--campaign", "spring", "--dry-run", "--quiet", env=env)
        print(f"take up a campaign, {ROWS:,} rows done {wall:15.1f} s")


if __name__ == "__main__":
    main()
