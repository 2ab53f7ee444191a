"""Where a journal is: a file of this machine, or a PostgreSQL database that many hosts share."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from evocall import paths

if TYPE_CHECKING:
    from evocall.model import Profile

# As libpq reads it (PostgreSQL 15, 34.1.1.2), but with all that could hide a password written as %40 and the like.
HOST = r"(?:\[[0-9a-fA-F:.%]+\]|[^][:,@/?#\s]*)(?::\d*)?"
URL = (
    rf"postgres(?:ql)?://(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?(?P<hosts>{HOST}(?:,{HOST})*)"
    r"(?:/(?P<database>[^@/?#\s]*))?(?:\?(?P<query>[^@#\s]*))?"
)
SECRET = {"password", "sslpassword"}
WANTED = 'a URL such as "postgresql://evocall@db.example.com/evocall"'


def is_url(text: str) -> bool:
    """Whether this names a database."""
    return re.fullmatch(URL, text) is not None


def has_password(url: str) -> bool:
    """Whether there is one in it, which is fine in the environment, but not in a file."""
    match = re.fullmatch(URL, url)
    return match is not None and (match["password"] is not None or any(key in SECRET for key, _ in _parameters(match)))


def without_password(url: str) -> str:
    """The URL as it may be shown. It must be one, see `is_url`."""
    match = re.fullmatch(URL, url)
    if match is None:
        raise ValueError
    kept = [(key, value) for key, value in _parameters(match) if key not in SECRET]
    user = f"{match['user']}@" if match["user"] else ""
    query = f"?{urlencode(kept, safe='/:=, ')}" if kept else ""
    return f"postgresql://{user}{match['hosts']}/{match['database'] or ''}{query}"


def of(profile: "Profile", *, sandbox: bool = False) -> Path | str:
    """The place of a profile's journal; rehearsals have a file of their own."""
    return paths.journal_file(sandbox=True) if sandbox else profile.journal or paths.journal_file()


def meant(name: str | None = None, *, sandbox: bool = False) -> Path | str:
    """The place of the journal of the profile that `name`, or no name, means, for commands that need only that."""
    if sandbox:
        return paths.journal_file(sandbox=True)
    from evocall import profiles

    config = profiles.load(paths.config_file())
    everywhere = {profile.journal for profile in config.profiles.values()}
    if name is None and len(everywhere) == 1 and not os.environ.get("EVOCALL_JOURNAL"):
        return everywhere.pop() or paths.journal_file()
    return of(config.choose(name))


def exists(place: Path | str) -> bool:
    """Whether there may be calls at that place; a database is taken to be there."""
    return not isinstance(place, Path) or place.exists()


def _parameters(match: re.Match[str]) -> list[tuple[str, str]]:
    return parse_qsl(match["query"] or "", keep_blank_values=True)
