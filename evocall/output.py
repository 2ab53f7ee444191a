"""What is printed: receipts, tables, JSON, errors. Results go to stdout, everything else to stderr.

Text from outside is data: control characters are shown, never obeyed, and nothing is read as markup. rich draws tables
and colour on terminals; one-line output does without it, since importing it costs as much as placing a call.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from evocall.errors import EvocallError, ExitCode
from evocall.model import SANDBOX, Call, Ending, Flow, Number, Outcome, Phase, Plan

if TYPE_CHECKING:
    from evocall import progress

SCHEMA = 1
LONGEST_NUMBER = 60
KEPT_WHOLE = {"call", "number", "E.164", "outcome", "profile"}
STYLES = {
    Outcome.PLACED: "bold green",
    Outcome.ALREADY_PLACED: "bold yellow",
    Outcome.DRY_RUN: "bold cyan",
}
Line = tuple[str, str]


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
        console = Console(file=sys.stdout, width=None if terminal else 1000, no_color=_no_color(), highlight=False)
        with console.capture() as captured:
            console.print(table)
        write(sys.stdout, "".join(line.rstrip() + "\n" for line in captured.get().splitlines()))

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


def clean(text: str) -> str:
    """The text with every character that could move a cursor or reorder a line made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text.replace("\n", " "))


def call_document(call: Call) -> dict[str, Any]:
    """The JSON form of a call, as `dial`, `history` and `show` give it."""
    return {
        "schema": SCHEMA,
        "outcome": call.outcome,
        "call": call.id,
        "number": call.number,
        "flow": call.flow,
        "caller_id": call.caller_id,
        "profile": call.profile,
        "base_url": call.base_url,
        "requested_at": call.requested_at and utc(call.requested_at),
        "http_status": call.http_status,
        "session_id": call.session_id,
        "response": call.response,
        "error": call.error,
        "settled": call.settled,
        "ending": call.ending and asdict(call.ending),
    }


def utc(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def receipt(call: Call, plan: Plan, username: str | None) -> list[Line]:
    """The lines of a receipt: outcome and number, flow, caller ID, account, session."""
    host = urlsplit(plan.profile.base_url).netloc
    lines = [
        (call.outcome.replace("_", " "), f"{plan.number.international}   {place_and_time(plan.number)}"),
        ("flow", flow_text(plan.flow)),
        ("from", plan.caller.international if plan.caller else "picked by the service"),
        ("account", f"{plan.profile.name}  {username or 'no login'} at {host}"),
    ]
    if call.session_id or call.id:
        option = " --sandbox" if call.profile == SANDBOX else ""
        look = f"   evocall show {call.id}{option}" if call.id else ""
        lines.append(("session", f"{call.session_id or 'not told by the service'}{look}"))
    if call.settled:
        lines.append(("settled", f"the answer did not tell, but {call.settled}"))
    if call.outcome is Outcome.ALREADY_PLACED and call.requested_at:
        lines.append(("placed at", f"{utc(call.requested_at)}; nothing was dialled now"))
        if call.number != plan.number.e164 or (call.flow != plan.flow.id and not plan.flow.pending):
            lines.append(("attention", f"the key was used for {call.number} with flow {call.flow}, not for this call"))
    if call.outcome is Outcome.DRY_RUN:
        lines.append(("request", f"POST {plan.profile.base_url}/sessions/outgoing {json.dumps(plan.request.body)}"))
    return lines


def flow_text(flow: Flow) -> str:
    """The flow's alias or name, if it has one, and its ID."""
    return f"{flow.alias}  {flow.id}" if flow.alias else flow.id


def ending_lines(ending: Ending) -> list[Line]:
    """How a call ended, or where it was at the last look: phase, what is known of an answer, duration."""
    if ending.phase is not Phase.ENDED:
        return [(ending.phase, f"for {_duration(ending.seconds)} so far")]
    said = f"   the service says: {ending.outcome}" if ending.outcome else ""
    answered = {
        True: "answered by a machine" if ending.machine else "answered",
        False: "not answered",
        None: "the service does not tell whether somebody answered",
    }[ending.answered]
    return [("ended", f"{answered}, lasted {_duration(ending.seconds)}{said}")]


def log_lines(log: Sequence[tuple[datetime | None, str]]) -> list[Line]:
    """A session's log, in UTC."""
    lines = [f"{at:%H:%M:%S}Z  {message}" if at else message for at, message in log]
    return [("log" if n == 0 else "", line) for n, line in enumerate(lines)]


def _duration(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def place_and_time(number: Number, now: datetime | None = None) -> str:
    """Country and local time of a number: `US, 04:12 there (New York)`, or the span over several zones."""
    where = number.country or f"+{number.international[1:].split(' ')[0]}, no country"
    times = local_times(number, now or datetime.now(UTC))
    if not times:
        return f"{where}, local time not known"
    first, last = min(times), max(times)
    if f"{first:%H:%M}" == f"{last:%H:%M}":
        city = number.zones[0].rpartition("/")[2].replace("_", " ")
        return f"{where}, {first:%H:%M} there ({city if len(number.zones) == 1 else f'{len(number.zones)} zones'})"
    return f"{where}, {first:%H:%M} to {last:%H:%M} there ({len(number.zones)} zones)"


def local_times(number: Number, now: datetime) -> list[datetime]:
    """The clock of each zone that the number may be in, as naive local times."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    times = []
    for name in number.zones:
        try:
            times.append(now.astimezone(ZoneInfo(name)).replace(tzinfo=None))
        except ZoneInfoNotFoundError:
            continue
    return times


def failure_lines(error: EvocallError) -> list[Line]:
    """What stands below an error's first line: the number, the service's words, fields, the hint."""
    lines = []
    if error.call is not None and error.call.number and error.call.number not in str(error):
        number = error.call.number
        lines.append(("  number", number if len(number) <= LONGEST_NUMBER else number[:LONGEST_NUMBER] + "…"))
    if error.said:
        lines.append(("  what it said", error.said))
    lines += [(f"  {entry.field}", entry.message) for entry in error.fields]
    if error.hint:
        lines.append(("hint:", error.hint))
    return lines


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


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush; a full disk or a reader that has gone away must not turn a placed call into a failure."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _no_color() -> bool:
    return bool(os.environ.get("NO_COLOR"))
