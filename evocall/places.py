"""Where a journal is: a file of this machine, or a PostgreSQL database that many hosts share."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode

from evocall import paths
from evocall.errors import ConfigError

if TYPE_CHECKING:
    from evocall.model import Profile

# As libpq reads it (PostgreSQL 15, 34.1.1.2), but with all that could hide a password written as %40 and the like.
HOST = r"(?:\[[0-9a-fA-F:.]+(?:%25[\w.-]+)?\]|[^][:,@/?#\s]*)(?::\d*)?"
URL = (
    rf"postgres(?:ql)?://(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?(?P<hosts>{HOST}(?:,{HOST})*)"
    r"(?:/(?P<database>[^@/?#\s]*))?(?:\?(?P<query>[^@#\s]*))?"
)
SPELLING = "Write @, / and % in it as %40, %2F and %25."
WANTED = 'a URL such as "postgresql://evocall@db.example.com/evocall"'


def is_url(text: str) -> bool:
    """Whether this names a database."""
    if re.fullmatch(URL, text) is None or re.search("%(?![0-9a-fA-F]{2})|%00", text):
        return False
    try:
        return bool(unquote(text, errors="strict").encode())
    except UnicodeError:
        return False


def is_in_keywords(text: str) -> bool:
    """Whether this names a database in libpq's other spelling, such as `host=db dbname=evocall`."""
    return re.search(r"(?:^|\s)(?:host|hostaddr|dbname|service|password|user)\s*=\s*\S", text) is not None


def checked(url: str) -> str:
    """The URL in EVOCALL_JOURNAL. Raises ConfigError, which does not show it, when it is none."""
    if not is_url(url):
        raise ConfigError(f"EVOCALL_JOURNAL is not {WANTED}.", hint=SPELLING)
    return url


def has_password(url: str) -> bool:
    """Whether there is one in it, which is fine in the environment, but not in a file."""
    match = re.fullmatch(URL, url)
    return match is not None and (
        match["password"] is not None or any(_is_secret(key) for key, _ in _parameters(match))
    )


def without_password(url: str) -> str:
    """The URL as it may be shown. It must be one, see `is_url`."""
    match = re.fullmatch(URL, url)
    if match is None or not is_url(url):
        raise ValueError
    kept = [(key, value) for key, value in _parameters(match) if not _is_secret(key)]
    user = f"{match['user']}@" if match["user"] else ""
    query = f"?{urlencode(kept, safe='/:=,', quote_via=quote)}" if kept else ""
    return f"postgresql://{user}{match['hosts']}/{match['database'] or ''}{query}"


def of(profile: "Profile", *, sandbox: bool = False) -> Path | str:
    """The place of a profile's journal; rehearsals have a file of their own."""
    return paths.journal_file(sandbox=True) if sandbox else profile.journal or paths.journal_file()


def exists(place: Path | str) -> bool:
    """Whether there may be calls at that place; a database is taken to be there."""
    return not isinstance(place, Path) or place.exists()


def _is_secret(key: str) -> bool:
    return re.search("password|secret|scram_(?:client|server)_key", key, re.IGNORECASE) is not None


def _parameters(match: re.Match[str]) -> list[tuple[str, str]]:
    return parse_qsl(match["query"] or "", keep_blank_values=True)
