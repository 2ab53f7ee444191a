"""`evocall dial`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evocall.commands import options
from evocall.errors import EvocallError, NotAnswered, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from evocall.journal import Journal
    from evocall.model import Call, Plan
    from evocall.output import Screen
    from evocall.placing import Terms, Witness
    from evocall.planning import Planner
    from evocall.service import Service
    from evocall.target import Target

DEFAULT_WAIT = 600.0


def dial(
    numbers: options.NumbersArgument,
    flow: options.FlowOption = None,
    caller_id: options.CallerIdOption = None,
    region: options.RegionOption = None,
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    once: Annotated[
        str | None, typer.Option("--once", metavar="KEY", help="At most one call for this key, ever")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Dial although an earlier call may have rung, or a cap is reached")
    ] = False,
    between: options.BetweenOption = None,
    allow: options.AllowOption = None,
    timeout: options.TimeoutOption = None,
    connect_timeout: options.ConnectTimeoutOption = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Stay until the call has ended and say how")] = False,
    wait_timeout: Annotated[
        float | None,
        typer.Option("--wait-timeout", metavar="SECONDS", help="Stay at most this long (600 unless told otherwise)"),
    ] = None,
    until_answered: Annotated[
        bool, typer.Option("--until-answered", help="Ring the numbers in turn until somebody answers")
    ] = False,
    dry_run: options.DryRunOption = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Place one call and run a flow on it when it is answered.

    Examples:

      evocall dial +18145550100 --flow welcome --sandbox

      evocall dial '(814) 555-0100' --region US --flow alert --dry-run
    """
    from evocall import places, placing, signals
    from evocall.journal import Journal
    from evocall.output import Screen, trace
    from evocall.planning import Planner
    from evocall.target import target

    screen = Screen(as_json=json, quiet=quiet)
    _refuse_contradictions(numbers, once, wait_timeout, wait=wait, until_answered=until_answered)
    witness = placing.Witness()
    with (
        signals.reported(witness.interrupted),
        target(profile, sandbox=sandbox, timeout=timeout, connect_timeout=connect_timeout) as there,
    ):
        planner = Planner(there.profile, region=region, between=between, allow=allow or ())
        plans = [planner.plan(number, flow=flow, caller_id=caller_id) for number in numbers]
        _refuse_repetition(plans)
        terms = placing.Terms(once, again=again, username=there.profile.username)
        place = places.of(there.profile, sandbox=sandbox)
        if dry_run:
            terms_of = partial(_terms_in_turn, terms) if until_answered else lambda _: terms
            _rehearse(screen, there, plans, terms_of, place, verbose=verbose)
            return
        from evocall import settling

        with there.service(trace=trace if verbose else None) as service, Journal(place) as journal:
            if until_answered or settling.needs_flow(plans[0], journal, terms):
                plans = _with_flow_ids(plans, service, screen)
            username, patience = there.profile.username, wait_timeout or DEFAULT_WAIT
            now = _Dial(screen, username, service, journal, terms, witness, patience)
            if until_answered:
                now.in_turn(plans, planner)
            elif wait:
                now.and_wait(plans[0])
            else:
                now.once(plans[0])


def _refuse_contradictions(
    numbers: Sequence[str], once: str | None, wait_timeout: float | None, *, wait: bool, until_answered: bool
) -> None:
    from evocall import placing

    placing.refuse_empty_key(once, "--once")
    if len(numbers) > 1 and not until_answered:
        raise UsageError(
            f"{len(numbers)} numbers were given, and a dial rings one.",
            hint=f'If it is one with blanks, quote it: "{" ".join(numbers)}". --until-answered rings several in turn; '
            "evocall batch rings all the numbers of a file.",
        )
    if wait_timeout is not None and not (wait or until_answered):
        raise UsageError("--wait-timeout says how long to stay, but not that.", hint="Add --wait.")
    if wait_timeout is not None and not wait_timeout > 0:
        raise UsageError(f"--wait-timeout is a number of seconds above 0, not {wait_timeout:g}.")


def _refuse_repetition(plans: "Sequence[Plan]") -> None:
    for n, plan in enumerate(plans):
        if any(plan.number.e164 == earlier.number.e164 for earlier in plans[:n]):
            raise UsageError(f"{plan.number.e164} was given twice, and each number is rung once.")


