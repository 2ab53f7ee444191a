"""All that stands between a user and a call, looked at one thing after the other. Nothing is dialled.

A look that needs something broken is left out, so that the first failure is the one to mend.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from evocall import answers, catalog, paths, phone, places, profiles
from evocall.errors import AuthError, ConfigError, EvocallError, NotFound, Rejected, UsageError
from evocall.journal import Journal
from evocall.model import BASIC, Credential, Profile
from evocall.planning import Planner
from evocall.service import Identity, Service
from evocall.way import Finding, Status, Trace, Way

PATIENCE = 5.0  # seconds for each step over the network
MOST_SECONDS_APART = 5.0  # of two clocks

ANYWHERE = "+18005550100"  # may ring in any zone of North America
NEW_YORK = "America/New_York"
LOGIN = ("EVOCALL_BASE_URL", "EVOCALL_USERNAME")
DEFAULTS = ("EVOCALL_FLOW", "EVOCALL_CALLER_ID", "EVOCALL_REGION")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `hint` says what to do; `error` is what failed, with the exit code for it."""

    name: str
    status: Status
    message: str
    hint: str | None = None
    error: EvocallError | None = None

    def document(self) -> dict[str, str | None]:
        """The check as JSON shows it."""
        return {"name": self.name, "status": self.status, "message": self.message, "hint": self.hint}


Chosen = tuple[Profile, Callable[[], Credential]]


class Diagnosis:
    """One run of all checks. `choose` gives the profile that is meant and a way to its login.

    `name` is the profile that was asked for, `trace` sees each exchange, `tell` hears of a search that takes long, and
    `patience` is for each step over the network, in seconds. `profile` is None until it has been found.
    """

    def __init__(
        self,
        choose: Callable[[], Chosen],
        *,
        name: str | None = None,
        sandbox: bool = False,
        trace: Trace | None = None,
        tell: Callable[[str], None] = lambda _: None,
        patience: float = PATIENCE,
    ) -> None:
        self.profile: Profile | None = None
        self._choose, self._name, self._sandbox = choose, name, sandbox
        self._trace, self._tell, self._patience = trace, tell, patience
        self._broken: dict[str, str] = {}
        self._to_close = ExitStack()
        # Each is set by the check that finds it; the checks that need it are left out without it.
        self._planner: Planner
        self._find: Callable[[], Credential]
        self._way: Way
        self._login: Credential
        self._service: Service
        self._identity: Identity

    def checks(self) -> Iterator[Check]:
        """Each check as soon as it is done."""
        with self._to_close:
            yield self._check("config", self._config)
            yield self._check("journal", self._journal, "config")
            yield self._check("time_zones", _time_zones)
            yield self._check("credential", self._credential, "config")
            yield self._check("proxy", self._along(Way.proxy), "config")
            yield self._check("dns", self._along(Way.dns), "proxy")
            yield self._check("tcp", self._along(Way.tcp), "dns")
            yield self._check("tls", self._along(Way.tls), "tcp")
            yield self._check("clock", self._along(Way.clock), "tls")
            yield self._check("sign_in", self._sign_in, "credential", "clock")
            yield self._check("role", self._role, "sign_in")
            yield self._check("flow", self._flow, "sign_in")
            yield self._check("caller_id", self._caller_id, "sign_in")

    def _check(self, name: str, look: Callable[[], Finding], *needs: str) -> Check:
        """The result of a look, which is left out when something that it needs is broken."""
        broken = next((self._broken[need] for need in needs if need in self._broken), None)
        if broken is not None:
            self._broken[name] = broken
            return Check(name, Status.SKIPPED, f"not looked at, since {broken.replace('_', ' ')} failed")
        try:
            return Check(name, *look())
        except EvocallError as error:
            self._broken[name] = name
            message = f"{error} It said: {error.said}" if error.said else str(error)
            return Check(name, Status.FAILED, message, error.hint, error)

    def _along(self, look: "Callable[[Way], Finding]") -> Callable[[], Finding]:
        """A look at the way, which is not known before the profile is."""
        return lambda: look(self._way)

    def _config(self) -> Finding:
        self.profile, self._find = self._choose()
        self._planner = Planner(self.profile, region=os.environ.get("EVOCALL_REGION"))
        phone.check_region(self._planner.region)
        quick = replace(
            self.profile,
            timeout=min(self.profile.timeout, self._patience),
            connect_timeout=min(self.profile.connect_timeout, self._patience),
        )
        self._way = Way(quick, self._patience, self._trace)
        found = "the sandbox, without a profile" if self._sandbox else _origin(self.profile, self._name)
        names = DEFAULTS if self._sandbox else LOGIN + DEFAULTS
        laid_over = ", ".join(name for name in names if os.environ.get(name))
        return Status.OK, f"{found}; from the environment: {laid_over}" if laid_over else found, None

    def _journal(self) -> Finding:
        with Journal(places.of(self._planner.profile, sandbox=self._sandbox)) as journal:
            ahead = journal.try_out().total_seconds()
        if abs(ahead) > MOST_SECONDS_APART:
            hint = "Set both by NTP: caps and hold-backs compare the times that hosts have written."
            return Status.WARNING, f"{journal.name} can be written, its clock is {ahead:+.0f} s from this host's", hint
        return Status.OK, f"{journal.name} can be written", None

    def _credential(self) -> Finding:
        try:
            self._login = self._find()
        except AuthError as error:
            if self._planner.profile.username is not None and _lacks_bus():
                error.hint = f"There is no D-Bus session here, as under cron, and so no keyring. {error.hint}"
            raise
        found = f"{self._login.username}, with the password from {self._login.source}"
        if sys.platform == "linux" and self._login.source.startswith("the keyring"):
            return Status.OK, found, "A cron job does not reach the keyring; password_file and password_command work."
        return Status.OK, found, None

    def _sign_in(self) -> Finding:
        self._service = Service(self._way.profile, self._login, trace=self._trace)
        self._to_close.callback(self._service.close)
        self._identity = self._service.whoami()
        way = "by Basic" if self._way.profile.sign_in == BASIC else "with a session cookie"
        return Status.OK, f"accepted as {self._identity.username or self._login.username}, {way}", None

    def _role(self) -> Finding:
        roles = self._identity.roles
        if roles is None:
            return Status.WARNING, "the service does not tell our roles", "A dial needs Manager or SystemAdministrator."
        self._identity.refuse_without_role(self._login.username)
        return Status.OK, f"{', '.join(roles)}: may dial", None

    def _flow(self) -> Finding:
        try:
            flow = self._planner.flow(os.environ.get("EVOCALL_FLOW"))
        except UsageError as error:
            return Status.SKIPPED, "no default is set", error.hint
        if flow.pending:
            found = catalog.flow_named(self._service, flow.id, tell=self._tell)
            return Status.OK, f"{found.name}  {found.id}", None
        try:
            info = self._service.read("GET", f"/flows/{quote(flow.id, safe='')}")
        except NotFound as error:
            raise NotFound(
                f"The service knows no flow {flow.id} (404).", hint="evocall flows lists them.", code="no_such_flow"
            ) from error
        return Status.OK, f"{flow.alias or answers.as_text(info.get('name')) or 'without a name'}  {flow.id}", None

    def _caller_id(self) -> Finding:
        caller = self._planner.caller(os.environ.get("EVOCALL_CALLER_ID"))
        if caller is None:
            return Status.SKIPPED, "no default is set: the service picks one", None
        if not catalog.owns(self._service, caller.e164):
            raise Rejected(
                f"{caller.international} is not among the account's numbers, so the service may refuse to show it.",
                hint="evocall numbers lists them.",
                code="caller_id_not_owned",
            )
        return Status.OK, f"{caller.international} is the account's", None


