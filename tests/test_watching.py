"""Following a call to its end, on a clock that moves only when somebody sleeps: ten minutes take milliseconds."""

import contextlib
import http.client
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from evocall import placing, watching
from evocall.errors import StillRunning
from evocall.journal import Journal
from evocall.model import Credential, Ending, Outcome, Phase, Profile
from evocall.placing import Clock, Terms
from evocall.planning import Planner
from evocall.sandbox import Sandbox
from evocall.service import Service
from evocall.watching import UNSEEN, Watch
from tests.faultserver import FaultServer, answering, closing, closing_at_once, resetting, silent
from tests.faultserver import http as reply

NUMBER, SILENT, BUSY, NO_ANSWER, FAILED, VOICEMAIL = (
    f"+1814555{ending}" for ending in ("0100", "0104", "0111", "0112", "0113", "0114")
)
NOON = 1_795_424_640.0
DAY = 86_400.0
TEN_MINUTES = 600.0
NOTHING = answering(reply("200 OK", b"{}"))
PAGE = reply("200 OK", b"<!doctype html><p>Sign in</p>", kind="text/html")


class Time:
    """A clock for the sandbox and for the one who watches; `slept` are the waits, in seconds."""

    def __init__(self):
        self.seconds, self.slept, self.alarm = NOON, [], (float("inf"), None)

    def __call__(self):
        return self.seconds

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.seconds += seconds
        when, action = self.alarm
        if self.seconds >= when:
            self.alarm = (float("inf"), None)
            action()

    @property
    def clock(self):
        return Clock(
            now=lambda: datetime.fromtimestamp(self.seconds, UTC), monotonic=self, sleep=self.sleep, pause=self.sleep
        )


class OnTime:
    """A service whose clock is the turned one; the Date of its answers would be compared with this machine's."""

    ahead = None

    def __init__(self, service):
        self.read = service.read


class Stage:
    """A sandbox, a journal, and what a watch has shown and told."""

    def __init__(self, sandbox, journal, time, open_):
        self.sandbox, self.journal, self.time, self._open = sandbox, journal, time, open_
        self.dialled, self.shown, self.told = 0, [], []

    def _service(self, base_url, timeout=5.0):
        login = self.sandbox.manager
        profile = Profile("ops", base_url, login.username, timeout=timeout)
        service = Service(profile, Credential(login.username, login.password, "a test"))
        self._open.callback(service.close)
        return service

    def dial(self, number=NUMBER, **terms):
        """Place a call, and return it as the journal has it."""
        self.dialled += 1
        planner = Planner(Profile("ops", self.sandbox.base_url))
        plan = planner.plan(number, flow=self.sandbox.flows[0].id)
        service = self._service(self.sandbox.base_url)
        return placing.place(plan, service, self.journal, Terms(**terms), tell=self.told.append, clock=self.time.clock)

    def watch(self, call, base_url=None, timeout=5.0):
        """A watch of the call, at another address when one is given; `timeout` is that of one answer."""
        return Watch(
            self.journal.history.find(call.id),
            OnTime(self._service(base_url or self.sandbox.base_url, timeout)),
            self.journal,
            show=lambda phase, seconds: self.shown.append((str(phase), seconds)),
            tell=self.told.append,
            clock=self.time.clock,
        )

    def follow(self, call, timeout=TEN_MINUTES, base_url=None):
        return self.watch(call, base_url).follow(timeout)

    def given_up(self, call, timeout=TEN_MINUTES, base_url=None):
        """The error with which following ends."""
        with pytest.raises(StillRunning) as caught:
            self.follow(call, timeout, base_url)
        return caught.value

    @property
    def waited(self):
        """Seconds since noon."""
        return self.time.seconds - NOON


@pytest.fixture
def stage(tmp_path):
    """Builds a stage; when the test is over nothing was ever dialled or ended but by the test itself."""
    with contextlib.ExitStack() as open_:
        stages = []

        def build(**options):
            time = Time()
            sandbox = open_.enter_context(Sandbox(clock=time, **{"answer_after": 12, "talk_for": 70, **options}))
            journal = open_.enter_context(Journal(tmp_path / f"{len(stages)}.db"))
            stages.append(Stage(sandbox, journal, time, open_))
            return stages[-1]

        yield build
        for built in stages:
            writing = [request.method for request in built.sandbox.requests if request.method != "GET"]
            assert writing == ["POST"] * built.dialled


