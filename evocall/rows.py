"""The rows of a campaign: CSV or JSON Lines in, read as often as needed, one row in memory at a time.

What spreadsheets do to phone numbers is recognised by name, never repaired by guess.
"""

import csv
import io
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

from evocall.errors import UsageError

DELIMITERS = (",", ";", "\t")
JSON_ENDINGS = {".jsonl", ".ndjson", ".json"}
SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")
DECIMALS = re.compile(r"\+?\d+([.,]0+)")
LONG_WITHOUT_PLUS = re.compile(r"[1-9]\d{7,14}")
LOOKS_LIKE_A_NUMBER = re.compile(r"(tel:)?(\+\d[\d ().-]{6,}|\(?\d[\d ()]{6,}|\(?\d[\d ()./-]{10,})")  # and no date
QUOTES = 'a cell that begins with a quote ends with one, and a quote within it is written twice ("")'


class Row(NamedTuple):
    """One row: its place in the file (the first line is 1), what evocall needs of it, and all its cells as they are.

    `origin` is the whole JSON object that the row was read from, if it was.
    """

    line: int
    number: str
    flow: str
    caller_id: str
    key: str
    cells: Sequence[str]
    flaw: str | None = None
    origin: dict[str, Any] | None = None


class _RepeatedError(Exception):
    """A name that stands twice in a JSON object."""


