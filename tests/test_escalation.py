"""Numbers rung in turn, against a sandbox on a clock that moves only when somebody sleeps."""

import contextlib
from datetime import UTC, datetime

import pytest

from evocall import placing, sessions
from evocall.errors import (
    AuthError,
    EvocallError,
    Forbidden,
    NotAnswered,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Rejected,
    StillRunning,
    Unavailable,
)
from evocall.escalation import Turns
from evocall.journal import Journal
from evocall.model import Credential, Ending, Guard, Outcome, Phase, Profile
from evocall.placing import Clock, Terms
from evocall.planning import Planner
from evocall.sandbox import Sandbox
from evocall.service import Service
from evocall.watching import Watch
from tests.faultserver import FaultServer, answering, free_port, resetting
from tests.faultserver import http as reply

ANSWERS, LAST = "+18145550100", "+18145550101"
SILENT, BUSY, NO_ANSWER = (f"+1814555{ending}" for ending in ("0104", "0111", "0112"))
FAILED, VOICEMAIL = (f"+1814555{ending}" for ending in ("0113", "0114"))
REJECTED, SIGN_IN, ROLE, FLOW = (f"+1814555{ending}" for ending in ("0140", "0141", "0143", "0144"))
UNKNOWN, RINGS_AND_UNKNOWN, RESET = (f"+1814555{ending}" for ending in ("0150", "0151", "0160"))
NOON = 1_795_424_640.0
NO_GUARD = Guard()
RINGING = Ending(Phase.RINGING, None, False, None, 20.0)


class OnTime:
    """A service whose clock is the turned one."""

    ahead = None

    def __init__(self, service):
        self.place, self.read = service.place, service.read


class Office:
    """Whoever must reach somebody: a sandbox, a journal, and the turns over both.

    `hang_up_at` is the address that calls are ended at, when it is another one.
    """

    def __init__(self, sandbox, journal, open_, *, guard, hang_up_at):
        self.sandbox, self.journal, self._open = sandbox, journal, open_
        self.seconds, self.told, self.ended = NOON, [], []
        self._planner = Planner(Profile("ops", sandbox.base_url, guard=guard))
        self.service = self.at(sandbox.base_url)
        self._ending = self.at(hang_up_at) if hang_up_at else self.service
        self.turns = Turns(ring=self.ring, follow=self.follow, hang_up=self.hang_up, tell=self.told.append)

    def at(self, base_url):
        login = self.sandbox.manager
        service = Service(Profile("ops", base_url), Credential(login.username, login.password, "a test"))
        self._open.callback(service.close)
        return OnTime(service)

    def sleep(self, seconds):
        self.seconds += seconds

    @property
    def clock(self):
        return Clock(
            now=lambda: datetime.fromtimestamp(self.seconds, UTC),
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            pause=self.sleep,
        )

    def ring(self, plan):
        return placing.place(plan, self.service, self.journal, Terms(), tell=self.told.append, clock=self.clock)

    def follow(self, call, timeout):
        watch = Watch(self.journal.history.find(call.id), self.service, self.journal, clock=self.clock)
        return watch.follow(timeout).record.call

    def hang_up(self, session_id):
        self.ended.append(session_id)
        sessions.end(self._ending, session_id)

    def reach(self, *numbers, timeout=600.0):
        """The call that somebody answered."""
        plans = [self._planner.plan(number, flow=self.sandbox.flows[0].id) for number in numbers]
        call, plan = self.turns.until_answered(plans, timeout)
        assert call.number == plan.number.e164
        return call

    def stopped(self, *numbers, timeout=600.0):
        """The error with which the turns end."""
        with pytest.raises(EvocallError) as caught:
            self.reach(*numbers, timeout=timeout)
        return caught.value

    @property
    def rung(self):
        """The numbers that rang, in their order."""
        return [call.number for call in self.sandbox.calls]

    @property
    def tried(self):
        return [call.number for call in self.turns.tried]


@pytest.fixture
def office(tmp_path):
    """Builds an office; calls are answered after 12 seconds and talk for 70. Nobody was dialled twice at the end."""
    with contextlib.ExitStack() as open_:
        built = []

        def build(*, guard=NO_GUARD, hang_up_at=None, **options):
            def clock():
                return built[-1].seconds if built else NOON

            sandbox = open_.enter_context(Sandbox(clock=clock, **{"answer_after": 12, "talk_for": 70, **options}))
            journal = open_.enter_context(Journal(tmp_path / "journal.db"))
            built.append(Office(sandbox, journal, open_, guard=guard, hang_up_at=hang_up_at))
            return built[-1]

        yield build
        for place in built:
            dialled = [request.body for request in place.sandbox.dials()]
            assert len(dialled) == len(set(dialled))