def passing_to(sandbox, live=None):
    """A script that reads one request and sends what the sandbox answers; `live` answers for the live calls instead."""

    def script(visit):
        request = visit.read()
        method, path, _ = request.head.decode().split(" ", 2)
        if live is not None and path.startswith("/calls/active"):
            visit.send(live)
            return
        connection = http.client.HTTPConnection(urlsplit(sandbox.base_url).netloc)
        with contextlib.closing(connection):
            connection.request(method, path, request.body or None, request.headers)
            answer = connection.getresponse()
            visit.send(reply(f"{answer.status} {answer.reason}", answer.read(), kind=answer.getheader("content-type")))

    return script


def ended_as(outcome, **more):
    """A shape in which a session that has ended has this outcome."""
    return lambda info: {**info, "outcome": outcome, **more} if info["ended"] else info


def only(*names):
    """A shape in which a session has only these fields; the answer to a dial is left whole."""
    return lambda info: {name: info[name] for name in names if name in info} if info["log"] else info


# a call's life


def test_a_call_is_followed_from_its_ringing_to_its_end(stage):
    """Answered after 12 seconds, over after 82: each phase is shown once, and the journal keeps the ending."""
    play = stage()
    call = play.dial()
    followed = play.follow(call)
    assert play.shown == [("ringing", 0.0), ("connected", 13.125), ("ended", 82.0)]
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)
    assert [entry.message for entry in followed.session.log][1:] == [
        "Answered by a person",
        "Running flow welcome",
        "Call ended: Answered",
    ]
    assert play.journal.history.find(call.id).call == followed.record.call
    assert (followed.record.call.outcome, play.told) == (Outcome.PLACED, [])


@pytest.mark.parametrize(
    ("number", "ending"),
    [
        (NUMBER, Ending(Phase.ENDED, True, False, "Answered", 82.0)),
        (VOICEMAIL, Ending(Phase.ENDED, True, True, "Voicemail", 82.0)),
        (BUSY, Ending(Phase.ENDED, False, False, "Busy", 12.0)),
        (NO_ANSWER, Ending(Phase.ENDED, False, False, "No Answer", 12.0)),
        (FAILED, Ending(Phase.ENDED, False, False, "Failed", 12.0)),
    ],
)
def test_each_way_a_call_ends_is_told_apart(stage, number, ending):
    """A machine that answers is an answer, and said to be a machine."""
    play = stage()
    assert play.follow(play.dial(number)).record.call.ending == ending


def test_a_call_that_somebody_ended_was_cancelled(stage):
    """Hung up elsewhere while it rang."""
    play = stage()
    call = play.dial()
    play.time.alarm = (NOON + 5, lambda: setattr(play.sandbox.calls[0], "hung_up_at", NOON + 5))
    assert play.follow(call).record.call.ending == Ending(Phase.ENDED, False, False, "Canceled", 5.0)


def test_a_call_that_ends_between_two_looks_was_answered_all_the_same(stage):
    """The service's word is enough; nobody has to have seen it connected."""
    play = stage(answer_after=0.2, talk_for=0.2)
    assert play.follow(play.dial()).record.call.ending.answered is True
    assert [phase for phase, _ in play.shown] == ["ringing", "ended"]


def test_an_ending_that_the_journal_has_is_not_asked_for_again(stage):
    """A rehearsal's service has gone with its process; nor would a real one say anything else."""
    play = stage()
    call = play.dial(BUSY)
    first = play.follow(call)
    asked, waited = len(play.sandbox.requests), play.waited
    again = play.follow(call)
    assert (again.record, again.ending) == (first.record, first.ending)
    assert (len(play.sandbox.requests), play.waited) == (asked, waited)


def test_a_call_that_was_seen_only_to_ring_is_followed_on(stage):
    """What the journal has of it is no ending yet."""
    play = stage()
    call = play.dial()
    play.given_up(call, timeout=3)
    assert play.journal.history.find(call.id).call.ending.phase is Phase.RINGING
    assert play.follow(call).ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)


