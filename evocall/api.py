"""evocall for programs: the guarantees of the command line, since calls are placed by the same path."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import fields
from datetime import datetime
from typing import Self

from evocall import phone, places, placing, settling, watching
from evocall.errors import UsageError
from evocall.history import Filter
from evocall.journal import Journal
from evocall.model import Call, Number, Outcome
from evocall.planning import Planner
from evocall.target import target
from evocall.watching import EndedCall


class EvoVoice:
    """One login and one journal, open for as long as the `with` block lasts; an object belongs to one thread.

    `profile` names a section of the profile file, None the default one; the environment is laid over it as for the
    command line. With `sandbox` a server inside this process answers, and nobody is rung. `region`, `between` and
    `allow` are those of `evocall dial`. Every method may raise an EvocallError that says what happened, what to do.
    """

    def __init__(
        self,
        profile: str | None = None,
        *,
        sandbox: bool = False,
        region: str | None = None,
        between: str | None = None,
        allow: Collection[str] = (),
    ) -> None:
        if isinstance(allow, str):
            raise UsageError(f"allow was given {allow!r}, and takes a list.", hint=f"Write allow=[{allow!r}].")
        with ExitStack() as opening:
            there = opening.enter_context(target(profile, sandbox=sandbox))
            self._username = there.profile.username
            self._planner = Planner(there.profile, region=region, between=between, allow=allow)
            self._service = opening.enter_context(there.service(own_process=False))
            self._journal = opening.enter_context(Journal(places.of(there.profile, sandbox=sandbox)))
            self._open = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and the journal."""
        self._open.close()

    def check(self, number: str) -> Number:
        """The number as it would be dialled. Raises InvalidNumber or Refused; neither network nor journal is asked."""
        self._planner.refresh()
        found = self._planner.callee(number)
        return Number(*(getattr(found, field.name) for field in fields(Number)))

    def place(
        self,
        number: str,
        *,
        flow: str | None = None,
        caller_id: str | None = None,
        once: str | None = None,
        again: bool = False,
    ) -> Call:
        """Place one call; its outcome is `placed`, or `already_placed` for a key of `once` that has been used.

        Raises OutcomeUnknown when the call may have been placed: never simply try again. After Interrupted, which is
        how Ctrl-C comes out, `error.call` says what is known of it. Any other EvocallError means that no call was
        placed; after Unavailable and RateLimited it may be tried again later.
        """
        placing.refuse_empty_key(once, "once")
        terms, witness = placing.Terms(once, again=again, username=self._username), placing.Witness()
        try:
            self._planner.refresh()
            plan = self._planner.plan(number, flow=flow, caller_id=caller_id)
            if settling.needs_flow(plan, self._journal, terms):
                plan = settling.with_flow(plan, self._service)
            return settling.place(plan, self._service, self._journal, terms, tell=lambda _: None, witness=witness)
        except KeyboardInterrupt:  # the handlers of signals are the program's, and stay as they are
            error = witness.interrupted()
            error.call = error.call or Call(Outcome.NOT_PLACED, number=number)
            raise error from None

    def follow(self, call: Call, *, timeout: float = 600.0) -> EndedCall:
        """The call with its `ending`, once it has ended.

        Raises StillRunning after `timeout` seconds, Interrupted on Ctrl-C; the call goes on, and the error carries it.
        """
        try:
            return watching.to_its_end(call, self._service, self._journal, self._username, timeout)[0]
        except KeyboardInterrupt:
            raise placing.Witness(call).interrupted() from None

    def history(
        self,
        *,
        number: str | None = None,
        outcome: Outcome | str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Call]:
        """The calls of this journal, newest first; `since` is an aware time, `outcome` may be its word."""
        if limit is not None and limit < 0:
            raise UsageError(f"limit was given {limit}, and is a number of calls.", hint="None stands for all of them.")
        wanted = Filter(
            number=None if number is None else phone.read(number, region=self._planner.region).e164,
            outcome=None if outcome is None else _outcome(outcome),
            since=since,
            limit=limit,
        )
        return (record.call for record in self._journal.history.calls(wanted))


def _outcome(word: str) -> Outcome:
    try:
        return Outcome(word)
    except ValueError:
        recorded = (Outcome.PLACED, Outcome.NOT_PLACED, Outcome.UNKNOWN)
        raise UsageError(
            f"outcome was given {word!r}, and is none.", hint=f"The outcomes: {', '.join(recorded)}."
        ) from None