# the next number


def test_the_second_is_rung_when_the_first_is_busy(office):
    """And only after its call had ended; the first is among those that were tried."""
    on_call = office()
    call = on_call.reach(BUSY, ANSWERS, LAST)
    first, second = on_call.sandbox.calls
    assert (call.number, call.ending.answered, call.session_id) == (ANSWERS, True, second.id)
    assert (on_call.rung, on_call.tried) == ([BUSY, ANSWERS], [BUSY])
    assert first.ends_at <= second.placed_at
    assert on_call.told == ["+1 814-555-0111: ended without an answer (Busy)"]


def test_nobody_else_is_rung_when_the_first_answers(office):
    on_call = office()
    assert on_call.reach(ANSWERS, LAST).number == ANSWERS
    assert (on_call.rung, on_call.tried, on_call.told) == ([ANSWERS], [], [])


@pytest.mark.parametrize("number", [BUSY, NO_ANSWER, FAILED, VOICEMAIL])
def test_a_call_that_nobody_took_passes_on_to_the_next(office, number):
    """A machine is nobody."""
    on_call = office()
    assert on_call.reach(number, ANSWERS).number == ANSWERS
    assert on_call.rung == [number, ANSWERS]


def test_when_nobody_answers_every_number_has_been_rung_once(office):
    """The error is about the last one; the others are those that were tried."""
    on_call = office()
    error = on_call.stopped(BUSY, VOICEMAIL, NO_ANSWER)
    assert (type(error), str(error)) == (NotAnswered, "nobody answered; 3 numbers were rung.")
    assert (on_call.rung, on_call.tried) == ([BUSY, VOICEMAIL, NO_ANSWER], [BUSY, VOICEMAIL])
    assert (error.call.number, error.call.ending.outcome) == (NO_ANSWER, "No Answer")


def test_one_number_that_does_not_answer_is_said_to_be_one(office):
    assert str(office().stopped(BUSY)) == "nobody answered; 1 number was rung."


def test_an_outcome_that_nobody_understands_is_no_answer(office):
    """Somebody must be reached tonight; that a call was taken has to be known."""
    on_call = office(reshape=lambda info: info | {"outcome": "Zählung"} if info["ended"] else info)
    assert on_call.reach(NO_ANSWER, ANSWERS).number == ANSWERS


# a number that cannot be rung


def test_a_number_that_the_service_rejects_is_passed_over(office):
    """It is among those that were tried, with the reason."""
    on_call = office()
    assert on_call.reach(REJECTED, ANSWERS).number == ANSWERS
    assert (on_call.rung, on_call.tried) == ([ANSWERS], [REJECTED])
    assert on_call.told == ["+1 814-555-0140: The service refused the request (400)."]
    [rejected] = on_call.turns.tried
    assert (rejected.outcome, rejected.error["code"]) == (Outcome.NOT_PLACED, "rejected")


def test_a_number_that_has_had_its_calls_for_today_is_passed_over(office):
    """A guard of the profile refuses it at the moment when it would be dialled."""
    on_call = office(guard=Guard(max_per_number_per_day=1))
    on_call.reach(ANSWERS)
    assert on_call.reach(ANSWERS, LAST).number == LAST
    assert on_call.rung == [ANSWERS, LAST]


@pytest.mark.parametrize("error", [Refused("no"), Rejected("no"), Unavailable("no"), RateLimited("no")])
def test_what_keeps_one_number_from_being_rung_does_not_keep_the_next_one(office, error):
    """A guard, a rejection, no connection, too many requests."""
    on_call, ring = office(), []

    def ring_the_second(plan):
        ring.append(plan.number.e164)
        if len(ring) == 1:
            raise error
        return on_call.ring(plan)

    on_call.turns.ring = ring_the_second
    assert on_call.reach(LAST, ANSWERS).number == ANSWERS
    assert (ring, on_call.told) == ([LAST, ANSWERS], ["+1 814-555-0101: no"])


@pytest.mark.parametrize(
    ("number", "kind"),
    [(SIGN_IN, AuthError), (ROLE, Forbidden), (FLOW, NotFound)],
    ids=["sign-in", "role", "flow"],
)
def test_what_would_stop_every_number_stops_the_turns(office, number, kind):
    """Nothing more is dialled."""
    on_call = office()
    error = on_call.stopped(BUSY, number, ANSWERS)
    assert (type(error), error.call.number) == (kind, number)
    assert (on_call.rung, on_call.tried) == ([BUSY], [BUSY])


