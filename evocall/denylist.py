"""The numbers that a profile must never ring, one a line in any format."""

import re
from collections import defaultdict
from pathlib import Path

from evocall import paths, phone
from evocall.errors import ConfigError, EvocallError
from evocall.model import Profile

LOOKS_LIKE_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
TAIL = 6


class DenyList:
    """Numbers in E.164. Lists are long, so a line that looks like E.164 is read only when its last digits match."""

    def __init__(self, path: Path, lines: list[str], region: str | None) -> None:
        self._path, self._region = path, region
        self._by_tail: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for line, text in enumerate(lines, 1):
            number = text.partition("#")[0].strip()
            if number and not LOOKS_LIKE_E164.fullmatch(number):
                number = self._read(line, number)
            if number:
                self._by_tail[number[-TAIL:]].append((line, number))

    def __contains__(self, e164: object) -> bool:
        candidates = self._by_tail.get(str(e164)[-TAIL:], ())
        return any(self._read(line, number) == e164 for line, number in candidates)

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
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The deny list {path} cannot be read: {error}.", code="deny_list") from None
    return DenyList(path, lines, profile.region)
