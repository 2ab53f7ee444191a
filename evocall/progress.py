"""How far a campaign is, or a call, for whoever is watching."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol, Self

from evocall.wording import clean, duration

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
        from rich.text import Text

        self._bar.console.print(Text(f"evocall: {clean(text)}"))


class Life(Protocol):
    """A context that is shown the phases of a call as they begin, and notes by the way."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, phase: str, seconds: float) -> None:
        """A phase begins, so many seconds after the call was placed."""

    def note(self, text: str) -> None:
        """Something that happened."""


class LifeLines:
    """A plain line for each phase."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.note = say

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, phase: str, seconds: float) -> None:
        """Said at once."""
        self.note(f"{phase} after {duration(seconds)}" if seconds >= 1 else phase)


class LiveLine:
    """One line that counts the seconds of the phase, such as `ringing 00:07`."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._phase, self._since = "placed", time.monotonic()
        console = Console(file=sys.stderr)
        self._live = Live(get_renderable=self._line, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, phase: str, seconds: float) -> None:  # noqa: ARG002 - the line counts from the phase's own beginning
        """Drawn at the next refresh."""
        self._phase, self._since = phase, time.monotonic()

    def note(self, text: str) -> None:
        """Above the line."""
        from rich.text import Text

        self._live.console.print(Text(f"evocall: {clean(text)}"))

    def _line(self) -> str:
        return f"{self._phase} {duration(time.monotonic() - self._since)}"


def counted(outcomes: Counter[str], waiting: int) -> str:
    """The counts in words."""
    placed = outcomes["placed"] + outcomes["already_placed"]
    return f"{placed} placed, {outcomes['not_placed']} not placed, {outcomes['unknown']} unknown, {waiting} waiting"