# how often it is asked


def test_the_looks_begin_at_one_second_and_back_off_to_five(stage):
    """A call of ten minutes takes about 120 requests, and no more."""
    play = stage(talk_for=580)
    play.follow(play.dial())
    assert play.time.slept[:5] == [1.0, 1.5, 2.25, 3.375, 5.0]
    assert set(play.time.slept[5:]) == {5.0}
    assert len(play.sandbox.requests) == 1 + len(play.time.slept) + 1


@pytest.mark.parametrize(("status", "told"), [("429 Too Many Requests", "429"), ("503 Service Unavailable", "503")])
def test_a_service_that_asks_for_a_wait_gets_it(stage, status, told):
    """And is asked at the usual pace afterwards."""
    play = stage()
    later = answering(reply(status, b"", "Retry-After: 20"))
    with FaultServer(later, later, passing_to(play.sandbox)) as server:
        followed = play.follow(play.dial(BUSY), base_url=server.base_url)
    assert (play.time.slept, followed.record.call.ending.answered) == ([20.0, 20.0], False)
    assert [told in line for line in play.told] == [True]


def test_a_wait_that_is_shorter_than_the_usual_one_changes_nothing(stage):
    play = stage()
    later = answering(reply("429 Too Many Requests", b"", "Retry-After: 0"))
    with FaultServer(later, later, passing_to(play.sandbox)) as server:
        play.follow(play.dial(BUSY), base_url=server.base_url)
    assert play.time.slept == [1.0, 1.5, 2.25, 3.375, 5.0]


def test_no_wait_is_longer_than_the_time_that_is_left(stage):
    """Whatever the service asks for, whoever waits is told when he wanted to be."""
    play = stage()
    with FaultServer(answering(reply("429 Too Many Requests", b"", "Retry-After: 3600"))) as server:
        play.given_up(play.dial(), timeout=90, base_url=server.base_url)
    assert play.time.slept == [90.0]


# giving up


def test_when_the_time_is_up_the_call_goes_on_and_the_message_says_how_to_look_later(stage):
    """The journal keeps where it was; a second watch sees the end."""
    play = stage()
    call = play.dial()
    error = play.given_up(call, timeout=30)
    assert (play.waited, play.sandbox.calls[0].hung_up_at) == (30.0, None)
    assert str(error) == ("the call was placed, but its end was not seen: stopped waiting after 30 seconds.")
    assert error.hint == f"evocall show {call.id} tells later how it ended."
    assert error.call.ending == Ending(Phase.CONNECTED, True, False, None, 30.0)
    assert play.journal.history.find(call.id).call.ending == error.call.ending
    assert play.follow(call).record.call.ending.seconds == 82.0


def test_a_call_that_is_never_shown_is_given_up_after_a_minute(stage):
    """Nothing was seen, so nothing is said about it but that it was placed."""
    play = stage()
    call = play.dial()
    with FaultServer(NOTHING) as server:
        error = play.given_up(call, base_url=server.base_url)
    assert UNSEEN <= play.waited < UNSEEN + 5
    assert "the service has shown nothing of it for 60 seconds" in str(error)
    assert (error.call.ending, error.call.outcome, play.shown) == (None, Outcome.PLACED, [])
    assert play.journal.history.find(call.id).call.ending is None


def test_two_calls_that_cannot_be_told_apart_are_both_named(stage):
    """An answer without an ID, and somebody else who rings the same number in the same second: neither is guessed."""
    play = stage()
    call = play.dial(SILENT)
    other = play.sandbox.place_elsewhere(SILENT)
    error = play.given_up(call)
    assert (play.waited, error.call.session_id, other in play.sandbox.calls) == (0.0, None, True)
    assert [each.id in str(error) for each in play.sandbox.calls] == [True, True]
    assert play.journal.history.find(call.id).call.session_id is None


