"""Sessions and live calls as a real sandbox shows them, and as a service might that tells less, or other things."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from evocall import sessions
from evocall.errors import Forbidden, NotFound, Unavailable
from evocall.model import Phase
from evocall.sandbox import Ending, Sandbox
from tests.faultserver import FaultServer, answering, http, silent

NUMBER = "+18145550100"
DAY = 86_400.0
TODAY = datetime.now(UTC).date()
AT = datetime(2026, 11, 23, 9, 0, 0, 123000, UTC)


@pytest.fixture
def read(service_at):
    """A session as it is understood from these fields of the service."""

    def run(**fields):
        body = json.dumps({"items": [{"id": "s", **fields}], "hasMorePages": False}).encode()
        with FaultServer(answering(http("200 OK", body))) as server:
            return sessions.by_id(service_at(server.base_url), "s")

    return run


@pytest.fixture
def shown(service_at):
    """The one session to the number that a sandbox shows when it writes every session like that."""

    def run(reshape):
        with Sandbox(reshape=reshape) as sandbox:
            call = sandbox.place_elsewhere(NUMBER)
            found = sessions.to_number(service_at(sandbox.base_url), NUMBER, TODAY)
        return call, found

    return run


# one session


def test_a_session_is_found_by_its_id_with_its_log(sandbox, service):
    """Through the list, since the session alone has an empty log."""
    other = sandbox.place_elsewhere(NUMBER)
    call = sandbox.place_elsewhere("+18145550111", ending=Ending.BUSY, seconds_ago=60)
    session = sessions.by_id(service, call.id)
    assert (session.id, session.number, session.call_sid, session.phase) == (
        call.id,
        "+18145550111",
        call.sid,
        Phase.ENDED,
    )
    assert (session.outcome, session.caller_id, session.flow) == ("Busy", call.caller_id, call.flow.id)
    assert [entry.message for entry in session.log] == [
        f"Dialing +18145550111 from {call.caller_id}",
        "Call ended: Busy",
    ]
    assert abs(session.began.timestamp() - call.placed_at) < 0.01
    assert session.completed - session.began == timedelta(seconds=2)
    assert sessions.by_id(service, other.id).phase is Phase.RINGING


def test_an_unknown_id_is_no_session(service):
    assert sessions.by_id(service, "6743a0b1c2d3e4f5a6b7c8d9") is None


def test_a_session_that_was_not_asked_for_is_not_it(service_at):
    """A service that knows nothing of `specificIds` lists whatever it has."""
    body = json.dumps({"items": [{"id": "a"}, {"id": "s", "outcome": "Busy"}, {}], "hasMorePages": False}).encode()
    with FaultServer(answering(http("200 OK", body))) as server:
        service = service_at(server.base_url)
        assert sessions.by_id(service, "x") is None
        assert sessions.by_id(service, "s").outcome == "Busy"


def test_an_old_session_is_in_the_archive_only(sandbox, service):
    call = sandbox.place_elsewhere(NUMBER, seconds_ago=20 * DAY)
    assert sessions.by_id(service, call.id) is None
    assert sessions.by_id(service, call.id, archive=True).id == call.id


def test_a_session_may_be_shown_late(service_at):
    with Sandbox(shown_after=3600) as sandbox:
        call = sandbox.place_elsewhere(NUMBER)
        service = service_at(sandbox.base_url)
        assert sessions.by_id(service, call.id) is None
        assert sessions.to_number(service, NUMBER, TODAY) == []
        assert len(list(sessions.live(service))) == 1


def test_patience_ends_the_wait(service_at):
    with FaultServer(silent) as server, pytest.raises(Unavailable):
        sessions.by_id(service_at(server.base_url), "s", patience=0.1)


# the sessions to a number


def test_the_sessions_to_a_number_come_oldest_first(sandbox, service):
    """Not those to others, even to numbers that contain this one."""
    calls = [sandbox.place_elsewhere(NUMBER, seconds_ago=ago) for ago in (0, 90, 30)]
    sandbox.place_elsewhere("+18145550101")
    sandbox.place_elsewhere("+4918145550100")
    sandbox.place_elsewhere("+181455501000")
    found = sessions.to_number(service, NUMBER, TODAY)
    assert [session.id for session in found] == [calls[1].id, calls[2].id, calls[0].id]


def test_the_sessions_of_a_day_are_those_of_its_neighbours_too(sandbox, service):
    """The service's time zone is not known, and a day is a day off somewhere."""
    now = datetime.now(UTC)
    since_noon = now - now.replace(hour=12)
    ago = {days: (since_noon + timedelta(days=days)).total_seconds() for days in (1, 2, 3, 4, 5)}
    calls = {days: sandbox.place_elsewhere(NUMBER, seconds_ago=seconds) for days, seconds in ago.items()}
    found = sessions.to_number(service, NUMBER, now.date() - timedelta(days=3))
    assert [session.id for session in found] == [calls[days].id for days in (4, 3, 2)]


