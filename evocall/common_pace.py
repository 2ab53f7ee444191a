"""The pace that many hosts share: one row of their common journal, by the clock of its server."""

import time

from evocall.pacing import LONGEST_HOLD, MARGIN
from evocall.transactions import Cursor, Engine

SECOND = 1_000_000  # in the microseconds of the row
NOW = f"(EXTRACT(EPOCH FROM clock_timestamp()) * {SECOND})::BIGINT"


class CommonPace:
    """A queue of start moments by the server's clock, `per_second` of them each second; see `pacing.Pace`."""

    def __init__(self, engine: Engine, account: str, per_second: float) -> None:
        self._engine, self._account = engine, account
        self._interval = max(1, round(MARGIN / per_second * SECOND))

    def take(self) -> float:
        """The next start moment, turned into one of this host's monotonic clock."""
        wait = 0

        def work(cursor: Cursor) -> None:
            nonlocal wait
            now, free, held = self._read(cursor)
            wait = max(0, free - now)
            self._write(cursor, now + wait + self._interval, held)

        self._engine.transaction(work)
        return time.monotonic() + wait / SECOND

    def hold(self, seconds: float) -> None:
        """Move all start moments behind that time."""

        def work(cursor: Cursor) -> None:
            now, free, held = self._read(cursor)
            until = now + round(min(seconds, LONGEST_HOLD) * SECOND)
            self._write(cursor, max(free, until), max(held, until))

        self._engine.transaction(work)

    def held(self) -> bool:
        """Whether that time is not over."""
        select = f"SELECT 1 FROM paces WHERE account = ? AND held_until > {NOW}"  # noqa: S608
        return any(self._engine.rows(select, (self._account,)))

    def close(self) -> None:
        """Nothing is kept open."""

    def _read(self, cursor: Cursor) -> tuple[int, int, int]:
        """Now, the next free moment, and the end of the hold."""
        cursor.execute(
            f"SELECT now, free_at, held_until FROM (SELECT {NOW} AS now) clock "  # noqa: S608
            "LEFT JOIN paces ON account = ?",
            (self._account,),
        )
        now, free, held = cursor.fetchone()
        latest = now + round(LONGEST_HOLD * SECOND)  # later ones are from before the clock was set right
        return now, free if free and free <= latest else now, held if held and held <= latest else now

    def _write(self, cursor: Cursor, free: int, held: int) -> None:
        cursor.execute(
            "INSERT INTO paces (account, free_at, held_until) VALUES (?, ?, ?) "
            "ON CONFLICT (account) DO UPDATE SET free_at = EXCLUDED.free_at, held_until = EXCLUDED.held_until",
            (self._account, free, held),
        )