@pytest.mark.parametrize(
    ("status", "words"), [("401 Unauthorized", "refused"), ("403 Invalid Role", "has neither the role")]
)
def test_a_login_that_is_not_taken_any_more_ends_the_watch_at_once(stage, status, words):
    """Asking again would not help; what had been seen until then is kept."""
    play = stage()
    call = play.dial()
    with FaultServer(passing_to(play.sandbox), answering(reply(status))) as server:
        error = play.given_up(call, base_url=server.base_url)
    assert (server.connections, words in str(error)) == (2, True)
    assert str(error).startswith("the call was placed, but its end was not seen: the service does not tell any more: ")
    assert error.call.ending.phase is Phase.RINGING
    assert not str(error).endswith("..")


# a service that fails for a while


@pytest.mark.parametrize(
    "trouble",
    [
        resetting,
        closing,
        closing_at_once,
        answering(reply("500 Oops", b'{"responseStatus": {"errorCode": "Exception", "message": "Oops"}}')),
        answering(reply("502 Bad Gateway", b"<html>", kind="text/html")),
        answering(reply("503 Service Unavailable")),
        answering(reply("404 Not Found", b'{"responseStatus": {"errorCode": "NotFound"}}')),
        answering(reply("404 Not Found", b"404", kind="text/plain")),
        answering(reply("400 Bad Request", b"{}")),
        answering(reply("302 Found", b"", "Location: /maintenance")),
        answering(PAGE),
        answering(reply("200 OK", b"[1, 2]")),
        answering(reply("200 OK", b'{"items": [')),
        answering(reply("200 OK", b"x" * 99)[:-50]),
    ],
    ids=[
        "reset",
        "closed",
        "closed at once",
        "500",
        "502",
        "503",
        "404",
        "no route",
        "400",
        "redirect",
        "page",
        "list",
        "half JSON",
        "half",
    ],
)
def test_a_service_that_fails_for_a_while_is_asked_again(stage, trouble):
    """Said once for each time of trouble, and never as if the call were lost or could be placed again."""
    play = stage()
    call = play.dial()
    well = passing_to(play.sandbox)
    with FaultServer(trouble, trouble, trouble, well, well, trouble, trouble, well) as server:
        followed = play.follow(call, base_url=server.base_url)
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)
    assert len(play.told) == 2
    assert all(line.endswith("The call is not touched by that; asking again.") for line in play.told)
    assert [line for line in play.told if "no call was placed" in line] == []


def test_an_answer_that_never_comes_is_not_waited_for_longer_than_the_profile_says(stage):
    """Nor does it end the watch."""
    play = stage()
    call = play.dial(BUSY)
    with FaultServer(silent, passing_to(play.sandbox)) as server:
        followed = play.watch(call, server.base_url, timeout=0.1).follow(TEN_MINUTES)
    assert followed.record.call.ending.answered is False
    assert "no answer came within 0.1 seconds" in play.told[0]


def test_a_service_that_is_down_for_minutes_is_waited_for(stage):
    """Connections are refused for two minutes, longer than a call may stay unseen; then the service is back."""
    play = stage()
    call = play.dial(SILENT)
    address = urlsplit(play.sandbox.base_url)
    play.sandbox.stop()
    with contextlib.ExitStack() as open_:

        def come_back():
            again = open_.enter_context(Sandbox(port=address.port, clock=play.time, answer_after=1, talk_for=1))
            again.place_elsewhere(SILENT, seconds_ago=play.waited)

        play.time.alarm = (NOON + 120, come_back)
        ending = play.follow(call).record.call.ending
    assert (ending.answered, ending.seconds) == (True, 2.0)
    assert 120 <= play.waited < 126
    assert len(play.told) == 1
    assert "the connection was refused" in play.told[0]


# finding the call


def test_without_an_id_the_call_is_found_by_number_and_time(stage):
    """The journal then knows its session."""
    play = stage()
    call = play.dial(SILENT)
    play.sandbox.place_elsewhere(NUMBER)
    play.sandbox.place_elsewhere(SILENT, seconds_ago=60)
    assert call.session_id is None
    followed = play.follow(call)
    [ours] = [each for each in play.sandbox.calls if (each.number, each.placed_at) == (SILENT, NOON)]
    assert followed.record.call.session_id == ours.id == play.journal.history.find(call.id).call.session_id
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)


