"""Whom a command talks to: a profile and its login, the sandbox, or where an earlier call was placed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from evocall.errors import ConfigError, NotFound, UsageError
from evocall.model import SANDBOX, Credential, Profile

if TYPE_CHECKING:
    from evocall.journal import Journal
    from evocall.model import Record
    from evocall.service import Service
    from evocall.sessions import Session

LONGEST_NAME = 8  # letters of a local call ID; a session ID is longer


class Target(NamedTuple):
    """A profile, and how to find its login when it is needed; whoever keeps the password is asked once."""

    profile: Profile
    credential: Callable[[], Credential]

    @contextmanager
    def service(
        self, *, trace: Callable[[Any, Any], None] | None = None, own_process: bool = True
    ) -> Iterator["Service"]:
        """The API, signed in as this target; `trace(request, reply)` sees each exchange.

        Signals end the exchanges when the process is our own.
        """
        from evocall.flight import watchman
        from evocall.service import Service

        if own_process:
            watchman.listen_to_signals()
        service = Service(self.profile, self.credential(), trace=trace)
        try:
            yield service
        finally:
            service.close()


@contextmanager
def target(
    name: str | None, *, sandbox: bool = False, timeout: float | None = None, connect_timeout: float | None = None
) -> Iterator[Target]:
    """The target that `--profile` and `--sandbox` mean, with the options that override its settings."""
    if sandbox:
        from evocall.sandbox import Sandbox

        with Sandbox() as server:
            account = server.manager
            profile = Profile(SANDBOX, server.base_url, account.username, flow=server.flows[0].name)
            login = Credential(account.username, account.password, "the sandbox")
            yield Target(_timed(profile, timeout, connect_timeout), lambda: login)
        return
    from evocall import credentials, paths, profiles

    profile = profiles.load(paths.config_file()).choose(name)
    yield Target(_timed(profile, timeout, connect_timeout), cache(lambda: credentials.find(profile)))


@contextmanager
def target_of(record: "Record | None", given: str, name: str | None) -> Iterator[Target]:
    """The target at which a call was placed. A call of this journal brings its profile; `name` is for all others.

    Raises NotFound for a short name that the journal does not have, ConfigError when the profile has moved elsewhere.
    """
    if record is None and len(given) <= LONGEST_NAME:
        raise NotFound(
            f"There is no call {given} in the journal.",
            hint="evocall history lists them; the ID of a session of the service works too.",
            code="no_such_call",
        )
    with target(record.call.profile if record else name) as there:
        if record is not None and not placed_at(record, there.profile):
            raise ConfigError(
                f"The call {record.call.id} was placed at {record.call.base_url}, but the profile {there.profile.name} "
                f"now means {there.profile.base_url}.",
                hint=f"EVOCALL_BASE_URL={record.call.base_url} evocall … asks there.",
                code="other_host",
            )
        yield there


def placed_at(record: "Record", profile: Profile) -> bool:
    """Whether the call was placed at the host that the profile means now."""
    return replace(profile, base_url=record.call.base_url or profile.base_url).host == profile.host


def session_of(record: "Record | None", given: str, service: "Service", journal: "Journal") -> "Session | None":
    """The session of a call of the journal, else the one with the ID that was given; None when there is none."""
    from evocall import sessions, settling

    if record is not None:
        return settling.session_of(record, service, journal)
    return sessions.by_id(service, given) or sessions.by_id(service, given, archive=True)


def _timed(profile: Profile, timeout: float | None, connect_timeout: float | None) -> Profile:
    for option, seconds in (("--timeout", timeout), ("--connect-timeout", connect_timeout)):
        if seconds is not None and not 0 < seconds < threading.TIMEOUT_MAX:
            raise UsageError(f"{option} is a number of seconds above 0, not {seconds:g}.")
    return replace(
        profile,
        timeout=timeout or profile.timeout,
        connect_timeout=connect_timeout or profile.connect_timeout,
    )