def test_archived_sessions_to_a_number_are_found_in_the_archive(sandbox, service):
    call = sandbox.place_elsewhere(NUMBER, seconds_ago=20 * DAY)
    sandbox.place_elsewhere(NUMBER)
    day = TODAY - timedelta(days=20)
    assert sessions.to_number(service, NUMBER, day) == []
    assert [session.id for session in sessions.to_number(service, NUMBER, day, archive=True)] == [call.id]


@pytest.mark.parametrize("direction", ["Incoming", "Inbound", "incoming", "IN"])
def test_a_call_that_came_in_is_not_one_to_the_number(shown, direction):
    """Somebody who calls back from it has it at the other end, but forwarded calls have it here."""
    assert shown(lambda session: session | {"direction": direction})[1] == []


@pytest.mark.parametrize("direction", ["Outgoing", "Outbound", "OutboundApi", "Sideways", None, 7])
def test_any_other_direction_is_let_through(shown, direction):
    """The names are not documented."""
    call, found = shown(lambda session: session | {"direction": direction})
    assert [session.id for session in found] == [call.id]


@pytest.mark.parametrize(
    "written",
    [
        {"toAddress": "18145550100"},
        {"toAddress": "+1 (814) 555-0100"},
        {"toAddress": "sip:+18145550100@example1.com:5060"},
        {"toAddress": "tel:+1-814-555-0100"},
        {"toAddress": None, "destination": "+18145550100"},
        {"toAddress": "", "destination": "+1 814 555 0100"},
    ],
)
def test_a_number_is_the_same_however_it_is_written(shown, written):
    call, found = shown(lambda session: session | written)
    assert [session.id for session in found] == [call.id]


@pytest.mark.parametrize(
    "written", [{"toAddress": "8145550100@18145550100.com"}, {"toAddress": "+18145550109"}, {"toAddress": 18145550100}]
)
def test_another_number_is_another(shown, written):
    assert shown(lambda session: session | {"destination": None} | written)[1] == []


def test_a_session_that_is_listed_twice_is_one_session(service_at):
    """Pages move when a call is placed while they are read: the last of one is the first of the next."""
    a, b, c = ({"id": name, "toAddress": NUMBER} for name in "abc")
    pages = [http("200 OK", json.dumps({"items": items}).encode()) for items in ([a, b], [b, c], [])]
    with FaultServer(*map(answering, pages)) as server:
        found = sessions.to_number(service_at(server.base_url), NUMBER, TODAY)
    assert sorted(session.id for session in found) == ["a", "b", "c"]