def test_of_an_answer_with_only_a_call_sid_the_session_is_found_by_it(stage):
    """Also among calls that began together; the journal then knows the session, which can be shown and ended."""
    play = stage(reshape=lambda info: info if info["log"] else {"callSid": info["callSid"]})
    call = play.dial()
    play.sandbox.place_elsewhere(NUMBER)
    assert call.session_id.startswith("CA")
    [ours] = [each for each in play.sandbox.calls if each.sid == call.session_id]
    followed = play.follow(call)
    assert followed.session.id == ours.id
    assert play.journal.history.find(call.id).call.session_id == ours.id


def test_a_session_that_appears_late_is_waited_for(stage):
    """Until then the list of live calls tells, by number and time."""
    play = stage(shown_after=20)
    call = play.dial(SILENT)
    followed = play.follow(call)
    assert [phase for phase, _ in play.shown] == ["ringing", "connected", "ended"]
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)
    assert followed.record.call.session_id == play.sandbox.calls[0].id


def test_the_live_call_of_somebody_else_is_not_taken_for_ours(stage):
    """It rings the same number, and began 20 seconds earlier; ours was busy before the first look."""
    play = stage(shown_after=1e9, answer_after=0)
    call = play.dial(BUSY)
    play.sandbox.place_elsewhere(BUSY, seconds_ago=20)
    assert play.given_up(call, timeout=30).call.ending is None
    assert play.shown == []


@pytest.mark.parametrize("status", ["403 Invalid Role", "404 Not Found"])
def test_a_login_that_may_not_see_live_calls_goes_without_them(stage, status):
    """The session alone is enough, when it is there."""
    play = stage(shown_after=3)
    call = play.dial()
    with FaultServer(passing_to(play.sandbox, live=reply(status))) as server:
        followed = play.follow(call, base_url=server.base_url)
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)
    assert play.told == []


def test_a_call_that_has_long_ended_is_told_at_once(stage):
    """As when a once-key stands for a call of this morning."""
    play = stage()
    call = play.dial()
    play.time.seconds += 3600
    followed = play.follow(call)
    assert (followed.record.call.ending.seconds, followed.record.call.ending.answered) == (82.0, True)
    assert play.time.slept == []


def test_a_call_of_last_month_is_found_in_the_archive(stage):
    """By its ID and, for an answer without one, by number and time."""
    play = stage(archive_after=15 * DAY)
    calls = play.dial(), play.dial(SILENT)
    play.time.seconds += 30 * DAY
    assert [play.follow(call).record.call.ending.seconds for call in calls] == [82.0, 82.0]
    assert play.time.slept == []


def test_of_a_call_that_was_placed_earlier_the_seconds_are_counted_from_its_placing(stage):
    """Also when somebody begins to watch it late."""
    play = stage(talk_for=3600)
    call = play.dial()
    play.time.seconds += 300
    error = play.given_up(call, timeout=10)
    assert error.call.ending == Ending(Phase.CONNECTED, True, False, None, 310.0)
    assert play.shown == [("connected", 300.0)]


def test_a_look_takes_no_longer_than_is_left(stage, monkeypatch):
    """Or somebody who stays for five seconds waits ten for one answer."""
    given = []
    play = stage(talk_for=3600)
    call = play.dial()
    look = watching.settling.session_of

    def noted(*arguments, patience, **more):
        given.append(patience)
        return look(*arguments, patience=patience, **more)

    monkeypatch.setattr(watching.settling, "session_of", noted)
    play.given_up(call, timeout=5)
    assert given == sorted(given, reverse=True)
    assert (given[0], given[-1]) == (5.0, watching.SHORTEST)


# what is not documented


@pytest.mark.parametrize("state", ["Levitating", "", None, 7, {"name": "Ringing"}])
def test_a_call_state_that_nobody_knows_is_looked_up_among_the_live_calls(stage, state):
    """The end is seen by `ended`."""
    play = stage(reshape=lambda info: {**info, "callState": state})
    followed = play.follow(play.dial())
    assert [phase for phase, _ in play.shown] == ["ringing", "connected", "ended"]
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)


