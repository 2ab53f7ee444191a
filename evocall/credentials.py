"""The login of a profile: environment, command, file, OS keyring, in that order."""

import os
import shlex
import stat
import string
from collections.abc import Mapping
from pathlib import Path

from evocall import paths
from evocall.errors import AuthError, ConfigError
from evocall.model import Credential, Profile
from evocall.settings import variable

COMMAND_PATIENCE = 30.0  # seconds
OTHERS = stat.S_IRWXG | stat.S_IRWXO
SOURCES = "EVOCALL_PASSWORD, password_command or password_file in the profile, or `evocall login` with a keyring"


def find(profile: Profile, environ: Mapping[str, str] = os.environ) -> Credential:
    """The login to use for this profile, with the name of its source.

    Never prompts. Raises AuthError (exit 4) when there is none, ConfigError (exit 10) when a source is broken.
    """
    if profile.username is None:
        raise AuthError(
            f"Profile {profile.name!r} has no username.",
            hint=f"evocall login --profile {profile.name}, or set EVOCALL_USERNAME and EVOCALL_PASSWORD.",
            code="no_credential",
        )
    for source in (_from_environment, _from_command, _from_file, _from_keychain):
        credential = source(profile, profile.username, environ)
        if credential is not None:
            return credential
    raise AuthError(
        f"There is no password for {profile.username} at {profile.base_url} in any of the places where evocall looks.",
        hint=f"Give it through {SOURCES}.",
        code="no_credential",
    )


def _from_environment(_profile: Profile, username: str, environ: Mapping[str, str]) -> Credential | None:
    if not environ.get("EVOCALL_PASSWORD"):
        return None
    password = variable(environ, "EVOCALL_PASSWORD")
    return Credential(username, password, "EVOCALL_PASSWORD in the environment")


def _from_command(profile: Profile, username: str, _environ: Mapping[str, str]) -> Credential | None:
    if profile.password_command is None:
        return None
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - the user's own command from the user's own file
            shlex.split(profile.password_command) or [""],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # without a terminal that it could ask at
            capture_output=True,
            timeout=COMMAND_PATIENCE,
            check=True,
        )
        password = done.stdout.partition(b"\n")[0].decode().removesuffix("\r")
    except subprocess.TimeoutExpired:
        raise _broken_command(profile, f"was still running after {COMMAND_PATIENCE:.0f} seconds") from None
    except subprocess.CalledProcessError as error:
        raise _broken_command(profile, f"ended with status {error.returncode}: {_last_line(error.stderr)}") from None
    except UnicodeDecodeError:
        raise _broken_command(profile, "printed something that is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise _broken_command(profile, f"could not be run: {error}") from None
    if not password:
        raise _broken_command(profile, "printed nothing on its first line")
    return Credential(username, password, f"password_command of profile {profile.name!r}")


def _broken_command(profile: Profile, what: str) -> ConfigError:
    return ConfigError(
        f"password_command of profile {profile.name!r} {what}.",
        hint=f"Run it in the same environment (cron's, for a cron job): {profile.password_command}",
        code="password_command",
    )


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]


def _from_file(profile: Profile, username: str, environ: Mapping[str, str]) -> Credential | None:
    if profile.password_file is None:
        return None
    path = _password_path(profile, profile.password_file, environ)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & OTHERS:
                raise ConfigError(
                    f"password_file {path} can be read by others (mode {mode:04o}), so it is not used.",
                    hint=f"chmod 600 {shlex.quote(str(path))}",
                    code="password_file",
                )
            password = file.readline(64 * 1024).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"password_file {path} cannot be read: {error}.", code="password_file") from None
    if not password:
        raise ConfigError(f"password_file {path} has an empty first line.", code="password_file")
    return Credential(username, password, f"password_file {path}")


def _password_path(profile: Profile, written: str, environ: Mapping[str, str]) -> Path:
    """`$VAR`, `${VAR}` and `~` expanded; a relative path is taken from the directory of the profile file."""
    try:
        path = string.Template(written).substitute(environ)
    except KeyError as name:
        raise ConfigError(
            f"password_file of profile {profile.name!r} is {written!r}, and ${name.args[0]} is not set here.",
            hint="systemd sets CREDENTIALS_DIRECTORY for services with LoadCredential=.",
            code="password_file",
        ) from None
    except ValueError as error:
        raise ConfigError(f"password_file of profile {profile.name!r}: {error}.", code="password_file") from None
    return paths.beside(profile.directory, path, code="password_file")


def _from_keychain(profile: Profile, _username: str, _environ: Mapping[str, str]) -> Credential | None:
    from evocall import keychain

    return keychain.fetch(profile)