@pytest.mark.parametrize("number", [UNKNOWN, RINGS_AND_UNKNOWN, RESET])
def test_nobody_is_rung_while_it_is_not_known_whether_another_phone_rings(office, number):
    """Whether it really does makes no difference."""
    on_call = office()
    error = on_call.stopped(number, ANSWERS)
    assert (type(error), error.call.number, error.call.outcome) == (OutcomeUnknown, number, Outcome.UNKNOWN)
    assert on_call.sandbox.dials(ANSWERS) == []


def test_when_no_number_could_be_rung_the_error_is_that_of_the_last_one(office):
    """Which is what the error is about, so it is not among those before it."""
    on_call = office()
    other = REJECTED.replace("814", "212")
    error = on_call.stopped(REJECTED, other)
    assert (type(error), error.call.number, on_call.rung) == (Rejected, other, [])
    assert on_call.tried == [REJECTED]


def test_an_error_that_names_no_call_is_raised_as_it_is(office):
    """Whatever kept both numbers from being rung."""
    on_call, errors = office(), [Refused("one"), Refused("two")]

    def refuse(plan):
        raise errors.pop(0)

    on_call.turns.ring = refuse
    assert (str(on_call.stopped(LAST, ANSWERS)), on_call.tried) == ("two", [])


def test_when_some_could_not_be_rung_and_the_others_did_not_answer_nobody_answered(office):
    """The error is about the last one that rang."""
    on_call = office()
    error = on_call.stopped(BUSY, REJECTED)
    assert (type(error), error.call.number, on_call.tried) == (NotAnswered, BUSY, [REJECTED])


# a call that takes too long


def test_a_phone_that_rings_too_long_is_hung_up_before_the_next_one_rings(office):
    """So that no two phones ring at once."""
    on_call = office(answer_after=45)
    error = on_call.stopped(LAST, ANSWERS, timeout=30)
    first, second = on_call.sandbox.calls
    assert on_call.ended == [first.id, second.id]
    assert first.hung_up_at <= second.placed_at
    assert (type(error), error.call.ending.outcome, on_call.tried) == (NotAnswered, "Canceled", [LAST])
    assert on_call.told[:2] == [
        "+18145550101 still rings; hanging up.",
        "+1 814-555-0101: ended without an answer (Canceled)",
    ]


def test_somebody_who_is_still_talking_has_answered(office):
    """Nothing is hung up on them."""
    on_call = office(talk_for=3600)
    call = on_call.reach(ANSWERS, LAST, timeout=30)
    assert (call.number, call.ending.phase, call.ending.answered) == (ANSWERS, Phase.CONNECTED, True)
    assert (on_call.rung, on_call.ended, on_call.sandbox.calls[0].hung_up_at) == ([ANSWERS], [], None)


def test_somebody_who_answers_at_the_very_last_moment_has_answered(office):
    """Between the last look and the end of the call: the service says so, and nobody else is rung."""
    on_call = office(answer_after=30.5)
    end = on_call.turns.hang_up
    on_call.turns.hang_up = lambda session_id: (on_call.sleep(1), end(session_id))
    call = on_call.reach(ANSWERS, LAST, timeout=30)
    assert (call.number, call.ending.outcome, on_call.rung) == (ANSWERS, "Answered", [ANSWERS])


def test_nobody_who_has_answered_is_hung_up_on(office):
    """Not even when the session rings again, as while a flow connects them to somebody else."""
    answered = []

    def transferring(info):
        if info["callState"] != "Connected":
            return info
        answered.append(info)
        return info if len(answered) == 1 else {**info, "callState": "Ringing"}

    on_call = office(talk_for=3600, reshape=transferring)
    call = on_call.reach(ANSWERS, LAST, timeout=60)
    assert (call.number, on_call.rung, on_call.ended) == (ANSWERS, [ANSWERS], [])


def test_a_call_that_may_not_be_ended_stops_the_turns(office):
    """A Manager may not hang up everywhere; the phone may still ring, so no other one does."""
    on_call = office(answer_after=300, manager_may_hang_up=False)
    error = on_call.stopped(LAST, ANSWERS, timeout=30)
    assert (type(error), error.call.number, error.call.ending.phase) == (StillRunning, LAST, Phase.RINGING)
    assert str(error) == (
        f"the call to {LAST} could not be ended, so the next number is not rung: "
        "The service does not let this login end a call (403)."
    )
    assert "ask an administrator" in error.hint
    assert (on_call.rung, on_call.sandbox.calls[0].hung_up_at) == ([LAST], None)


