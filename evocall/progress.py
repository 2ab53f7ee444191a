"""How far a campaign is, for whoever is watching."""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol, Self

EVERY = 30.0  # seconds between two lines off a terminal


class Progress(Protocol):
    """A context that is shown counts of outcomes as they change, and notes by the way."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, outcomes: Counter[str], waiting: int) -> None:
        """The counts so far."""

    def note(self, text: str) -> None:
        """Something that happened."""


class Silent:
    """Nothing at all."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, outcomes: Counter[str], waiting: int) -> None:
        """Not shown."""

    def note(self, text: str) -> None:
        """Not said."""


class Lines:
    """A plain line every 30 seconds."""

    def __init__(self, total: int, say: Callable[[str], None], every: float = EVERY) -> None:
        self._total, self.note, self._every = total, say, every
        self._outcomes: Counter[str] = Counter()
        self._waiting = 0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def show(self, outcomes: Counter[str], waiting: int) -> None:
        """Kept until the next line."""
        self._outcomes, self._waiting = outcomes, waiting

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.note(f"{sum(self._outcomes.values())} of {self._total}: {counted(self._outcomes, self._waiting)}")


class Bar:
    """rich's bar with counts, rate and time left."""

    def __init__(self, total: int) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[counts]}"),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
            console=Console(file=sys.stderr),
        )
        self._task = self._bar.add_task("dialling", total=total, counts="", rate="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, outcomes: Counter[str], waiting: int) -> None:
        """Drawn at the next refresh."""
        speed = self._bar.tasks[0].speed
        rate = f"{speed:.1f}/s" if speed else ""
        done = sum(outcomes.values())
        self._bar.update(self._task, completed=done, counts=counted(outcomes, waiting), rate=rate)

    def note(self, text: str) -> None:
        """Above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


def counted(outcomes: Counter[str], waiting: int) -> str:
    """The counts in words."""
    placed = outcomes["placed"] + outcomes["already_placed"]
    return f"{placed} placed, {outcomes['not_placed']} not placed, {outcomes['unknown']} unknown, {waiting} waiting"
