"""Where the profile file and the journal live."""

import os
from pathlib import Path

import platformdirs


def config_file() -> Path:
    """`config.toml` in the user's config directory, or in `$EVOCALL_HOME`."""
    return (_home() or platformdirs.user_config_path("evocall")) / "config.toml"


def journal_file() -> Path:
    """`journal.db` in the user's state directory, or in `$EVOCALL_HOME`."""
    return (_home() or platformdirs.user_state_path("evocall")) / "journal.db"


def _home() -> Path | None:
    home = os.environ.get("EVOCALL_HOME")
    return Path(home).expanduser() if home else None