# what is not documented


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/Date(1795424400123)/", AT),
        ("/Date(1795424400123+0000)/", AT),
        ("/Date(1795424400123-0500)/", AT),
        ("/Date(-1)/", datetime(1969, 12, 31, 23, 59, 59, 999000, UTC)),
        ("2026-11-23T09:00:00.123Z", AT),
        ("2026-11-23T09:00:00.1230000Z", AT),
        ("2026-11-23T09:00:00.1230000", AT),
        ("2026-11-23T10:00:00.123+01:00", AT),
        ("2026-11-23 09:00:00.123", AT),
        ("20261123T090000.123Z", AT),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("", None),
        ("soon", None),
        ("/Date()/", None),
        ("/Date(99999999999999999999999)/", None),
        (f"/Date({'9' * 5000})/", None),
        ("2026-13-45T09:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        (None, None),
        (1795424400123, None),
        (["2026-11-23"], None),
    ],
)
def test_times_are_read_as_servicestack_writes_them(text, expected):
    """And as it may be told to; what cannot be read is no time."""
    assert sessions.moment(text) == expected


@pytest.mark.parametrize("iso", [False, True])
def test_both_forms_of_a_date_arrive(service_at, iso):
    """Over the wire, with the slashes escaped."""

    def reshape(session):
        date = session["dateCreated"]
        return session | {"dateCreated": date.in_iso() if iso else date}

    with Sandbox(reshape=reshape) as sandbox:
        call = sandbox.place_elsewhere(NUMBER)
        session = sessions.by_id(service_at(sandbox.base_url), call.id)
    assert abs(session.began.timestamp() - call.placed_at) < 0.01


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"ended": True}, Phase.ENDED),
        ({"ended": True, "callState": "Connected"}, Phase.ENDED),
        ({"ended": False, "callState": "Ringing"}, Phase.RINGING),
        ({"ended": False, "callState": "Connected", "outcome": "Answered"}, Phase.CONNECTED),
        ({"ended": False, "callState": "Hold"}, Phase.CONNECTED),
        ({"callState": "Passive"}, Phase.CONNECTED),
        ({"callState": "ringing"}, Phase.RINGING),
        ({"callState": "Connected", "dateCompleted": "/Date(1795424400123)/"}, Phase.ENDED),
        ({"callState": "Connected", "outcome": "Busy"}, Phase.ENDED),
        ({"callState": "Connected", "outcome": ""}, Phase.CONNECTED),
        ({"callState": "Levitating"}, None),
        ({"ended": False, "callState": "Levitating"}, None),
        ({"callState": "Disconnected"}, None),
        ({"callState": 2}, None),
        ({"ended": "true", "callState": None}, None),
        ({}, None),
    ],
)
def test_the_phase_is_what_the_service_tells_or_none(read, fields, phase):
    """`Disconnected` is also the state before anything has rung."""
    assert read(**fields).phase is phase


def test_a_session_without_fields_is_one(read):
    """Nothing is promised but what is asked for."""
    session = read()
    assert (session.id, session.raw) == ("s", {"id": "s"})
    known = (session.number, session.caller_id, session.flow, session.began, session.completed, session.outcome)
    assert known == (None,) * 6
    assert (session.answered_by, session.call_sid, session.account, session.log) == (None, None, None, ())


def test_a_log_is_read_as_far_as_it_can_be(read):
    """Entries without a time, without a message, or that are none."""
    log = [{"date": "/Date(1795424400123)/", "message": "a"}, {"message": "b"}, {"date": "x"}, None, "c", ["d"]]
    assert [(entry.at, entry.message) for entry in read(log=log).log] == [(AT, "a"), (None, "b"), (None, "")]
    assert read(log=None).log == read(log="words").log == ()


def test_fields_of_other_types_are_not_understood(read):
    """And break nothing."""
    texts = ("toAddress", "fromAddress", "flowId", "dateCreated", "outcome", "callSid", "direction", "accountId")
    session = read(**{field: {"a": [1]} for field in texts})
    assert (session.number, session.outcome, session.began, session.incoming) == (None, None, None, False)


# live calls


