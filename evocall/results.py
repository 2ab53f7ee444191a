"""The file of results: a line for each row of a campaign, written whole or not at all, never over an existing file."""

import csv
import json
import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any, TextIO

from evocall import files
from evocall.errors import EvocallError, UsageError
from evocall.model import Call
from evocall.rows import Row, Table
from evocall.wording import utc

COLUMNS = ("outcome", "call", "session_id", "requested_at", "http_status", "error_code", "error")
Fate = tuple[str, Call | None, EvocallError | None]


def refuse_existing(path: Path) -> None:
    """Raise UsageError for a file that is there already, that cannot be made, or whose ending names no format."""
    if path.suffix.lower() not in {".csv", ".jsonl"}:
        raise UsageError(f"{path} should end in .csv or .jsonl.", code="results")
    if os.path.lexists(path):
        raise UsageError(
            f"{path} exists already, and results are never written over a file.",
            hint="Name another file: it will hold all rows of the campaign, also those of earlier runs.",
            code="results",
        )
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a directory.", code="results")
    try:
        files.try_out(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def write(path: Path, table: Table, fate: Callable[[Row], Fate]) -> None:
    """Write all rows with what became of them. Raises UsageError when the file cannot be written."""
    try:
        with files.whole(path, over=False) as file:
            _lines(file, path, table, fate)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror}.", code="results")


def _lines(file: TextIO, path: Path, table: Table, fate: Callable[[Row], Fate]) -> None:
    if path.suffix.lower() == ".jsonl":
        for row, values in _judged(table, fate):
            fields = row.origin or dict(zip(table.columns, row.cells, strict=False))
            file.write(json.dumps(fields | _named(fields, values)) + "\n")
        return
    writer = csv.writer(file)
    writer.writerow([*table.columns, *_named(table.columns, dict.fromkeys(COLUMNS))])
    width = len(table.columns)
    for row, values in _judged(table, fate):
        cells = [*row.cells[:width], *[""] * (width - len(row.cells))]
        writer.writerow([*cells, *("" if values[name] is None else values[name] for name in COLUMNS)])


def _judged(table: Table, fate: Callable[[Row], Fate]) -> Iterator[tuple[Row, dict[str, Any]]]:
    for row in table:
        outcome, call, error = fate(row)
        failure = error.document() if error else (call.error or {}) if call else {}
        values = {
            "outcome": outcome,
            "call": call and call.id,
            "session_id": call and call.session_id,
            "requested_at": call and call.requested_at and utc(call.requested_at),
            "http_status": call and call.http_status,
            "error_code": failure.get("code"),
            "error": failure.get("message"),
        }
        yield row, values


def _named(taken: Container[str], values: dict[str, Any]) -> dict[str, Any]:
    """The values under names that are not taken by the row itself."""
    return {f"evocall_{name}" if name in taken else name: value for name, value in values.items()}
