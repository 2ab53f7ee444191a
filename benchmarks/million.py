"""What a million rows cost, and that memory hardly grows with them: to check, to dial, to take up, to look back at."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import timing
from place import EVOCALL, Place, phone_number
from table import Row, duration, timed
from timing import Cost

FEWER = 100  # times
DIALLED = 200  # calls
CAMPAIGN = "spring"
LOOP = """
import csv, sys, phonenumbers
for row in csv.DictReader(open(sys.argv[1], newline="")):
    number = phonenumbers.parse(row["number"], None)
    assert phonenumbers.is_valid_number(number)
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
"""


def rows(place: Place) -> Iterator[Row]:
    """Everything once with all rows, and once with a hundredth of them; only looking back is fast enough for rounds."""
    many, few = place.scale.rows, place.scale.rows // FEWER
    all_of_them, some = _costs(place, many), _costs(place, few)
    loop = "bare loop of csv and phonenumbers"
    yield timed(f"batch --dry-run, {few:,} rows", some["check"], loop, some["loop"])
    yield timed(f"batch --dry-run, {many:,} rows", all_of_them["check"], loop, all_of_them["loop"])
    ours, fewer = all_of_them["dial"], some["dial"]
    what = f"batch, first {DIALLED} calls of {many:,} rows"
    figures = duration(ours.seconds), f"of {few:,} rows", duration(fewer.seconds)
    yield Row(what, *figures, None, ours.memory, fewer.memory)
    done = f"batch --dry-run, {many:,} rows placed before"
    yield timed(done, all_of_them["take up"], "none placed before", all_of_them["check"])
    histories = {count: partial(timing.run, [EVOCALL, "history"], _used(place, count)) for count in (many, few)}
    costs = timing.in_turn({str(count): history for count, history in histories.items()}, place.scale.rounds)
    yield timed(f"history, newest 50 of {many:,} calls", costs[str(many)], f"of {few:,}", costs[str(few)])


def _costs(place: Place, count: int) -> dict[str, Cost]:
    """Of each command with a file, and then a journal, of so many rows."""
    file = str(place.numbers(count))
    fresh, used = place.env(f"{count} fresh"), _used(place, count)
    subprocess.run(
        [sys.executable, __file__, used["HOME"], str(count), used["EVOCALL_FLOW"], place.service.base_url], check=True
    )
    batch = [EVOCALL, "batch", file, "--quiet", "--campaign", CAMPAIGN]
    dial = [*batch, "--limit", str(DIALLED), "--pace", "100000", "--yes"]
    runs = {
        "loop": partial(timing.run, [sys.executable, "-c", LOOP, file], fresh),
        "check": partial(timing.run, [*batch, "--dry-run"], fresh),
        "dial": partial(timing.run, dial, fresh, ends=(0, 14)),
        "take up": partial(timing.run, [*batch, "--dry-run"], used),
    }
    return timing.in_turn(runs, 1)


def _used(place: Place, count: int) -> dict[str, str]:
    """The environment with a journal of so many calls."""
    return place.env(f"{count} used")


def main(home: Path, count: int, flow: str, base_url: str) -> None:
    """Fill a journal, in a process of its own, as if all rows had been placed in the last so many milliseconds."""
    import sqlite3

    from evocall.journal import Journal
    from evocall.model import Profile

    profile = Profile("default", base_url)
    path = home / "journal.db"
    with Journal(path):
        pass
    begin = int(time.time() * 1000) - count
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO calls (id, state, holder, profile, base_url, host, number, flow, once_key, campaign, attempt, "
            "requested_at) VALUES (?, 'placed', '', ?, ?, ?, ?, ?, ?, ?, 1, ?)",
            (
                (n + 1, profile.name, base_url, profile.host, number, flow, f"{number} {flow}", CAMPAIGN, begin + n)
                for n, number in enumerate(map(phone_number, range(count)))
            ),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
