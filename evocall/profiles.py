"""The TOML file with the profiles: read with all its mistakes named, written whole or not at all."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evocall import paths, places
from evocall.errors import ConfigError, UsageError
from evocall.model import Guard, Profile
from evocall.settings import GUARD_KEYS, PROFILE_KEYS, TABLE, TEXT, Kind, is_address, shown, variable

DEFAULT = "default"
ENVIRONMENT = {
    "base_url": "EVOCALL_BASE_URL",
    "username": "EVOCALL_USERNAME",
    "flow": "EVOCALL_FLOW",
    "caller_id": "EVOCALL_CALLER_ID",
    "region": "EVOCALL_REGION",
    "journal": "EVOCALL_JOURNAL",
}


@dataclass(frozen=True)
class Config:
    """The whole file; `document` is its TOML as parsed."""

    path: Path
    default_profile: str | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)

    def default_name(self) -> str:
        """The profile that is meant when none is named: the default one, or the only one that there is."""
        return self.default_profile or (next(iter(self.profiles)) if len(self.profiles) == 1 else DEFAULT)

    def choose_or_new(self, name: str | None, *, base_url: str | None, username: str | None) -> Profile:
        """The profile that a login is for, made if need be; options beat the environment, which beats the file."""
        wanted = name or self.default_name()
        with_new = replace(self, profiles={wanted: Profile(wanted, directory=self.path.parent), **self.profiles})
        if base_url is not None and not is_address(base_url):
            raise UsageError(f"--base-url is {shown(base_url)}; it should be {PROFILE_KEYS['base_url'].wanted}.")
        chosen = with_new.choose(wanted)
        return replace(chosen, base_url=base_url or chosen.base_url, username=username or chosen.username)

    def choose(self, name: str | None, environ: Mapping[str, str] = os.environ) -> Profile:
        """The profile of that name, or the default one, with the environment laid over it.

        Raises ConfigError for a name that the file does not have.
        """
        wanted = name or self.default_name()
        if wanted not in self.profiles and (wanted != DEFAULT or self.profiles):
            known = ", ".join(sorted(self.profiles)) or "none"
            raise ConfigError(
                f"There is no profile {wanted!r} in {self.path} (profiles there: {known}).",
                hint=f"evocall login --profile {wanted} makes it; evocall profile use NAME chooses another.",
                code="no_such_profile",
            )
        profile = self.profiles.get(wanted, Profile(wanted, directory=self.path.parent))
        laid_over: dict[str, Any] = {
            key: variable(environ, name) for key, name in ENVIRONMENT.items() if environ.get(name)
        }
        if not is_address(laid_over.get("base_url", profile.base_url)):
            raise ConfigError(
                f"EVOCALL_BASE_URL is {shown(laid_over['base_url'])}, not {PROFILE_KEYS['base_url'].wanted}."
            )
        if "journal" in laid_over:
            places.checked(laid_over["journal"])
        return replace(profile, **laid_over)


def load(path: Path) -> Config:
    """Read the file; without one there are no profiles. Raises ConfigError that names file, line, key and fix."""
    text = _text(path)
    return Config(path) if text is None else _config(path, text)


def journal_place(name: str | None = None, *, sandbox: bool = False) -> Path | str:
    """The place of the journal of the profile that `name`, or no name, means, for commands that need only that."""
    if sandbox:
        return paths.journal_file(sandbox=True)
    named = os.environ.get("EVOCALL_JOURNAL")
    if named and name is None:
        return places.checked(named)
    config = load(paths.config_file())
    everywhere = {profile.journal for profile in config.profiles.values()}
    if name is None and len(everywhere) == 1:
        return everywhere.pop() or paths.journal_file()
    return places.of(config.choose(name))


def _config(path: Path, text: str) -> Config:
    document = _parse(path, text)
    check = _Check(path, text)
    check.keys(document, {"default_profile": TEXT, "profiles": TABLE}, ())
    profiles = {}
    for name, section in document.get("profiles", {}).items():
        profiles[name] = check.profile(name, section)
    default = document.get("default_profile")
    if default is not None and default != DEFAULT and default not in profiles:
        raise check.error((), "default_profile", f"names {default!r}, which is not a profile of this file")
    return Config(path, default, profiles, document)


def set_value(path: Path, keys: tuple[str, ...], value: Any) -> None:
    """Set one key of the file and keep all others, comments included where the line can be edited in place.

    Raises ConfigError when the result would not be a valid file; then nothing is written.
    """
    _change(path, (keys, value))


def remove_value(path: Path, keys: tuple[str, ...]) -> None:
    """Take one key or one table out of the file. Raises ConfigError when it is not there."""
    _change(path, (keys, None))


def save_login(path: Path, profile: Profile) -> None:
    """Write down what a login has shown: address, username and the way of signing in that works."""
    keys = ("base_url", "username", "sign_in")
    _change(path, *((("profiles", profile.name, key), getattr(profile, key)) for key in keys))


class _Check:
    """Walks the parsed file and raises ConfigError for the first thing that is not as it should be."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text

    def profile(self, name: str, section: object) -> Profile:
        where = ("profiles", name)
        if not isinstance(section, dict):
            raise self.error(("profiles",), name, f"must be a table [profiles.{name}]")
        if "password" in section:
            raise self.error(
                where,
                "password",
                "has no place here",
                hint="evocall login puts it into the keyring, or use password_file.",
            )
        self.keys(section, PROFILE_KEYS, where)
        self.keys(section.get("guard", {}), GUARD_KEYS, (*where, "guard"))
        values = dict(section)
        guard = dict(values.pop("guard", {}))
        if "countries" in guard:
            guard["countries"] = tuple(guard["countries"])
        return Profile(name, **values, guard=Guard(**guard), directory=self.path.parent)

    def keys(self, table: Mapping[str, Any], known: Mapping[str, Kind], where: tuple[str, ...]) -> None:
        for key, value in table.items():
            if key not in known:
                raise self.error(where, key, f"is not a key that evocall knows here (known: {', '.join(known)})")
            if not known[key].accepts(value):
                raise self.error(where, key, f"must be {known[key].wanted}, not {shown(value)}")

    def error(self, where: tuple[str, ...], key: str, what: str, *, hint: str | None = None) -> ConfigError:
        from evocall import toml_text

        line = toml_text.line_of(self.text, where, key)
        place = f"{self.path}, line {line}" if line else str(self.path)
        return ConfigError(f"{place}: {'.'.join((*where, key))} {what}.", hint=hint, code="profile_file")


