"""Names of flows seen at the service, for TAB only: a dial never looks here, since names move from flow to flow."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress

from evocall import files, paths
from evocall.model import Profile

MOST = 1000  # names; more than that nobody looks through


def remember(profile: Profile, names: Iterable[str]) -> None:
    """Add names to those that TAB offers for the profile, unless it is a rehearsal's.

    What cannot be written is not worth an error.
    """
    if profile.directory is None:
        return  # the sandbox's
    known = dict.fromkeys([*names, *recalled(profile)])
    file = paths.names_file(profile.name)
    text = json.dumps({"host": profile.host, "flows": list(known)[:MOST]})
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.whole(file) as opened:
            opened.write(text)


def recalled(profile: Profile) -> Sequence[str]:
    """The names that were seen for the profile at its present host, none when there is no such file."""
    try:
        kept = json.loads(paths.names_file(profile.name).read_text(encoding="utf-8"))
        names = kept["flows"] if kept["host"] == profile.host else []
        return [name for name in names if isinstance(name, str)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
