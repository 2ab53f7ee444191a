"""What the user typed -> a call that has passed every local check. Only `look_up`, if given, asks the service."""

from collections.abc import Callable, Collection
from functools import lru_cache

from evocall import denylist, guard, phone
from evocall.address import refuse_plain_http
from evocall.errors import EvocallError, Refused, UsageError
from evocall.model import FLOW_ID, GUARDED, Call, Flow, Hours, Number, Outcome, Plan, Profile


class Planner:
    """Everything about a call but its number, settled once: profile, options, hours, deny list, caller ID.

    Options beat the profile's defaults; `look_up` asks the service about flows that are named. Raises UsageError for an
    option that cannot be read.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        region: str | None = None,
        between: str | None = None,
        allow: Collection[str] = (),
        look_up: Callable[[Flow], Flow] = lambda flow: flow,
    ) -> None:
        for name in allow:
            if name not in GUARDED:
                raise UsageError(f"--allow {name!r} is not a number class.", hint=f"The classes: {', '.join(GUARDED)}.")
        refuse_plain_http(profile.base_url)
        self.profile = profile
        self.region = region or profile.region
        self.hours = hours_of(profile, between)
        self._allow = allow
        self._denied = denylist.load(profile)
        self.look_up = look_up

    def plan(self, number: str, *, flow: str | None = None, caller_id: str | None = None) -> Plan:
        """The call as it would be placed, at a time when its hours allow it.

        Raises UsageError for what cannot be read, Refused for what a guard forbids; the error carries the call.
        """
        try:
            callee = self.callee(number)
            chosen = self.flow(flow)
            caller = self.caller(caller_id)
            if caller is not None and caller.e164 == callee.e164:
                raise UsageError(
                    f"{callee.international} is both callee and caller ID.",
                    hint="Choose another --caller-id, or none: the service then picks one.",
                    code="same_number",
                )
        except EvocallError as error:
            error.call = Call(
                Outcome.NOT_PLACED, number=number, profile=self.profile.name, base_url=self.profile.base_url
            )
            raise
        return Plan(callee, chosen, caller, self.profile, self.hours)

    def callee(self, number: str) -> Number:
        """The number to ring, asked of every guard that needs neither clock nor journal."""
        callee = self.read(number)
        self.refuse(callee)
        return callee

    def read(self, number: str) -> Number:
        """The number as it was typed, or that of a contact, whether or not it may be called."""
        return phone.read(number, region=self.region, contacts=self.profile.contacts)

    def refuse(self, callee: Number) -> None:
        """Raise Refused for a number that a guard forbids at any time."""
        guard.refuse(callee, self.profile.guard, denied=self._denied, allow=self._allow)

    def refresh(self) -> bool:
        """Read the deny list again if it has changed, and say so; what was on it stays denied as long as we live.

        Raises ConfigError for a list that cannot be read any more.
        """
        earlier = self._denied
        if not earlier.changed():
            return False
        denied = denylist.load(self.profile)
        denied.keep(earlier)
        self._denied = denied
        return True

    @lru_cache(maxsize=64)  # noqa: B019 - a planner lives as long as its command
    def flow(self, flow: str | None) -> Flow:
        """The flow to run: an alias of the profile, else what was typed, a name or an ID (with or without `id:`)."""
        wanted = flow or self.profile.flow
        if wanted is None or wanted in {"", "id:"}:
            raise UsageError(
                "No flow was named.",
                hint=f"Add --flow, or set one for good: evocall profile set flow NAME --profile {self.profile.name}",
                code="no_flow",
            )
        alias = wanted if wanted in self.profile.flows else None
        meant = self.profile.flows.get(wanted, wanted)
        is_id = meant.startswith("id:") or FLOW_ID.fullmatch(meant)
        return self.look_up(Flow(meant.removeprefix("id:"), alias, pending=not is_id))

    @lru_cache(maxsize=64)  # noqa: B019 - a planner lives as long as its command
    def caller(self, caller_id: str | None) -> Number | None:
        """The caller ID, checked as strictly as the callee; None lets the service pick one."""
        text = caller_id or self.profile.caller_id
        if text is None:
            return None
        try:
            caller = phone.read(text, region=self.region)
            guard.refuse_class(caller, self._allow)
        except (UsageError, Refused) as error:
            error.message = f"Caller ID: {error.message}"
            raise
        return caller


def hours_of(profile: Profile, between: str | None) -> Hours | None:
    """The hours at the callee's clock in which the call may be placed; None for any hour."""
    text = between or profile.guard.hours
    return None if text is None else guard.read_hours(text)