def _rehearse(
    screen: "Screen",
    there: "Target",
    plans: "list[Plan]",
    terms_of: "Callable[[Plan], Terms]",
    place: "Path | str",
    *,
    verbose: bool,
) -> None:
    """What would be dialled; with `--verbose` the service is asked about names and caller ID."""
    from evocall import placing
    from evocall.output import refuse_loss, trace
    from evocall.wording import call_document

    if verbose:
        with there.service(trace=trace) as service:
            plans = _with_flow_ids(plans, service, screen)
            _report_foreign_caller(plans[0], service, screen)
    calls = [placing.rehearse(plan, place, terms_of(plan)) for plan in plans]
    for plan, call in zip(plans, calls, strict=True):
        screen.call(call, plan, there.profile.username)
        if plan.flow.pending and not screen.as_json:
            screen.note(f"the flow {plan.flow.id!r} is looked up when it is dialled; --verbose does so now.")
    if screen.as_json:
        documents = [
            {**call_document(call), "request": plan.request.body} for plan, call in zip(plans, calls, strict=True)
        ]
        screen.document({**documents[0], **({"then": documents[1:]} if len(plans) > 1 else {})})
    refuse_loss()


def _report_foreign_caller(plan: "Plan", service: "Service", screen: "Screen") -> None:
    from evocall import catalog

    if plan.caller is not None and not catalog.owns(service, plan.caller.e164):
        screen.problem(
            f"warning: the caller ID {plan.caller.e164} is not among the account's numbers, so the service may "
            "refuse the call; evocall numbers lists them."
        )


def _with_flow_ids(plans: "list[Plan]", service: "Service", screen: "Screen") -> "list[Plan]":
    """The plans with the flow that their name means; all of them run the same."""
    if not plans[0].flow.pending:
        return plans
    from evocall import remembered, settling

    flow = settling.with_flow(plans[0], service, tell=screen.note).flow
    remembered.remember(plans[0].profile, [plans[0].flow.id])
    return [replace(plan, flow=flow) for plan in plans]


def _terms_in_turn(terms: "Terms", plan: "Plan") -> "Terms":
    """In turns each number has a key of its own, so that the same command goes on where it stopped."""
    return terms if terms.once is None else replace(terms, once=f"{terms.once} {plan.number.e164}")


@dataclass(frozen=True)
class _Dial:
    """A dial that is not a rehearsal; `patience` is how long, in seconds, the end of a call is waited for."""

    screen: "Screen"
    username: str | None
    service: "Service"
    journal: "Journal"
    terms: "Terms"
    witness: "Witness"
    patience: float

    def once(self, plan: "Plan") -> None:
        """Place one call."""
        from evocall import signals

        call = self._placed(plan, self.terms)
        signals.ignore()
        self.screen.call(call, plan, self.username)
        self._document(call)

    def and_wait(self, plan: "Plan") -> None:
        """Place one call, and stay until it has ended. Raises NotAnswered when nobody answered it."""
        from evocall.wording import how

        call = self._followed(self._shown(plan, self.terms), self.patience)
        if call.ending is None or not call.ending.answered:
            error = NotAnswered(f"the call to {call.number} {how(call.ending)}.")
            error.call = call
            raise error
        self._document(call)

    def in_turn(self, plans: "Sequence[Plan]", planner: "Planner") -> None:
        """Ring one after the other until somebody answers."""
        from evocall import placing, sessions, signals
        from evocall.escalation import Turns
        from evocall.wording import call_document

        def ring(plan: "Plan") -> "Call":
            with placing.about(plan):
                planner.refresh()  # minutes may have gone by since it was planned
                planner.refuse(plan.number)
            return self._shown(plan, _terms_in_turn(self.terms, plan))

        turns = Turns(
            ring=ring,
            follow=self._followed,
            hang_up=lambda session_id: sessions.end(self.service, session_id),
            tell=self.screen.note,
        )
        try:
            with signals.reported(self.witness.interrupted):
                call, _ = turns.until_answered(plans, self.patience)
        except EvocallError as error:
            error.summary = {"tried": [call_document(tried) for tried in turns.tried]}
            raise
        self._document(call, tried=[call_document(tried) for tried in turns.tried])

    def _placed(self, plan: "Plan", terms: "Terms") -> "Call":
        from evocall import settling

        call = settling.place(plan, self.service, self.journal, terms, tell=self.screen.note, witness=self.witness)
        self.witness.call = call
        return call

    def _shown(self, plan: "Plan", terms: "Terms") -> "Call":
        """The call as it was placed, its receipt shown."""
        call = self._placed(plan, terms)
        self.screen.call(call, plan, self.username)
        return call

    def _followed(self, call: "Call", timeout: float) -> "Call":
        """The call with its ending, shown. Raises StillRunning when it has none yet."""
        from evocall import watching
        from evocall.wording import log_lines

        with self.screen.life() as life:
            ended, session = watching.to_its_end(
                call, self.service, self.journal, self.username, timeout, show=life.show, tell=life.note
            )
        log = session.log if session else ()
        self.screen.ending(ended, log_lines([(entry.at, entry.message) for entry in log]))
        return ended

    def _document(self, call: "Call", **more: Any) -> None:
        from evocall.wording import call_document

        if self.screen.as_json:
            self.screen.document({**call_document(call), **more})