def _origin(profile: Profile, name: str | None) -> str:
    """Which profile is used, and why that one."""
    file = paths.config_file()
    if not file.exists():
        return f"profile {profile.name} without a file (there is no {file}), at {profile.base_url}"
    config = profiles.load(file)
    if name is not None:
        why = "EVOCALL_PROFILE" if os.environ.get("EVOCALL_PROFILE") == name else "--profile"
    elif config.default_profile:
        why = "default_profile"
    else:
        why = "the only one" if len(config.profiles) == 1 else "no other was named"
    return f"profile {profile.name} ({why}) of {file}, at {profile.base_url}"


def _time_zones() -> Finding:
    """Whether the callee's clock can be read; the zones of a number that rings anywhere stand for all."""
    import zoneinfo

    missing = []
    for name in (NEW_YORK, *phone.read(ANYWHERE).zones):
        try:
            zoneinfo.ZoneInfo.no_cache(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            missing.append(name)
    if NEW_YORK in missing:
        raise ConfigError(
            f"The time zone {NEW_YORK} cannot be loaded, so nobody's hours are known.",
            hint="Install the system's zone files (Debian: apt install tzdata) or Python's (pip install tzdata).",
            code="time_zones",
        )
    source = next((path for path in zoneinfo.TZPATH if Path(path, NEW_YORK).exists()), "Python's package tzdata")
    if missing:
        return Status.WARNING, f"from {source}, without {', '.join(missing)}", "Bring the time zone data up to date."
    return Status.OK, f"from {source}", None


def _lacks_bus() -> bool:
    """Whether the Secret Service, the keyring of Linux, is out of reach."""
    return sys.platform == "linux" and "DBUS_SESSION_BUS_ADDRESS" not in os.environ