def test_live_calls_are_those_that_ring_or_talk(sandbox, service):
    ringing = sandbox.place_elsewhere(NUMBER)
    talking = sandbox.place_elsewhere(NUMBER, ending=Ending.VOICEMAIL, seconds_ago=4)
    sandbox.place_elsewhere(NUMBER, seconds_ago=60)
    found = {call.sid: call for call in sessions.live(service)}
    assert set(found) == {ringing.sid, talking.sid}
    first, second = found[ringing.sid], found[talking.sid]
    assert (first.number, first.phase, first.machine) == (NUMBER, Phase.RINGING, False)
    assert (second.number, second.phase, second.machine) == (NUMBER, Phase.CONNECTED, True)
    assert abs(first.began.timestamp() - ringing.placed_at) < 0.01


def test_live_calls_may_be_those_of_one_account(sandbox, service):
    call = sandbox.place_elsewhere(NUMBER)
    session = sessions.by_id(service, call.id)
    assert [live.sid for live in sessions.live(service, session.account)] == [call.sid]
    assert list(sessions.live(service, "5f0000000000000000000002")) == []


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("queued", Phase.RINGING),
        ("initiated", Phase.RINGING),
        ("in-progress", Phase.CONNECTED),
        ("InProgress", Phase.CONNECTED),
        ("no-answer", Phase.ENDED),
        ("NoAnswer", Phase.ENDED),
        ("completed", Phase.ENDED),
        ("levitating", None),
        (None, None),
        (3, None),
    ],
)
def test_the_status_of_a_live_call_is_twilios(service_at, status, phase):
    """In Twilio's spelling or in .NET's."""
    body = json.dumps({"calls": [{"sid": "CA1", "status": status}, None, "words"]}).encode()
    with FaultServer(answering(http("200 OK", body))) as server:
        (call,) = sessions.live(service_at(server.base_url))
    assert (call.sid, call.phase, call.number, call.began, call.machine) == ("CA1", phase, None, None, False)


@pytest.mark.parametrize("body", [b"{}", b"", b'{"calls":null}', b'{"calls":{}}'])
def test_no_list_of_live_calls_means_none(service_at, body):
    with FaultServer(answering(http("200 OK", body))) as server:
        assert list(sessions.live(service_at(server.base_url))) == []


# hanging up


def test_a_running_call_is_ended(sandbox, service):
    call = sandbox.place_elsewhere(NUMBER)
    sessions.end(service, call.id)
    (request,) = sandbox.requests
    assert (request.method, request.path) == ("DELETE", f"/sessions/{call.id}")
    assert call.ended(time.time())
    sessions.end(service, call.id)


def test_a_call_that_the_service_does_not_know_is_not_found(service):
    with pytest.raises(NotFound, match=r"knows no running session 6743a0b1\.") as caught:
        sessions.end(service, "6743a0b1")
    assert "evocall show 6743a0b1" in (caught.value.hint or "")


def test_a_role_that_may_not_hang_up_is_told_which_one_may(service_at):
    """And where else the call can be ended."""
    with Sandbox(manager_may_hang_up=False) as sandbox:
        call = sandbox.place_elsewhere(NUMBER)
        with pytest.raises(Forbidden, match="does not let this login end a call") as caught:
            sessions.end(service_at(sandbox.base_url), call.id)
        assert not call.ended(time.time())
    assert "role User" in (caught.value.hint or "")
    assert "console" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (http("403 Forbidden", b"<html>Blocked by policy</html>", kind="text/html"), Forbidden, "blocked"),
        (http("404 Not Found", b"404", kind="text/plain"), NotFound, "no_such_route"),
    ],
)
def test_what_stands_in_between_is_not_taken_for_the_service(service_at, answer, error, code):
    """A proxy's page says nothing of roles, and a host without the route nothing of sessions."""
    with FaultServer(answering(answer)) as server, pytest.raises(error) as caught:
        sessions.end(service_at(server.base_url), "6743a0b1")
    assert caught.value.code == code
    assert "role User" not in (caught.value.hint or "")
    assert "6743a0b1" not in str(caught.value)