@pytest.mark.parametrize(
    "trouble",
    [resetting, answering(reply("500 Oops")), answering(reply("503 Service Unavailable")), None],
    ids=["reset", "500", "503", "refused"],
)
def test_when_the_end_does_not_get_through_nothing_is_said_that_denies_the_call(office, trouble):
    """A phone rings, and dialling again would ring another one: it is neither not placed nor safe to try again."""
    with FaultServer(trouble or resetting) as server:
        address = server.base_url if trouble else f"http://127.0.0.1:{free_port()}"
        on_call = office(answer_after=300, hang_up_at=address)
        error = on_call.stopped(LAST, ANSWERS, timeout=30)
    assert (type(error), error.call.number, on_call.rung) == (StillRunning, LAST, [LAST])
    for words in ("no call was placed", "safe to try again"):
        assert words not in f"{error} {error.hint}".lower()


def test_a_call_that_ended_before_it_could_be_hung_up_passes_on(office):
    """The service knows no running session then; that it has ended is looked up, and the next number rings."""
    on_call = office(answer_after=30.5)

    def too_late(session_id):
        on_call.sleep(1)
        raise NotFound(f"The service knows no running session {session_id}.")

    on_call.turns.hang_up = too_late
    assert type(on_call.stopped(NO_ANSWER, BUSY, timeout=30)) is NotAnswered
    assert on_call.rung == [NO_ANSWER, BUSY]


def test_an_end_of_a_session_that_is_not_known_and_still_rings_stops_the_turns(office):
    """The service does not find what it was asked to end, and shows it ringing."""
    on_call = office(answer_after=3600)

    def not_found(session_id):
        raise NotFound(f"The service knows no running session {session_id}.")

    on_call.turns.hang_up = not_found
    assert type(on_call.stopped(LAST, ANSWERS, timeout=30)) is StillRunning
    assert on_call.rung == [LAST]


def test_a_call_that_rings_on_although_it_was_ended_stops_the_turns(office):
    """The service took the request, and the phone still rings half a minute later."""
    on_call = office(answer_after=3600)
    on_call.turns.hang_up = on_call.ended.append
    error = on_call.stopped(LAST, ANSWERS, timeout=30)
    assert (type(error), error.call.number, on_call.rung) == (StillRunning, LAST, [LAST])
    assert (on_call.ended, on_call.seconds - NOON) == ([on_call.sandbox.calls[0].id], 60.0)


def test_a_call_whose_session_is_not_known_cannot_be_ended_and_stops_the_turns(office):
    """It is seen ringing among the live calls, and has no name by which it could be ended."""
    on_call = office(answer_after=300, shown_after=1e9)
    error = on_call.stopped(SILENT, ANSWERS, timeout=30)
    assert (type(error), error.call.number, error.call.session_id) == (StillRunning, SILENT, None)
    assert (on_call.rung, on_call.ended) == ([SILENT], [])


def test_a_call_that_was_placed_with_only_a_call_sid_is_ended_by_its_session(office):
    """The name that Twilio has for it ends nothing."""
    on_call = office(
        answer_after=45, reshape=lambda info: info if info["log"] else {"callSid": info["callSid"], "ended": False}
    )
    assert type(on_call.stopped(LAST, BUSY, timeout=30)) is NotAnswered
    assert on_call.ended == [call.id for call in on_call.sandbox.calls]


def test_a_call_that_was_never_seen_stops_the_turns(office):
    """Whether it rings is not known."""
    on_call = office()

    def unseen(call, timeout):
        error = StillRunning("the service has shown nothing of it")
        error.call = call
        raise error

    on_call.turns.follow = unseen
    error = on_call.stopped(LAST, ANSWERS)
    assert (type(error), error.call.number, on_call.rung, on_call.ended) == (StillRunning, LAST, [LAST], [])


def test_two_calls_to_one_number_that_cannot_be_told_apart_stop_the_turns(office):
    """One of them may be ours, and may still ring."""
    on_call = office()
    on_call.sandbox.place_elsewhere(SILENT)
    error = on_call.stopped(SILENT, ANSWERS)
    assert (type(error), on_call.sandbox.dials(ANSWERS), on_call.ended) == (StillRunning, [], [])
    assert all(call.id in str(error) for call in on_call.sandbox.calls)
