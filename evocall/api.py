"""evocall for programs: the guarantees of the command line, since calls are placed by the same path."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import fields, replace
from datetime import datetime
from typing import Self

from evocall import catalog, phone, places, placing, settling, watching
from evocall.errors import UsageError
from evocall.journal import Filter, Journal
from evocall.model import Call, Number, Outcome
from evocall.planning import Planner
from evocall.target import target


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
        if once is not None and not once.strip():
            raise UsageError("once was given an empty key.", code="empty_key")
        plan = self._planner.plan(number, flow=flow, caller_id=caller_id)
        terms = placing.Terms(once, again=again, username=self._username)
        if plan.flow.pending and not placing.is_used(plan, self._journal, terms):
            with placing.about(plan):
                plan = replace(plan, flow=catalog.resolved(plan.flow, self._service))
        return settling.place(plan, self._service, self._journal, terms, tell=lambda _: None)

    def follow(self, call: Call, *, timeout: float = 600.0) -> Call:
        """The call with its `ending`, once it has ended. Raises StillRunning after `timeout` seconds."""
        record = watching.record_of(call, self._journal, self._username)
        followed = watching.Watch(record, self._service, self._journal).follow(timeout)
        return replace(followed.record.call, outcome=call.outcome, response=call.response)

    def history(
        self,
        *,
        number: str | None = None,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Call]:
        """The calls of this journal, newest first; `since` is an aware time."""
        wanted = Filter(
            number=None if number is None else phone.read(number, region=self._planner.region).e164,
            outcome=outcome,
            since=since,
            limit=limit,
        )
        return (record.call for record in self._journal.calls(wanted))
