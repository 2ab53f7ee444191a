"""One key of a TOML text changed, everything else in it kept: order, blank lines, comments.

The edit works on lines and is then parsed to prove that it means what it should; where lines are not enough
(values over several lines, dotted keys), the whole text is written anew from its values.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w

Keys = tuple[str, ...]


def parse(text: str) -> dict[str, Any]:
    """The values of the text. Raises ValueError with the line and column of a mistake."""
    return tomllib.loads(text)


def changed(text: str, keys: Keys, value: Any) -> str:
    """The text with `keys` set to `value`, or taken out when `value` is None. Raises KeyError when it is not there."""
    wanted = _values_changed(parse(text), keys, value)
    edited = _without(text, keys) if value is None else _with(text, keys, value)
    return edited if _means(edited, wanted) else tomli_w.dumps(wanted)


def line_of(text: str, where: Keys, key: str) -> int | None:
    """The line on which `key` is set inside the table `where`, or on which the table itself begins."""
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _header(line)) is not None:
            table = header
            if table == (*where, key):
                return number
        elif table == where and _key(line) == key:
            return number
    return None


def _header(line: str) -> Keys | None:
    """The name of the table that the line opens, None for any other line."""
    if not line.lstrip().startswith("["):
        return None
    try:
        table: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    names = []
    while isinstance(table, dict) and table:
        [(name, table)] = table.items()
        names.append(name)
    return tuple(names)


def _key(line: str) -> str | None:
    match = re.match(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*=""", line)
    return next((group for group in match.groups() if group is not None), None) if match else None


def _values_changed(document: Mapping[str, Any], keys: Keys, value: Any) -> dict[str, Any]:
    copy = dict(document)
    first, *rest = keys
    if rest:
        copy[first] = _values_changed(copy.get(first, {}), tuple(rest), value)
    elif value is None:
        del copy[first]
    else:
        copy[first] = value
    return copy


def _with(text: str, keys: Keys, value: Any) -> str:
    *where, key = keys
    lines = text.splitlines()
    line = tomli_w.dumps({key: value}).rstrip("\n")
    at = line_of(text, tuple(where), key)
    if at is not None:
        return _joined([*lines[: at - 1], line, *lines[at:]])
    end = _end_of_table(lines, tuple(where))
    if end is not None:
        return _joined([*lines[:end], line, *lines[end:]])
    header = f"[{'.'.join(_quoted(name) for name in where)}]"
    return _joined([*lines, *([""] if lines else []), header, line])


def _without(text: str, keys: Keys) -> str:
    *where, key = keys
    table: Keys = ()
    kept = []
    for line in text.splitlines():
        header = _header(line)
        table = table if header is None else header
        if table[: len(keys)] != keys and not (table == tuple(where) and header is None and _key(line) == key):
            kept.append(line)
    return _joined(kept)


def _end_of_table(lines: list[str], where: Keys) -> int | None:
    """How many lines there are up to and with the last setting of the table; None when the table is not there."""
    end = 0 if not where else None
    table: Keys = ()
    for number, line in enumerate(lines, 1):
        header = _header(line)
        table = table if header is None else header
        if table == where and (header is not None or _key(line)):
            end = number
    return end


def _quoted(name: str) -> str:
    return tomli_w.dumps({name: 0}).rpartition(" = ")[0]


def _means(text: str, document: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == document
    except tomllib.TOMLDecodeError:
        return False


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n" if lines else ""
