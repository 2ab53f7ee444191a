"""Where the profile file and the journal live."""

import os
from pathlib import Path
from urllib.parse import quote

from evocall.errors import ConfigError


def config_file() -> Path:
    """`config.toml` in the user's config directory, or in `$EVOCALL_HOME`."""
    return _directory(state=False) / "config.toml"


def journal_file(*, sandbox: bool = False) -> Path:
    """`journal.db` in the user's state directory, or in `$EVOCALL_HOME`; rehearsals have a file of their own."""
    return _directory(state=True) / ("sandbox.db" if sandbox else "journal.db")


def names_file(profile: str) -> Path:
    """The names of flows that TAB offers for a profile, beside the journal."""
    return journal_file().parent / "names" / f"{quote(profile, safe='')}.json"


def beside(directory: Path | None, written: str, *, code: str) -> Path:
    """A path from the profile file: `~` expanded, and a relative one taken from the file's own directory.

    Raises ConfigError for the home of somebody who does not exist.
    """
    try:
        return (directory or Path()) / Path(written).expanduser()
    except RuntimeError:
        raise ConfigError(f"{written!r} is in the home of somebody who does not exist here.", code=code) from None


def _directory(*, state: bool) -> Path:
    """`$EVOCALL_HOME`, or else where platformdirs says that such files usually live."""
    home = os.environ.get("EVOCALL_HOME")
    try:
        if home:
            return Path(home).expanduser()
        import platformdirs

        return platformdirs.user_state_path("evocall") if state else platformdirs.user_config_path("evocall")
    except RuntimeError:
        raise ConfigError(
            "This user has no home directory.", hint="Set EVOCALL_HOME to a directory for profile file and journal."
        ) from None