def test_states_are_understood_in_any_case(stage):
    play = stage(reshape=lambda info: {**info, "callState": str(info["callState"]).upper()})
    play.follow(play.dial())
    assert [phase for phase, _ in play.shown] == ["ringing", "connected", "ended"]
    assert {request.path.partition("?")[0] for request in play.sandbox.requests} == {"/sessions/outgoing", "/sessions"}


def test_a_session_without_any_state_is_over_when_its_call_is_not_live_any_more(stage):
    """It has only its name, its number and its beginning; that it was answered was seen."""
    play = stage(reshape=only("id", "toAddress", "dateCreated"))
    followed = play.follow(play.dial())
    assert [phase for phase, _ in play.shown] == ["ringing", "connected", "ended"]
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, None, 83.1)


def test_a_session_that_says_that_it_has_not_ended_is_believed(stage):
    """Although nobody knows the word for its state, and this login may not see live calls."""
    states = iter(["Ringing", "Ringing", "Connected"])
    play = stage(reshape=lambda info: {**info, "callState": next(states, "Levitating")} if info["log"] else info)
    call = play.dial()
    with FaultServer(passing_to(play.sandbox, live=reply("403 Invalid Role"))) as server:
        followed = play.follow(call, base_url=server.base_url)
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)


def test_a_session_that_is_shown_counts_as_seen_whatever_its_state_is_called(stage):
    """More than a minute without a word that we know is no reason to give up: the session is there, and not ended."""
    play = stage(reshape=lambda info: {**info, "callState": "Levitating"}, talk_for=120)
    call = play.dial()
    with FaultServer(passing_to(play.sandbox, live=reply("403 Invalid Role"))) as server:
        followed = play.follow(call, base_url=server.base_url)
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 132.0)


@pytest.mark.parametrize("missing", ["ended", "dateCompleted", "outcome", "callState", "log", "callSid", "accountId"])
def test_any_one_field_may_be_missing(stage, missing):
    """What the others say is enough."""
    play = stage(reshape=lambda info: {name: value for name, value in info.items() if name != missing})
    ending = play.follow(play.dial()).record.call.ending
    assert (ending.phase, ending.answered) == (Phase.ENDED, True)
    assert ending.seconds in {82.0, 83.1}


def test_a_session_without_an_id_leaves_the_journal_without_one(stage):
    """It is followed by number and time, and no empty name is kept for it."""
    play = stage(reshape=lambda info: {name: value for name, value in info.items() if name != "id"})
    play.sandbox.place_elsewhere(NUMBER, seconds_ago=3600)
    call = play.dial(SILENT)
    followed = play.follow(call)
    assert followed.record.call.ending.answered is True
    assert play.journal.history.find(call.id).call.session_id is None


def test_dates_may_be_written_as_iso_8601(stage):
    """Instead of as milliseconds; an answer without an ID is found by them too."""

    def in_iso(info):
        return {name: value.in_iso() if hasattr(value, "in_iso") else value for name, value in info.items()}

    play = stage(reshape=in_iso)
    followed = play.follow(play.dial(SILENT))
    assert followed.record.call.ending == Ending(Phase.ENDED, True, False, "Answered", 82.0)


@pytest.mark.parametrize("unset", ["/Date(-62135596800000)/", "/Date(-62135596800000-0000)/", "0001-01-01T00:00:00"])
@pytest.mark.parametrize("missing", [(), ("ended",)], ids=["not ended", "ended missing"])
def test_the_first_day_of_the_calendar_is_no_time_of_completion(stage, unset, missing):
    """.NET writes a time that was never set like that."""

    def running(info):
        return {name: value for name, value in info.items() if name not in missing} | {"dateCompleted": unset}

    play = stage(reshape=lambda info: info if info["ended"] else running(info))
    error = play.given_up(play.dial(), timeout=30)
    assert error.call.ending == Ending(Phase.CONNECTED, True, False, None, 30.0)


def test_of_a_call_that_ended_at_an_unknown_time_no_duration_is_made_up(stage):
    """An hour later, the moment of the look says nothing about it; the log may."""
    play = stage(reshape=lambda info: {name: value for name, value in info.items() if name != "dateCompleted"})
    call = play.dial()
    play.time.seconds += 3600
    ending = play.follow(call).record.call.ending
    assert (ending.phase, ending.answered) == (Phase.ENDED, True)
    assert ending.seconds in {None, 82.0}


