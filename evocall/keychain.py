"""The OS keyring, asked with patience and without ever opening a dialog that nobody can answer.

Kept apart from `credentials`, since importing keyring costs as much as the rest of a dial.
"""

import os
from collections.abc import Callable
from contextlib import closing

import keyring
import keyring.backend
import keyring.errors

from evocall.errors import AuthError, ConfigError
from evocall.model import Credential, Profile
from evocall.patience import Result, within

PATIENCE = 5.0  # seconds; a keyring that is silent for longer is waiting for somebody who is not there
UNLOCK_PATIENCE = 120.0  # seconds, when login may ask the person at the terminal to unlock it
DEFAULT_COLLECTION = "/org/freedesktop/secrets/aliases/default"
OTHER_SOURCES = "EVOCALL_PASSWORD, or password_command or password_file in the profile"


def fetch(profile: Profile, patience: float = PATIENCE) -> Credential | None:
    """The login stored for the profile, None without a keyring or without one in it.

    Raises ConfigError within `patience` seconds when the keyring is locked or does not answer.
    """
    return _with_patience(lambda: _fetch(profile), patience)


def _fetch(profile: Profile) -> Credential | None:
    backend = _backend(profile.keyring_backend)
    if backend is None:
        return None
    if not _is_set_up(backend):
        return None
    password = backend.get_password(_service(profile), str(profile.username))
    return Credential(str(profile.username), password, f"the keyring ({_name(backend)})") if password else None


def store(profile: Profile, password: str) -> str:
    """Put the password into the keyring; returns the name of the backend. May ask a person to unlock it."""
    return _with_patience(lambda: _store(profile, password), UNLOCK_PATIENCE)


def _store(profile: Profile, password: str) -> str:
    backend = _backend(None)
    if backend is None:
        raise AuthError(
            "The login works, and its address and username are in the profile file; but there is no keyring here that "
            "could hold the password, so it was not stored.",
            hint=f"evocall profile set password_file PATH {profile.option}, or password_command, or EVOCALL_PASSWORD.",
            code="no_keyring",
        )
    backend.set_password(_service(profile), str(profile.username), password)
    return _name(backend)


def forget(profile: Profile, patience: float = PATIENCE) -> bool:
    """Take the password out of the keyring; False when there was none."""
    return _with_patience(lambda: _forget(profile), patience)


def _forget(profile: Profile) -> bool:
    backend = _backend(profile.keyring_backend)
    if backend is None or not _is_set_up(backend):
        return False
    try:
        backend.delete_password(_service(profile), str(profile.username))
    except keyring.errors.PasswordDeleteError:
        return False
    return True


def _backend(name: str | None) -> keyring.backend.KeyringBackend | None:
    """The keyring to use, None when there is none. A named backend spares the search, which imports them all."""
    try:
        if name is not None and "PYTHON_KEYRING_BACKEND" not in os.environ:
            keyring.set_keyring(keyring.core.load_keyring(name))
        backend = keyring.get_keyring()
    except (RuntimeError, ImportError, AttributeError, keyring.errors.KeyringError):
        return None
    return None if type(backend).__module__ in {"keyring.backends.fail", "keyring.backends.null"} else backend


def _is_set_up(backend: keyring.backend.KeyringBackend) -> bool:
    """Whether anything can be stored there; KeyringLocked when it is locked.

    The Secret Service backend would open a dialog to set up or to unlock; nobody may be there to answer it.
    """
    if type(backend).__module__ != "keyring.backends.SecretService":
        return True
    import secretstorage

    with closing(secretstorage.dbus_init()) as bus:
        try:
            locked = secretstorage.Collection(bus, DEFAULT_COLLECTION).is_locked()
        except secretstorage.exceptions.ItemNotFoundException:
            return False
    if locked:
        raise keyring.errors.KeyringLocked("it is locked")
    return True


def _with_patience(ask: Callable[[], Result], seconds: float) -> Result:
    """What `ask` returns; ConfigError when it fails or is silent for that long."""
    try:
        return within(seconds, ask)
    except AuthError:
        raise
    except Exception as error:  # backends raise whatever their libraries do
        raise ConfigError(
            f"The keyring cannot be used: {str(error) or type(error).__name__}.",
            hint=f"Unlock it, or give the password through {OTHER_SOURCES}.",
            code="keyring",
        ) from error


def _service(profile: Profile) -> str:
    return f"evocall {profile.netloc}"


def _name(backend: keyring.backend.KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"
