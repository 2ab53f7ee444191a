"""The one table: what was measured, what was measured beside it, and how they compare."""

from collections.abc import Sequence
from dataclasses import dataclass

from timing import Cost

HEADINGS = ("what", "takes", "beside", "takes", "ratio", "memory", "beside")


@dataclass(frozen=True)
class Row:
    """One line; figures are texts with their units, memories are in MiB."""

    what: str
    ours: str
    beside: str = ""
    theirs: str = ""
    ratio: float | None = None
    memory: float | None = None
    their_memory: float | None = None

    def cells(self) -> tuple[str, ...]:
        """The texts of the line."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (self.what, self.ours, self.beside, self.theirs, ratio, _size(self.memory), _size(self.their_memory))


def timed(what: str, ours: Cost, beside: str, theirs: Cost) -> Row:
    """A line about how long two commands take."""
    ratio = ours.seconds / theirs.seconds
    return Row(what, duration(ours.seconds), beside, duration(theirs.seconds), ratio, ours.memory, theirs.memory)


def duration(seconds: float) -> str:
    """Milliseconds below a second."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s"


def plain(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """In columns, the notes below."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    columns = list(enumerate(widths))
    aligned = (
        "  ".join(line[n].rjust(width) if _is_figure(n) else line[n].ljust(width) for n, width in columns)
        for line in lines
    )
    return "".join(f"{line.rstrip()}\n" for line in [*aligned, "", *notes])


def markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """As Markdown, the notes above."""
    lines = [HEADINGS, ["---:" if _is_figure(n) else "---" for n in range(len(HEADINGS))]]
    lines += [row.cells() for row in rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return "".join(f"* {note}\n" for note in notes) + f"\n{table}"


def _is_figure(n: int) -> bool:
    return n not in (0, 2)


def _size(mebibytes: float | None) -> str:
    return "" if mebibytes is None else f"{mebibytes:.0f} MiB"
