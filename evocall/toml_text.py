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
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def changed(text: str, keys: Keys, value: Any) -> str:
    """The text with `keys` set to `value`, or taken out when `value` is None. Raises KeyError when it is not there."""
    wanted = _values_changed(parse(text), keys, value)
    edited = _without(text, keys) if value is None else _with(text, keys, value)
    return edited if _means(edited, wanted) else tomli_w.dumps(wanted)


def line_of(text: str, where: Keys, key: str) -> int | None:
    """The line on which `key` is set inside the table `where`, or on which the table itself begins."""
    table: Keys = ()
    for number, line in enumerate(_lines(text), 1):
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
    except (ValueError, RecursionError):
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
    lines = _lines(text)
    line = f"{_quoted(key)} = {_inline(value)}"
    at = line_of(text, tuple(where), key)
    if at is not None:
        old = lines[at - 1]
        indent = old[: len(old) - len(old.lstrip())]
        return _joined([*lines[: at - 1], indent + line + _comment(old), *lines[at:]], text)
    end = _end_of_table(lines, tuple(where))
    if end is not None:
        return _joined([*lines[:end], line, *lines[end:]], text)
    header = f"[{'.'.join(_quoted(name) for name in where)}]"
    return _joined([*lines, *([""] if lines else []), header, line], text)


def _without(text: str, keys: Keys) -> str:
    *where, key = keys
    table: Keys = ()
    kept: list[str] = []
    held: list[str] = []
    for line in _lines(text):
        header = _header(line)
        table = table if header is None else header
        if table[: len(keys)] == keys:
            # Comments at the end of a table may belong to the next one, so they stay.
            held = [*held, line] if not line.strip() or line.lstrip().startswith("#") else []
        elif not (table == tuple(where) and header is None and _key(line) == key):
            kept += [*held, line]
            held = []
    return _joined(kept, text)


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


def _comment(line: str) -> str:
    """The comment at the end of a line that sets a key, with the blanks before it."""
    for at, character in enumerate(line):
        if character == "#" and _means_something(line[:at]):
            return line[len(line[:at].rstrip()) :]
    return ""


def _means_something(line: str) -> bool:
    try:
        return bool(tomllib.loads(line))
    except (ValueError, RecursionError):
        return False


def _inline(value: Any) -> str:
    """The value on one line, so that the next change finds it."""
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")


def _quoted(name: str) -> str:
    return tomli_w.dumps({name: 0}).rpartition(" = ")[0]


def _means(text: str, document: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == document
    except (ValueError, RecursionError):
        return False


def _lines(text: str) -> list[str]:
    """The lines without their ends; TOML knows no others than LF and CRLF."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _joined(lines: list[str], like: str) -> str:
    """The lines as one text, with line ends like those of the text that they came from."""
    end = "\r\n" if "\r\n" in like else "\n"
    return "".join(line + end for line in lines)
