"""The rows of campaigns in a journal: what each name stands for, and what became of its rows."""

from collections.abc import Callable, Iterator
from dataclasses import astuple
from datetime import datetime

from evocall.earlier import MEANING, refuse_long
from evocall.model import Campaign, Outcome, Record
from evocall.records import COLUMNS, SENDING, WAITING, milliseconds, newest_first, record
from evocall.transactions import Cursor, Engine, Transactions

DIALLED = "EXISTS (SELECT 1 FROM calls WHERE calls.campaign = campaigns.name AND calls.host = campaigns.host)"


class Campaigns:
    """Those of one journal. Every method raises JournalError when it fails."""

    def __init__(self, engine: Engine, transactions: Transactions, bury: Callable[[], None]) -> None:
        self._engine, self._transactions, self._bury = engine, transactions, bury

    def begin(self, campaign: Campaign, now: datetime) -> Campaign:
        """Write down what the campaign's name stands for, and return it.

        It is what it already stands for when there are calls of it, or when another process is about to dial the first.
        """
        refuse_long(campaign.name)

        def work(cursor: Cursor) -> Campaign:
            holder = self._engine.show_life(cursor)
            standing, held = self._standing(cursor, campaign, holder)
            if standing is None:
                cursor.execute("DELETE FROM campaigns WHERE name = ? AND host = ?", (campaign.name, campaign.host))
                cursor.execute(
                    f"INSERT INTO campaigns ({MEANING}, begun_at, holder) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (*astuple(campaign), milliseconds(now), holder),
                )
            elif standing == campaign and not held:
                cursor.execute(
                    "UPDATE campaigns SET holder = ? WHERE name = ? AND host = ?",
                    (holder, campaign.name, campaign.host),
                )
            return standing or campaign

        return self._transactions.together(work)

    def _standing(self, cursor: Cursor, campaign: Campaign, ours: str) -> tuple[Campaign | None, bool]:
        """What the name stands for, apart from what this process has begun without a call, or one that is gone.

        And whether another process holds it that lives.
        """
        cursor.execute(
            f"SELECT {MEANING}, holder, {DIALLED} FROM campaigns WHERE name = ? AND host = ?",  # noqa: S608
            (campaign.name, campaign.host),
        )
        row = cursor.fetchone()
        if row is None:
            return None, False
        *meaning, holder, dialled = row
        held = holder is not None and holder != ours and self._engine.is_alive(cursor, holder)
        return Campaign(*meaning) if dialled or held else None, held

    def named(self, name: str, host: str) -> Campaign | None:
        """What the campaign of that name was begun as; None for one of which nothing was dialled yet at that host."""
        found = self._transactions.rows(
            f"SELECT {MEANING} FROM campaigns WHERE name = ? AND host = ? AND {DIALLED}",  # noqa: S608
            (name, host),
        )
        return next((Campaign(*row) for row in found), None)

    def keys(self, campaign: Campaign) -> Iterator[tuple[str, Outcome]]:
        """The rows of a campaign that were placed, or may have been; millions are read some thousands at a time.

        Those that another process is placing are not among them: whoever reserves one waits for its outcome.
        """
        self._bury()
        found = newest_first(
            self._transactions.rows,
            "id, once_key, state",
            ("campaign = ?", "host = ?", "state IN (?, ?)"),
            (campaign.name, campaign.host, Outcome.PLACED.value, Outcome.UNKNOWN.value),
        )
        for _, key, state in found:
            yield key, Outcome(state)

    def begun_elsewhere(self, campaign: Campaign, after: int) -> Iterator[tuple[int, str, Outcome | None]]:
        """The rows of a campaign that other processes have begun after the call of that number, oldest first.

        Each with its call's number, its key, and its outcome, None while it is being placed.
        """
        found = self._transactions.rows(
            "SELECT id, once_key, state FROM calls "
            "WHERE campaign = ? AND host = ? AND id > ? AND holder <> ? ORDER BY id",
            (campaign.name, campaign.host, after, self._engine.holder or ""),
        )
        for number, key, state in found:
            yield number, key, None if state in {SENDING, WAITING} else Outcome(state)

    def call(self, campaign: Campaign, row: str) -> Record | None:
        """What became of a row: the call that was placed, else the newest attempt, None when there was none."""
        found = self._transactions.rows(
            f"SELECT {COLUMNS} FROM calls WHERE profile = ? AND once_key = ? AND campaign = ? AND host = ? "  # noqa: S608
            "ORDER BY CASE state WHEN 'placed' THEN 0 WHEN 'not_placed' THEN 2 ELSE 1 END, id DESC LIMIT 1",
            (campaign.profile, row, campaign.name, campaign.host),
        )
        return next(map(record, found), None)
