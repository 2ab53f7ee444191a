"""The rows of campaigns in a journal: what each name stands for, and what became of its rows."""

from collections.abc import Callable, Iterator
from datetime import datetime

from evocall.earlier import Key, refuse_long
from evocall.model import Campaign, Outcome, Record
from evocall.records import COLUMNS, SENDING, WAITING, milliseconds, newest_first, record
from evocall.transactions import Cursor, Engine, Transactions


class Campaigns:
    """Those of one journal. Every method raises JournalError when it fails."""

    def __init__(self, engine: Engine, transactions: Transactions, bury: Callable[[], None]) -> None:
        self._engine, self._transactions, self._bury = engine, transactions, bury

    def begin(self, campaign: Campaign, now: datetime) -> None:
        """Write down what the campaign's name stands for, unless there are calls of it already."""
        refuse_long(campaign.name)

        def work(cursor: Cursor) -> None:
            cursor.execute(
                "DELETE FROM campaigns WHERE name = ? AND NOT EXISTS (SELECT 1 FROM calls WHERE campaign = ?)",
                (campaign.name, campaign.name),
            )
            cursor.execute(
                "INSERT INTO campaigns (name, profile, flow, caller_id, begun_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO NOTHING",
                (campaign.name, campaign.profile, campaign.flow, campaign.caller_id, milliseconds(now)),
            )

        self._transactions.together(work)

    def named(self, name: str) -> Campaign | None:
        """What the campaign of that name was begun as; None for one of which nothing was dialled yet."""
        found = self._engine.rows(
            "SELECT name, profile, flow, caller_id FROM campaigns WHERE name = ? "
            "AND EXISTS (SELECT 1 FROM calls WHERE campaign = ?)",
            (name, name),
        )
        return next((Campaign(*row) for row in found), None)

    def keys(self, name: str) -> Iterator[tuple[str, Outcome]]:
        """The rows of a campaign that were placed, or may have been; millions are read some thousands at a time.

        Those that another process is placing are not among them: whoever reserves one waits for its outcome.
        """
        self._bury()
        found = newest_first(
            self._engine.rows,
            "id, once_key, state",
            ("campaign = ?", "state IN (?, ?)"),
            (name, Outcome.PLACED.value, Outcome.UNKNOWN.value),
        )
        for _, key, state in found:
            yield key, Outcome(state)

    def begun_elsewhere(self, campaign: str, after: int) -> Iterator[tuple[int, str, Outcome | None]]:
        """The rows of a campaign that other processes have begun after the call of that number, oldest first.

        Each with its call's number, its key, and its outcome, None while it is being placed.
        """
        found = self._engine.rows(
            "SELECT id, once_key, state FROM calls WHERE campaign = ? AND id > ? AND holder <> ? ORDER BY id",
            (campaign, after, self._engine.holder or ""),
        )
        for number, key, state in found:
            yield number, key, None if state in {SENDING, WAITING} else Outcome(state)

    def call(self, profile: str, key: Key) -> Record | None:
        """What became of a row: the call that was placed, else the newest attempt, None when there was none."""
        found = self._engine.rows(
            f"SELECT {COLUMNS} FROM calls WHERE profile = ? AND once_key = ? AND COALESCE(campaign, '') = ? "  # noqa: S608
            "ORDER BY CASE state WHEN 'placed' THEN 0 WHEN 'not_placed' THEN 2 ELSE 1 END, id DESC LIMIT 1",
            (profile, key.once, key.campaign or ""),
        )
        return next(map(record, found), None)
