"""The numbers that a profile must never ring, one a line in any format."""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from evocall import paths, phone
from evocall.errors import ConfigError, EvocallError
from evocall.model import Profile

LOOKS_LIKE_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
TAIL = 6


class State(NamedTuple):
    """By which a file that was changed is told from what it was."""

    changed: int
    size: int
    inode: int


class DenyList:
    """Numbers in E.164. Lists are long, so a line that looks like E.164 is read only when its last digits match.

    `by_tail` holds them with their lines, by their last digits. `state` is that of the file just before it was read,
    None for the list of a profile that names no file.
    """

    def __init__(self, path: Path, lines: list[str], region: str | None, state: State | None = None) -> None:
        self._path, self._region, self._state = path, region, state
        self.by_tail: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for line, text in enumerate(lines, 1):
            number = text.partition("#")[0].strip()
            if number and not LOOKS_LIKE_E164.fullmatch(number):
                number = self._read(line, number)
            if number:
                self.by_tail[number[-TAIL:]].append((line, number))

    def __contains__(self, e164: object) -> bool:
        candidates = self.by_tail.get(str(e164)[-TAIL:], ())
        return any(self._read(line, number) == e164 for line, number in candidates)

    def changed(self) -> bool:
        """Whether the file is another one now. Raises ConfigError when it is gone."""
        return self._state is not None and _state(self._path) != self._state

    def keep(self, earlier: "DenyList") -> None:
        """Deny all that was denied earlier, too: the file may be empty while somebody writes it anew."""
        for tail, candidates in earlier.by_tail.items():
            known = {number for _, number in self.by_tail[tail]}
            self.by_tail[tail] += [candidate for candidate in candidates if candidate[1] not in known]

    def _read(self, line: int, text: str) -> str:
        try:
            return phone.read(text, region=self._region).e164
        except EvocallError as error:
            raise ConfigError(
                f"{self._path}, line {line}: {error}",
                hint="One number a line; text after # is a comment.",
                code="deny_list",
            ) from None


def load(profile: Profile) -> DenyList:
    """The profile's list, read whole. Raises ConfigError that names the file, and the line that is not a number.

    Numbers in national format are read with the profile's region: that of one call must not change what they mean.
    """
    if profile.guard.deny is None:
        return DenyList(Path(), [], None)
    path = paths.beside(profile.directory, profile.guard.deny, code="deny_list")
    state = _state(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    return DenyList(path, lines, profile.region, state)


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return State(found.st_mtime_ns, found.st_size, found.st_ino)


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"The deny list {path} cannot be read: {error}.", code="deny_list")