@pytest.mark.parametrize(
    "words",
    [
        "Busy",
        "No Answer",
        "no-answer",
        "NoAnswer",
        "Not answered",
        "Did not answer",
        "Unanswered",
        "Failed",
        "Canceled",
        "Cancelled by caller",
        "Missed",
        "Rejected",
        "Declined",
        "Abandoned",
        "Unreachable",
        "Invalid number",
    ],
)
def test_words_for_a_call_that_nobody_took(stage, words):
    """In whatever spelling."""
    play = stage(reshape=ended_as(words))
    assert play.follow(play.dial(NO_ANSWER)).record.call.ending == Ending(Phase.ENDED, False, False, words, 12.0)


@pytest.mark.parametrize("words", ["Answered", "ANSWERED", "Answered by agent", "Completed", "Success", "Connected"])
def test_words_for_a_call_that_somebody_took(stage, words):
    play = stage(reshape=ended_as(words))
    assert play.follow(play.dial(NO_ANSWER)).record.call.ending == Ending(Phase.ENDED, True, False, words, 12.0)


@pytest.mark.parametrize(
    "words", ["Voicemail", "VoiceMail", "Voice Mail", "voice_mail", "Left a voice-mail", "Answering machine"]
)
def test_words_for_a_call_that_a_machine_took(stage, words):
    """The next number may have to be rung because of them, so they must not be missed."""
    play = stage(reshape=ended_as(words))
    assert play.follow(play.dial(VOICEMAIL)).record.call.ending == Ending(Phase.ENDED, True, True, words, 82.0)


@pytest.mark.parametrize(
    "words",
    [
        "Disconnected",
        "Not connected",
        "Never connected",
        "Nobody answered",
        "No one answered",
        "Incomplete",
        "Not completed",
        "Unsuccessful",
        "Ended",
        "17",
    ],
)
def test_words_that_do_not_say_that_somebody_answered_are_not_taken_for_it(stage, words):
    """An answer that was none would end an escalation before anybody was reached."""
    play = stage(reshape=ended_as(words))
    assert play.follow(play.dial(NO_ANSWER)).record.call.ending.answered is not True


@pytest.mark.parametrize("words", ["Disconnected", "Ended", None, 17])
def test_without_a_word_about_it_what_was_seen_decides(stage, words):
    """Connected at some look, or answered by somebody with a name; else it is not known."""
    play = stage(reshape=ended_as(words))
    assert play.follow(play.dial()).record.call.ending.answered is True
    assert play.follow(play.dial(NO_ANSWER)).record.call.ending.answered is not True
    named = stage(reshape=ended_as(None, answeredByName="Ann"))
    assert named.follow(named.dial(NO_ANSWER)).record.call.ending.answered is True


def test_a_list_full_of_other_things_is_read_past(stage):
    """Items that are no sessions, and sessions of others."""
    play = stage()
    call = play.dial(BUSY)
    ours = {"id": call.session_id, "ended": True, "outcome": "Busy"}
    items = json.dumps({"items": [None, 7, "x", [], {"id": 7}, {"id": "other", "ended": False}, ours]}).encode()
    with FaultServer(answering(reply("200 OK", items)), answering(reply("200 OK", b'{"items": []}'))) as server:
        ending = play.follow(call, base_url=server.base_url).record.call.ending
    assert (ending.phase, ending.answered, ending.outcome) == (Phase.ENDED, False, "Busy")


# the journal


def test_an_ending_that_cannot_be_recorded_is_told_all_the_same(stage):
    """Somebody deleted the call from the history while it rang."""
    play = stage()
    call = play.dial(BUSY)
    watch = play.watch(call)
    play.journal.history.purge(datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=1))
    followed = watch.follow(TEN_MINUTES)
    assert followed.record.call.ending == Ending(Phase.ENDED, False, False, "Busy", 12.0)
    assert ["warning: how the call went on could not be recorded." in line for line in play.told] == [True]
