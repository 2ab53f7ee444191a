"""How things are printed: lines, tables, JSON, errors. Results go to stdout, everything else to stderr.

Text from outside is data: control characters are shown, never obeyed, and nothing is read as markup. rich draws tables
and colour on terminals; one-line output does without it, since importing it costs as much as placing a call.
"""

import json
import os
import sys
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from evocall.errors import ConfigError, EvocallError, ExitCode
from evocall.model import Call, Outcome, Plan
from evocall.wording import SCHEMA, Line, call_document, clean, ending_lines, failure_lines, receipt

if TYPE_CHECKING:
    from evocall import progress

KEPT_WHOLE = {"call", "number", "E.164", "outcome", "profile"}
SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie", "set-cookie"}
STYLES = {
    Outcome.PLACED: "bold green",
    Outcome.ALREADY_PLACED: "bold yellow",
    Outcome.DRY_RUN: "bold cyan",
}
lost: list[OSError] = []


class Screen:
    """How one command talks: for people, as JSON, or not at all."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet

    def call(self, call: Call, plan: Plan, username: str | None) -> None:
        """The receipt of a call that was placed, or that would have been; with `--json` it comes at the end."""
        if not self.as_json and not self.quiet:
            _lines(sys.stdout, receipt(call, plan, username), STYLES.get(call.outcome, "bold"))

    def ending(self, call: Call, log: Sequence[Line] = ()) -> None:
        """What became of a call that was followed, with its session's log."""
        if not self.as_json and not self.quiet and call.ending is not None:
            _lines(
                sys.stdout, [*ending_lines(call.ending), *log], "bold green" if call.ending.answered else "bold yellow"
            )

    def document(self, value: Any) -> None:
        """The one JSON document of a command; ASCII, so that no terminal can be moved by what is in it."""
        write(sys.stdout, json.dumps(value, indent=2) + "\n")

    def lines(self, lines: Sequence[Line], style: str = "bold") -> None:
        """Pairs of label and text, one a line; on a terminal the first label has the style."""
        if not self.quiet:
            _lines(sys.stdout, lines, style)

    def text(self, text: str) -> None:
        """Text that is a result as it is, such as a script or a file's content."""
        write(sys.stdout, text)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str] = ()) -> None:
        """A table for people; without lines and with all of each cell when stdout is not a terminal.

        On a terminal too narrow for it the `spare` columns are left out, in their order, until the rest fits.
        """
        if self.quiet:
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        terminal = _is_terminal(sys.stdout)
        if terminal:
            headings, rows = _narrowed(headings, rows, spare, Console(file=sys.stdout).width)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for n, heading in enumerate(headings):
            width = max((len(clean(row[n])) for row in rows), default=0) if heading in KEPT_WHOLE else None
            table.add_column(heading, no_wrap=not terminal or width is not None, min_width=width, overflow="fold")
        for row in rows:
            table.add_row(*(Text(clean(cell)) for cell in row))
        page = StringIO()
        width = Console(file=sys.stdout).width if terminal else 1000
        Console(file=page, width=width, force_terminal=terminal, no_color=_no_color(), highlight=False).print(table)
        write(sys.stdout, "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines()))

    def note(self, text: str) -> None:
        """Something by the way: progress, a warning, a next step."""
        if not self.quiet:
            write(sys.stderr, f"evocall: {clean(text)}\n")

    def problem(self, text: str) -> None:
        """An error that does not end the command, such as a bad row; said also when quiet."""
        write(sys.stderr, f"evocall: {clean(text)}\n")

    def preview(self, lines: Sequence[Line]) -> None:
        """Pairs of label and text about what will be done, on stderr."""
        if not self.quiet:
            _lines(sys.stderr, lines, "bold")

    def life(self) -> "progress.Life":
        """What shows a call's phases: one counting line on a terminal, lines elsewhere, nothing when quiet."""
        from evocall import progress

        live = _is_terminal(sys.stderr) and not self.quiet
        return progress.LiveLine() if live else progress.LifeLines(self.note)

    def progress(self, total: int) -> "progress.Progress":
        """What shows how far a campaign is: a bar on a terminal, a line every 30 s elsewhere, nothing when quiet."""
        from evocall import progress

        if self.quiet:
            return progress.Silent()
        return progress.Bar(total) if _is_terminal(sys.stderr) else progress.Lines(total, self.note)

    def failure(self, error: EvocallError, *, calling: bool) -> None:
        """An error, on stderr for people and, with `--json`, also as the document on stdout.

        `calling` says that the command was to place a call, so that the document has the keys of a call. A defect may
        come up when it was placed already.
        """
        _lines(sys.stderr, failure_lines(error), "bold red", lead=f"evocall: {_heading(error)}")
        if self.as_json:
            outcome = Outcome.UNKNOWN if error.exit_code == ExitCode.INTERNAL else Outcome.NOT_PLACED
            call = error.call or (Call(outcome) if calling else None)
            document = {"schema": SCHEMA, **(call_document(call) if call else {}), **(error.summary or {})}
            self.document({**document, "error": error.document()})


def _narrowed(
    headings: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str], width: int
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The table without as many of its spare columns as it takes to fit."""
    for heading in spare:
        widths = [max(len(clean(cell)) for cell in column) + 2 for column in zip(headings, *rows, strict=True)]
        if sum(widths) <= width:
            break
        at = headings.index(heading)
        headings = [*headings[:at], *headings[at + 1 :]]
        rows = [[*row[:at], *row[at + 1 :]] for row in rows]
    return headings, rows


def _heading(error: EvocallError) -> str:
    unknown = error.exit_code == ExitCode.UNKNOWN and not str(error).startswith("unknown")
    return f"unknown: {error}" if unknown else str(error)


def _lines(stream: TextIO | None, lines: Sequence[Line], style: str, lead: str | None = None) -> None:
    """Labels in a column and their texts; the lead line, or else the first label, in the style on a terminal."""
    width = max((len(label) for label, _ in lines if label != "hint:"), default=0)
    rows = [] if lead is None else [(clean(lead), "")]
    rows += [(label if label == "hint:" else clean(label).ljust(width + 2), clean(text)) for label, text in lines]
    if not _is_terminal(stream) or _no_color():
        write(stream, "".join(f"{label} {text}".rstrip() + "\n" for label, text in rows))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    for n, (label, text) in enumerate(rows):
        console.print(Text.assemble((label, style if n == 0 else "dim"), " ", text), soft_wrap=True)


def trace(request: Any, reply: Any) -> None:
    """Request and reply on stderr, as curl -v shows them, with secrets removed."""
    lines = [f"> {request.method} {request.url}"]
    lines += [f"> {_header(name, value)}" for name, value in request.headers.items()]
    if request.body and "/auth/" not in request.url:
        lines.append(f"> {request.body.decode()}")
    if reply is None:
        lines.append("< no answer")
    else:
        lines.append(f"< {reply.status} {reply.reason}")
        lines += [f"< {_header(name, value)}" for name, value in reply.headers.items()]
        if reply.body and "/auth/" not in request.url:
            lines.append(f"< {reply.body[:4000].decode(errors='replace')}")
    write(sys.stderr, "".join(clean(line) + "\n" for line in lines))


def _header(name: str, value: str) -> str:
    return f"{name}: {'(hidden)' if name.lower() in SECRET_HEADERS else value}"


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush; a full disk or a reader that has gone away must not turn a placed call into a failure.

    For commands that only tell something it is one, see `refuse_loss`: `lost` keeps why stdout could not be written.
    """
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            lost.append(error)


def refuse_loss() -> None:
    """Raise ConfigError when stdout could not be written; for whoever has done nothing but to tell something."""
    if lost:
        raise unwritable(lost[0])


def unwritable(error: Exception) -> ConfigError:
    """The error for an output that is lost."""
    return ConfigError(f"The output could not be written: {error}.", hint="Make room.", code="output")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _no_color() -> bool:
    return bool(os.environ.get("NO_COLOR"))
