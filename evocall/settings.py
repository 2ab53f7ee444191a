"""What each key of a profile may hold, and how to say so."""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from evocall import places
from evocall.errors import ConfigError, UsageError
from evocall.guard import read_hours
from evocall.model import BASIC, COOKIES

SLOWEST, FASTEST = 0.0001, 1_000_000.0  # calls per second


class Kind(NamedTuple):
    """What a key may hold: a check, and how to say it in an error."""

    accepts: Callable[[Any], bool]
    wanted: str


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _seconds(value: object) -> bool:
    return _positive(value) and value < threading.TIMEOUT_MAX  # type: ignore[operator]


def _pace(value: object) -> bool:
    return _positive(value) and SLOWEST <= value <= FASTEST  # type: ignore[operator]


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_address(value: object) -> bool:
    """Whether a service may be there: http or https, a host, and no login in it."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        )
    except ValueError:
        return False


def _journal(value: object) -> bool:
    return isinstance(value, str) and places.is_url(value) and not places.has_password(value)


def _countries(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and re.fullmatch("[A-Z]{2}", v) for v in value)


def _strings(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


def _hours(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(read_hours(value))
    except UsageError:
        return False


TEXT = Kind(lambda v: isinstance(v, str) and v != "" and "\0" not in v, "a text in quotes")
SECONDS = Kind(_seconds, "a number of seconds above 0")
COUNT = Kind(_count, "a whole number, 0 or more")
TABLE = Kind(lambda v: isinstance(v, dict), "a table")

NAMED = ("flows", "contacts")  # the tables in which a user's own words are the keys
GUARD_KEYS = {
    "countries": Kind(_countries, 'a list of two-letter country codes, such as ["US", "CA"]'),
    "hours": Kind(_hours, 'hours such as "08:00-21:00"'),
    "deny": TEXT,
    "max_per_day": COUNT,
    "max_per_number_per_day": COUNT,
}
PROFILE_KEYS = {
    "base_url": Kind(is_address, 'an address such as "https://evovoice.io", without a login in it'),
    "username": TEXT,
    "flow": TEXT,
    "caller_id": TEXT,
    "region": Kind(lambda v: isinstance(v, str) and bool(re.fullmatch("[A-Z]{2}", v)), 'a country code such as "US"'),
    "pace": Kind(_pace, "calls per second, above 0 and at most a million"),
    "timeout": SECONDS,
    "connect_timeout": SECONDS,
    "sign_in": Kind(lambda v: v in (BASIC, COOKIES), f'"{BASIC}" or "{COOKIES}"'),
    "keyring_backend": TEXT,
    "password_command": TEXT,
    "password_file": TEXT,
    "journal": Kind(_journal, f"{places.WANTED}, without a password in it"),
    "guard": TABLE,
    "flows": Kind(_strings, "a table of names and flow IDs in quotes"),
    "contacts": Kind(_strings, "a table of names and numbers in quotes"),
}


def single() -> dict[str, Kind]:
    """The keys that hold one value, not a table, as they are typed: those of the guard as `guard.hours`."""
    known = {**PROFILE_KEYS, **{f"guard.{key}": kind for key, kind in GUARD_KEYS.items()}}
    return {key: kind for key, kind in known.items() if kind is not TABLE and key not in NAMED}


def typed_value(keys: tuple[str, ...], text: str) -> Any:
    """The TOML value that `text` means for that key. Raises UsageError for an unknown key or a wrong value."""
    kind = _kind_of(keys)
    for candidate in (text, *_as_toml(text)):
        if kind.accepts(candidate):
            return candidate
    raise UsageError(f"{'.'.join(keys)} is {kind.wanted}, not {shown(text)}.", code="invalid_value")


def _as_toml(text: str) -> list[Any]:
    from evocall import toml_text

    try:
        return [toml_text.parse(f"value = {text}")["value"]]
    except (ValueError, KeyError):
        return [[part.strip() for part in text.split(",")]]


def _kind_of(keys: tuple[str, ...]) -> Kind:
    if keys[0] in NAMED and len(keys) == 2:  # noqa: PLR2004 - table and name
        return TEXT
    known = single()
    key = ".".join(keys)
    if key == "password":
        raise UsageError("A password has no place in the profile file.", hint="evocall login puts it into the keyring.")
    if key not in known:
        names = [*sorted(known), *(f"{table}.NAME" for table in NAMED)]
        raise UsageError(
            f"{key!r} is not a key of a profile.",
            hint=f"The keys: {', '.join(names)}.",
            code="unknown_key",
        )
    return known[key]


def shown(value: object) -> str:
    """The value for an error message, unless it looks like an address, be it mistyped, with a login in it."""
    try:
        text = repr(value)
    except ValueError:
        return "a number with thousands of digits"
    secret = re.search("@|passw|secret|scram_", unquote(text), re.IGNORECASE)
    address = re.search("//|:/|:.*@", unquote(text)) or (isinstance(value, str) and places.is_in_keywords(value))
    return "one with a login in it" if secret and address else text


def variable(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable. Raises ConfigError when it holds bytes that are no text."""
    try:
        environ[name].encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name} is not UTF-8.", code="not_utf8") from None
    return environ[name]