def _text(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise ConfigError(
            f"{path} cannot be read: {path.parent} is not a directory.", hint="Check EVOCALL_HOME.", code="profile_file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", hint="Make it readable text, or move it away.", code="profile_file"
        ) from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    from evocall import toml_text

    try:
        return toml_text.parse(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", code="profile_file") from None


def _change(path: Path, *edits: tuple[tuple[str, ...], Any]) -> None:
    """Make all of the edits, each a key and its new value, or none of them."""
    from evocall import toml_text

    with _alone(path):
        text = _text(path) or ""
        if not _has_only_tables(_parse(path, text).get("profiles", {})):
            _config(path, text)
        for keys, value in edits:
            try:
                text = toml_text.changed(text, keys, value)
            except KeyError:
                raise ConfigError(f"{path} has no {'.'.join(keys)}.", code="profile_file") from None
        _config(path, text)
        _write(path, text)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Within the block no other process changes the file. Raises ConfigError when its directory cannot be written."""
    from evocall.lease import exclusive

    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(exclusive(path.with_suffix(".lock")))
        except OSError as error:
            raise _unwritable(path, error) from error
        yield


def _has_only_tables(profiles: Any) -> bool:
    return isinstance(profiles, dict) and all(isinstance(table, dict) for table in profiles.values())


def _write(path: Path, text: str) -> None:
    """Put the text in place whole or not at all, readable by its owner only. Raises ConfigError."""
    from evocall import files

    try:
        with files.whole(path.resolve()) as file:
            file.write(text)
    except (OSError, UnicodeEncodeError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error}.", code="profile_file")