class Table:
    """An open file of rows. `columns` are its headings; a JSON Lines file has those of its first object.

    The names of the columns that are read may be written in any case.
    """

    def __init__(self, source: IO[bytes], name: str, *, encoding: str, number_column: str, lines_of_json: bool) -> None:
        self.name = name
        self._source, self._encoding, self._number = source, encoding, number_column
        self._names = (number_column.lower(), "flow", "caller_id", "key")
        self._read = self._json_rows if lines_of_json else self._csv_rows
        self.columns: tuple[str, ...] = ()
        rows = iter(self)
        next((row for row in rows if self.columns), None)
        rows.close()

    def __iter__(self) -> Generator[Row]:
        """All rows from the first one on. Raises UsageError for a file that cannot be read as what it claims to be."""
        self._source.seek(0)
        text = io.TextIOWrapper(self._source, self._encoding, newline="")
        try:
            yield from self._read(text)
        except UnicodeError as error:
            raise UsageError(
                f"{self.name} is not {self._encoding.removesuffix('-sig')}: {getattr(error, 'reason', error)}.",
                hint="Save it as UTF-8, or say --encoding windows-1252 if it comes from an older spreadsheet.",
                code="encoding",
            ) from None
        finally:
            text.detach()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _csv_rows(self, text: IO[str]) -> Iterator[Row]:
        first = text.readline()
        text.seek(0)
        delimiter = max(DELIMITERS, key=first.count)
        records = self._records(text, delimiter)
        _, last, headings, flaw = next(records, (1, 1, [], None))
        if flaw:
            raise UsageError(f"{self.name} cannot be read as CSV: in its first line {flaw}.", code="file")
        headings = [heading.strip() for heading in headings]
        at = self._places(headings)
        if last > 1 and _hides_rows(headings, at[0], delimiter):
            raise self._unclosed(1)
        self.columns = tuple(headings)
        width = len(headings)
        for line, last, cells, flaw in records:
            if last > line and _hides_rows(cells, at[0], delimiter):
                raise self._unclosed(line)
            if not any(map(str.strip, cells)):
                continue
            reason = flaw if len(cells) <= width else f"it has {len(cells)} cells, and the first line only {width}"
            if reason:
                yield Row(line, ", ".join(cells)[:60], "", "", "", cells[:width], reason)
                continue
            # One cell more, always empty, stands for each column that the file does not have.
            cells.extend([""] * (width + 1 - len(cells)))
            yield Row(line, cells[at[0]], cells[at[1]], cells[at[2]], cells[at[3]], cells)

    def _records(self, text: IO[str], delimiter: str) -> Iterator[tuple[int, int, list[str], str | None]]:
        """First line, last line, cells and flaw of each record; a line that is not CSV is the one cell of its own."""
        read = ""

        def remember(line: str) -> str:
            nonlocal read
            read = line
            return line

        reader = csv.reader(map(remember, text), delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if reader.line_num > line:
                    raise self._unclosed(line) from None
                yield line, line, [read.strip()], f"{error}; {QUOTES}"
                continue
            if cells is None:
                return
            yield line, reader.line_num, cells, None

    def _unclosed(self, line: int) -> UsageError:
        """The error for a quote that has swallowed other rows: nobody can know which, so none may be left out."""
        return UsageError(
            f"{self.name} cannot be read: a quote in row {line} is not closed.",
            hint=f"{QUOTES[0].upper()}{QUOTES[1:]}.",
            code="quotes",
        )

    def _places(self, headings: list[str]) -> list[int]:
        """Where number, flow, caller ID and key stand in a row; one past the end for a column that is not there."""
        lowered = [heading.lower() for heading in headings]
        if self._names[0] not in lowered:
            raise UsageError(
                f"{self.name} has no column {self._number!r}; its first line is {', '.join(headings) or 'empty'}.",
                hint="The first line names the columns; --number-column names the one with the numbers.",
                code="no_number_column",
            )
        for name in self._names:
            if lowered.count(name) > 1:
                raise UsageError(f"{self.name} has more than one column {name!r}.", code="file")
        return [lowered.index(name) if name in lowered else len(headings) for name in self._names]

    def _json_rows(self, text: IO[str]) -> Iterator[Row]:
        for line, content in enumerate(text, 1):
            if not content.strip():
                continue
            try:
                fields = json.loads(content, object_pairs_hook=_fields)
                flaw = None if isinstance(fields, dict) else "it is not a JSON object"
                if "\\u" in content:
                    json.dumps(fields, ensure_ascii=False).encode()  # half a surrogate pair is no text
            except (ValueError, RecursionError):
                fields, flaw = {}, "it is not JSON"
            except _RepeatedError as repeated:
                fields, flaw = {}, f"it has more than one {str(repeated)!r}"
            lowered = [name.lower() for name in fields] if flaw is None else []
            if twice := next((name for name in self._names if lowered.count(name) > 1), None):
                flaw = f"it has more than one {twice!r}"
            if flaw:
                yield Row(line, content.strip()[:60], "", "", "", (), flaw)
                continue
            self.columns = self.columns or tuple(fields)
            cells = [_as_cell(fields.get(column)) for column in self.columns]
            values = dict(zip(lowered, fields.values(), strict=True))
            number, flow, caller_id, key = (_as_cell(values.get(name)) for name in self._names)
            yield Row(line, number, flow, caller_id, key, cells, origin=fields)


def opened(path: str, *, encoding: str | None, number_column: str) -> Table:
    """The table in a file, or on standard input for `-`. Raises UsageError when there is none to read.

    A file that grows or changes from now on is read as it is now.
    """
    if path == "-" and sys.stdin is None:
        raise UsageError("Standard input is closed, so there are no rows.", code="file")
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as file:
            source = _copied(file, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", code="file") from None
    start = source.read(4096).lstrip(b"\xef\xbb\xbf").lstrip()
    lines_of_json = Path(path).suffix.lower() in JSON_ENDINGS or (path == "-" and start.startswith(b"{"))
    try:
        return Table(
            source,
            "standard input" if path == "-" else path,
            encoding=encoding or "utf-8-sig",
            number_column=number_column,
            lines_of_json=lines_of_json,
        )
    except (LookupError, UnicodeEncodeError):
        source.close()
        raise UsageError(f"--encoding {encoding!r} is not known.", hint="Such as utf-8 or windows-1252.") from None
    except UsageError:
        source.close()
        raise


def damage(text: str, region: str | None) -> str | None:
    """What a spreadsheet has done to the number, None when it looks untouched."""
    text = text.strip()
    if text.startswith("'"):
        return "it begins with an apostrophe, with which spreadsheets mark text"
    if text.startswith("="):
        return "it is a formula of a spreadsheet"
    if SCIENTIFIC.fullmatch(text):
        return "a spreadsheet has turned it into scientific notation, and its last digits are lost"
    if decimals := DECIMALS.fullmatch(text):
        return f"it ends in {decimals[1]}, which a spreadsheet has added"
    if region is None and LONG_WITHOUT_PLUS.fullmatch(text):
        return "it has no +, which a spreadsheet may have dropped; --region tells how to read it"
    return None


def _hides_rows(cells: list[str], number: int, delimiter: str) -> bool:
    """Whether lines within the cells have a phone number in the column of numbers, besides that of the row itself."""
    lines = [line.split(delimiter) for line in delimiter.join(cells).splitlines()]
    numbers = [parts[number].strip() for parts in lines if number < len(parts)]
    found = [text for text in numbers if LOOKS_LIKE_A_NUMBER.fullmatch(text)]
    return bool(found) and found != [text.strip() for text in cells[number : number + 1]]


def _copied(file: IO[bytes], path: str) -> IO[bytes]:
    """A copy of the file in a temporary one: it is read more than once, and only what was checked may be dialled."""
    try:
        with ExitStack() as stack:
            copy = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            stack.pop_all()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be copied: {error.strerror}.",
            hint="A batch keeps a copy of its rows in the directory for temporary files; TMPDIR names another.",
            code="file",
        ) from None
    return copy


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises _RepeatedError for a name that stands in it twice: nobody knows which value is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedError(next(name for name in names if names.count(name) > 1))
    return fields


def _as_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
