"""`evocall dial` whose answer got lost: the service is asked, and the phone is not rung a second time."""

import json
import signal
import sqlite3
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs

import pytest

from evocall import sessions, settling, watching
from evocall.journal import Journal
from evocall.model import Credential, Profile
from evocall.sandbox import Account, Sandbox
from evocall.service import Service
from evocall.settling import Verdict
from tests.faultserver import FaultServer, answering, http, resetting, silent, trickling
from tests.processes import running

LOST = "+18145550160"  # placed, and the answer is lost
LOST_BEFORE = "+18145550161"  # the same to see, and not placed
UNANSWERED = "+18145550104"  # placed, and the answer names no session
FLOW = "665f1c0000000000000000a1"
MANAGER = Account("manager@example.com", "rings-nobody")
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Nobody waits between two looks, and not long for each answer."""
    monkeypatch.setattr(settling, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(settling, "HASTY", 1.0)


@pytest.fixture
def path(home):
    return home / "evocall" / "journal.db"


@pytest.fixture
def started(monkeypatch):
    """Starts a server, and an environment that signs in to it and names a flow by its ID."""
    with ExitStack() as stack:

        def start(server):
            stack.enter_context(server)
            monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
            monkeypatch.setenv("EVOCALL_USERNAME", MANAGER.username)
            monkeypatch.setenv("EVOCALL_PASSWORD", MANAGER.password)
            monkeypatch.setenv("EVOCALL_FLOW", FLOW)
            return server

        yield start


@pytest.fixture
def served(started):
    """A server that resets the connection of the POST, and then plays these scripts; the last one for ever."""
    return lambda *scripts: started(FaultServer(resetting, *scripts))


@pytest.fixture
def change(path):
    """Changes all calls of the journal, or those that a condition lets through."""

    def run(assignment, *values, where="1"):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE calls SET {assignment} WHERE {where}", values)

    return run


@pytest.fixture
def age(change):
    """Makes all calls of the journal older, by seconds."""
    return lambda seconds: change("requested_at = requested_at - ?", int(seconds * 1000))


@pytest.fixture
def look(path):
    """What a look for a call of the journal comes to at a server."""

    def run(server, name="0001", **options):
        service = Service(
            Profile("default", server.base_url), Credential(MANAGER.username, MANAGER.password, "the test")
        )
        with closing(service), Journal(path) as journal:
            return settling.look(journal.history.find(name), service, journal, **options)

    return run


def sessions_of(*entries):
    """A list of sessions on the wire."""
    return answering(http("200 OK", json.dumps({"items": entries, "hasMorePages": False}).encode()))


def session(**fields):
    """A session to the number that begins now."""
    now = int(time.time() * 1000)
    return {"id": "5e551011", "toAddress": LOST, "dateCreated": f"/Date({now})/", "direction": "Outgoing", **fields}


def looks(server):
    """How many requests asked for sessions."""
    return sum(request.method == "GET" for request in server.requests)


# found


@pytest.mark.parametrize("number", [LOST, "+18145550151", "+18145550152", "+18145550163"])
def test_a_call_whose_answer_got_lost_is_found_and_placed(dial, evocall, signed_in, number):
    """Reset, 500, 502 and half an answer; the phone has rung once, and history tells the same as the dial."""
    code, call = dial(number)
    assert (code, call["outcome"], call["error"], call["number"]) == (0, "placed", None, number)
    assert call["session_id"] == signed_in.calls[0].id
    assert call["settled"].startswith("the service shows a session to this number of 20")
    assert len(signed_in.dials()) == len(signed_in.calls) == 1
    assert json.loads(evocall("history", "--json").out) == [call]


def test_a_call_whose_answer_takes_too_long_is_found(dial, signed_in):
    """It comes after 90 seconds, and nobody waits for it."""
    code, call = dial("+18145550162", "--timeout", "0.2")
    assert (code, call["outcome"], call["session_id"]) == (0, "placed", signed_in.calls[0].id)
    assert len(signed_in.dials()) == 1


def test_the_receipt_says_how_it_was_settled(evocall, signed_in):
    result = evocall("dial", LOST)
    assert result.code == 0
    assert result.out.startswith("placed    +1 814-555-0160   US, ")
    assert f"session   {signed_in.calls[0].id}   evocall show 0001\n" in result.out
    assert "settled   the answer did not tell, but the service shows a session to this number of 20" in result.out
    assert result.err == "evocall: the outcome is not known; asking the service whether the call was placed.\n"


def test_a_quiet_dial_settles_quietly(evocall, signed_in):
    result = evocall("dial", LOST, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_rehearsal_settles_too(dial):
    code, call = dial(LOST, "--sandbox")
    assert (code, call["outcome"], bool(call["settled"])) == (0, "placed", True)


@pytest.mark.parametrize("number", ["+18145550100", UNANSWERED, "+18145550140"])
def test_nothing_is_asked_about_a_call_whose_outcome_is_known(dial, signed_in, number):
    """Placed with an ID, placed without one, refused."""
    code, call = dial(number, "--flow", FLOW)
    assert (code, call["settled"]) == (11 if number.endswith("140") else 0, None)
    assert [request.method for request in signed_in.requests] == ["POST"]


def test_each_of_two_lost_calls_is_settled_with_its_own_session(dial, signed_in):
    """The first one's session belongs to it, and is not taken for the second's."""
    first, second = dial(LOST), dial(LOST)
    assert [first[0], second[0]] == [0, 0]
    assert [first[1]["session_id"], second[1]["session_id"]] == [call.id for call in signed_in.calls]
    assert len(signed_in.dials()) == 2


@pytest.mark.parametrize("hours", [1, -1, 11, -13, 30, -30, 240])
def test_a_clock_that_is_off_does_not_hide_a_call(dial, started, hours):
    """Theirs or ours: what counts is the difference between the two."""
    sandbox = started(Sandbox(clock=lambda: time.time() + hours * HOUR))
    code, call = dial(LOST)
    assert (code, call["session_id"], len(sandbox.dials())) == (0, sandbox.calls[0].id, 1)


def test_a_service_without_a_clock_is_believed_to_have_ours(dial, served):
    """No Date header at all."""
    server = served(sessions_of(session()))
    code, call = dial(LOST)
    assert (code, call["session_id"], len(server.posts)) == (0, "5e551011", 1)


def test_clocks_that_contradict_one_another_do_not_keep_us_for_ever(dial, served):
    """Two servers behind one name, a day apart, take turns in answering."""

    def at(hours):
        date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
        return answering(http("200 OK", b'{"items":[]}', f"Date: {date}"))

    server = served(*[at(hours) for _ in range(20) for hours in (24, 0)])
    assert dial(LOST)[0] == 9
    assert looks(server) <= 12


def test_a_session_that_appears_late_is_waited_for(dial, started, monkeypatch):
    """Between the first look and the last."""
    monkeypatch.setattr(settling, "PAUSES", (0.2, 0.2, 0.2))
    sandbox = started(Sandbox(shown_after=0.3))
    code, call = dial(LOST)
    assert (code, call["session_id"], len(sandbox.dials())) == (0, sandbox.calls[0].id, 1)


# not found


@pytest.mark.parametrize("number", ["+18145550150", LOST_BEFORE])
def test_a_call_that_is_not_found_stays_unknown(evocall, dial, signed_in, number):
    """Which proves nothing; the hint names what can be done about this very call."""
    code, call = dial(number, "--flow", FLOW)
    assert (code, call["outcome"], call["session_id"], call["settled"]) == (9, "unknown", None, None)
    assert (call["call"], call["error"]["exit_code"]) == ("0001", 9)
    assert "evocall reconcile 0001" in call["error"]["hint"]
    assert "--again" in call["error"]["hint"]
    assert (len(signed_in.dials()), signed_in.calls, looks(signed_in)) == (1, [], 4)
    (kept,) = json.loads(evocall("history", "--json").out)
    assert (kept["outcome"], kept["error"]["code"]) == ("unknown", call["error"]["code"])


def test_people_are_told_what_to_do_about_it(evocall, signed_in):
    result = evocall("dial", LOST_BEFORE)
    assert (result.code, result.out) == (9, "")
    assert "evocall: unknown: the request was sent, but the connection was lost" in result.err
    assert "hint: evocall reconcile 0001 asks again" in result.err


def test_a_rehearsal_is_not_sent_to_the_service(evocall):
    """`reconcile` knows nothing of rehearsals, and their sandbox is gone."""
    result = evocall("dial", LOST_BEFORE, "--sandbox")
    assert result.code == 9
    assert "evocall reconcile" not in result.err


@pytest.mark.parametrize("ago", [60, 15, 5])
def test_an_earlier_session_is_not_taken_for_the_call(dial, signed_in, ago):
    signed_in.place_elsewhere(LOST_BEFORE, seconds_ago=ago)
    code, call = dial(LOST_BEFORE)
    assert (code, call["outcome"]) == (9, "unknown")


def test_an_earlier_session_is_not_taken_by_a_clock_that_is_off(dial, started):
    """Theirs is a minute behind ours, so it seems to have begun now."""
    sandbox = started(Sandbox(clock=lambda: time.time() + 60))
    sandbox.place_elsewhere(LOST_BEFORE, seconds_ago=60)
    assert dial(LOST_BEFORE)[0] == 9


def test_another_call_at_the_same_moment_makes_it_ambiguous(dial, signed_in):
    """Somebody else's, by the same flow: one of the two is ours, and nobody guesses which."""
    signed_in.place_elsewhere(LOST)
    code, call = dial(LOST, "--flow", FLOW)
    assert (code, call["outcome"], call["session_id"]) == (9, "unknown", None)
    assert "evocall reconcile 0001" in call["error"]["hint"]
    assert (len(signed_in.dials()), len(signed_in.calls), looks(signed_in)) == (1, 2, 1)


def test_a_session_of_another_flow_or_caller_is_somebody_elses(dial, signed_in):
    """Alone it is not taken, and beside ours it does not matter."""
    other = signed_in.flows[1]
    for number in (LOST, LOST_BEFORE):
        signed_in.place_elsewhere(number, flow=other, caller_id="+18145550190")
        signed_in.place_elsewhere(number, caller_id="+18145550191")
    arguments = ("--flow", FLOW.upper(), "--caller-id", "+18145550190")
    assert dial(LOST_BEFORE, *arguments)[0] == 9
    code, call = dial(LOST, *arguments)
    assert (code, call["session_id"]) == (0, signed_in.calls[-1].id)


def test_the_session_of_another_call_of_the_journal_is_not_taken(dial, change, signed_in):
    """Placed a moment ago, with the answer that told its session."""
    _, first = dial("+18145550100")
    signed_in.calls[0].number = LOST_BEFORE
    change("number = ?", LOST_BEFORE)
    assert first["session_id"] == signed_in.calls[0].id
    assert dial(LOST_BEFORE)[0] == 9


def test_the_session_of_another_call_is_recognized_by_its_sid(dial, change, started):
    """A service may answer a dial with Twilio's name of the call, and no session."""

    def reshape(info):
        return info if info["log"] else {"callSid": info["callSid"]}

    sandbox = started(Sandbox(reshape=reshape))
    _, first = dial("+18145550100")
    sandbox.calls[0].number = LOST_BEFORE
    change("number = ?", LOST_BEFORE)
    assert first["session_id"] == sandbox.calls[0].sid
    assert dial(LOST_BEFORE)[0] == 9


def test_a_call_without_a_session_of_its_own_is_a_rival(dial, change, look, signed_in):
    """The one session could be that of either: the other was answered without telling which."""
    assert dial(UNANSWERED)[0] == 0
    assert dial(UNANSWERED)[0] == 0
    signed_in.calls.pop()
    change("state = 'unknown'", where="id = 2")
    finding = look(signed_in, "0002")
    assert (finding.verdict, [found.id for found in finding.candidates]) == (
        Verdict.AMBIGUOUS,
        [signed_in.calls[0].id],
    )


@pytest.mark.parametrize(
    ("assignment", "verdict"),
    [
        ("state = 'not_placed'", Verdict.PLACED),
        ("number = '+18145550101'", Verdict.PLACED),
        ("requested_at = requested_at - 600000", Verdict.PLACED),
        ("requested_at = requested_at + 600000", Verdict.PLACED),
        ("state = 'unknown'", Verdict.AMBIGUOUS),
        ("requested_at = requested_at - 30000", Verdict.AMBIGUOUS),
        ("requested_at = requested_at + 30000", Verdict.AMBIGUOUS),
    ],
)
def test_only_a_call_that_could_be_meant_is_a_rival(dial, change, look, signed_in, assignment, verdict):
    """One that may have rung, to this number, about then."""
    dial(UNANSWERED)
    dial(UNANSWERED)
    signed_in.calls.pop()
    change("state = 'unknown'", where="id = 2")
    change(assignment, where="id = 1")
    assert look(signed_in, "0002").verdict is verdict


@pytest.mark.parametrize(("after", "found"), [(-4, False), (-1, True), (0, True), (5, True), (8, True), (14, False)])
def test_a_session_begins_while_its_request_is_on_its_way_or_soon_after(dial, look, change, signed_in, after, found):
    """Seconds after a request that took one second; a server may finish what its client has given up."""
    dial(LOST_BEFORE)
    change("duration_ms = 1000, requested_at = requested_at - 30000")
    signed_in.place_elsewhere(LOST_BEFORE, seconds_ago=30 - after)
    assert (look(signed_in).verdict is Verdict.PLACED) is found


@pytest.mark.parametrize(("after", "found"), [(50, True), (65, True), (80, False)])
def test_a_request_of_a_process_that_died_may_have_taken_a_minute(dial, look, change, signed_in, after, found):
    """Nobody knows how long it took."""
    dial(LOST_BEFORE)
    change("state = 'sending', holder = 'gone', duration_ms = NULL, requested_at = requested_at - 100000")
    signed_in.place_elsewhere(LOST_BEFORE, seconds_ago=100 - after)
    assert (look(signed_in).verdict is Verdict.PLACED) is found


# what the service may do meanwhile


@pytest.mark.parametrize(
    "status", ["401 Unauthorized", "403 Forbidden", "404 Not Found"], ids=["login", "role", "route"]
)
def test_a_service_that_refuses_to_tell_is_asked_once(dial, served, status):
    """A login that may dial and not read: the call stays unknown, and the error is about the call."""
    server = served(answering(http(status)))
    code, call = dial(LOST)
    assert (code, call["outcome"], call["error"]["code"]) == (9, "unknown", "connection_lost")
    assert "evocall reconcile 0001" in call["error"]["hint"]
    assert (len(server.posts), looks(server)) == (1, 1)


TROUBLES = [
    pytest.param(answering(http("500 Internal Server Error")), id="500"),
    pytest.param(answering(http("503 Service Unavailable")), id="503"),
    pytest.param(answering(http("429 Too Many Requests", b"", "Retry-After: 30")), id="429"),
    pytest.param(answering(http("200 OK", b"<html>Sign in</html>", kind="text/html")), id="a page"),
    pytest.param(answering(http("200 OK", b'{"items":[')), id="half a list"),
    pytest.param(answering(http("200 OK", b'["words"]')), id="no object"),
    pytest.param(resetting, id="reset"),
]


@pytest.mark.parametrize("script", TROUBLES)
def test_a_trouble_that_passes_does_not_end_the_asking(dial, served, script):
    server = served(script, script, script, sessions_of(session()))
    code, call = dial(LOST)
    assert (code, call["session_id"]) == (0, "5e551011")
    assert len(server.posts) == 1


@pytest.mark.parametrize("script", TROUBLES)
def test_a_trouble_that_stays_leaves_the_call_unknown(dial, served, script):
    """And is not reported in its place."""
    server = served(script)
    code, call = dial(LOST)
    assert (code, call["outcome"], call["error"]["code"]) == (9, "unknown", "connection_lost")
    assert (len(server.posts), looks(server)) == (1, 4)


@pytest.mark.parametrize("script", [silent, trickling(http("200 OK", b"{" * 9)[:-9], b"{" * 9000)])
def test_a_service_that_hangs_does_not_keep_the_dial(dial, served, script, monkeypatch):
    """Neither silence nor an answer that never ends: each look has its time."""
    monkeypatch.setattr(settling, "HASTY", 0.5)
    server = served(script)
    code, call = dial(LOST)
    assert (code, call["outcome"], call["error"]["code"]) == (9, "unknown", "connection_lost")
    assert (len(server.posts), looks(server)) == (1, 4)


def endless(visit):
    """Lists other sessions, page after page, whatever is asked for, and never says that it was the last."""
    while True:
        page = parse_qs(visit.read().head.split(b" ")[1].decode())["page"][0]
        strangers = [session(id=f"{page}-{n}", toAddress="+12025550100") for n in range(3)]
        visit.send(http("200 OK", json.dumps({"items": strangers}).encode()).replace(b"Connection: close\r\n", b""))


def test_a_service_whose_pages_never_end_does_not_keep_the_dial(dial, served, monkeypatch):
    """Not every host may heed the number that is asked for; the limit is for all pages together."""
    monkeypatch.setattr(settling, "HASTY", 0.5)
    monkeypatch.setattr(sessions, "MOST_PAGES", 10**9)
    server = served(endless)
    code, call = dial(LOST)
    assert (code, call["outcome"], call["error"]["code"]) == (9, "unknown", "connection_lost")
    assert len(server.posts) == 1
    assert looks(server) > 4


def test_the_asking_after_a_call_has_a_limit_of_its_own(dial, served, monkeypatch):
    """However many looks were left."""
    monkeypatch.setattr(settling, "PAUSES", (0.0,) * 10**6)
    monkeypatch.setattr(settling, "LONGEST_ASKING", 0.5)
    server = served(sessions_of())
    assert dial(LOST)[0] == 9
    assert len(server.posts) == 1


@pytest.mark.parametrize("command", [("reconcile",), ("show", "0001"), ("flows",), ("numbers",)])
def test_pages_that_never_end_are_named_as_the_reason(dial, evocall, served, monkeypatch, command):
    """Whoever asks later is told what is wrong, and with which service."""
    monkeypatch.setattr(sessions, "MOST_PAGES", 20)
    server = served(endless)
    dial(LOST)
    before = looks(server)
    result = evocall(*command)
    assert result.code != 0
    assert "more than 20 pages" in result.out + result.err
    assert looks(server) - before <= 60


@pytest.mark.parametrize("known", [False, True])
def test_following_a_call_has_a_limit_for_all_pages_of_a_look(dial, started, monkeypatch, known):
    """By its session, and by number and time where no session is known."""
    monkeypatch.setattr(watching, "PATIENCE", 0.3)
    monkeypatch.setattr(sessions, "MOST_PAGES", 10**9)
    body = b'{"id":"5e551011"}' if known else b""
    server = started(FaultServer(answering(http("200 OK", body)), endless))
    code, call = dial(LOST, "--wait", "--wait-timeout", "0.5")
    assert (code, call["outcome"], call["error"]["code"]) == (13, "placed", "out_of_sight")
    assert len(server.posts) == 1


def test_a_dial_that_is_interrupted_while_asking_says_what_is_known(started, home, monkeypatch, evocall):
    """Ctrl-C: the call may have been placed, and is in the journal as that."""
    server = started(FaultServer(resetting, silent))
    with running("dial", LOST, "--json") as process:
        while looks(server) == 0:
            server.touched.clear()
            assert server.touched.wait(20)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    call = json.loads(out)
    assert (process.returncode, call["outcome"], call["error"]["code"]) == (130, "unknown", "interrupted")
    assert len(server.posts) == 1
    (kept,) = json.loads(evocall("history", "--json").out)
    assert (kept["outcome"], kept["call"]) == ("unknown", call["call"])


# what the service may leave out


@pytest.mark.parametrize(
    "fields",
    [
        {"flowId": None},
        {"flowId": 7},
        {"flowId": FLOW.upper()},
        {"fromAddress": ""},
        {"fromAddress": "18145550190"},
        {"direction": "Sideways", "callState": "Levitating", "channel": "Telepathy"},
        {"toAddress": None, "destination": LOST},
        {"toAddress": f"sip:{LOST}@example.com"},
        {"log": "words", "ended": "perhaps", "callSid": 7},
    ],
)
def test_what_is_left_out_or_unknown_does_not_speak_against_a_call(dial, served, fields):
    served(sessions_of(session(**fields)))
    code, call = dial(LOST, "--caller-id", "+18145550190")
    assert (code, call["session_id"]) == (0, "5e551011")


@pytest.mark.parametrize("drop", [(), ("direction", "log", "callSid", "flowId", "ended", "callState", "accountId")])
@pytest.mark.parametrize("iso", [False, True])
def test_a_call_is_settled_by_a_number_and_a_time(dial, started, drop, iso):
    """In either form of a date."""

    def reshape(info):
        kept = {name: value for name, value in info.items() if name not in drop}
        return kept | {"dateCreated": info["dateCreated"].in_iso()} if iso else kept

    sandbox = started(Sandbox(reshape=reshape))
    code, call = dial(LOST)
    assert (code, call["session_id"], len(sandbox.dials())) == (0, sandbox.calls[0].id, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"dateCreated": None},
        {"dateCreated": "soon"},
        {"dateCreated": 7},
        {"toAddress": None},
        {"toAddress": "+18145550169"},
        {"direction": "Incoming"},
    ],
)
def test_a_session_without_number_or_time_proves_nothing(dial, served, fields):
    served(sessions_of(session(**fields)))
    assert dial(LOST)[0] == 9


def test_a_session_without_an_id_is_not_given_an_empty_one(dial, served):
    """JSON has null for what is not known."""
    served(sessions_of(session(id=None)))
    assert dial(LOST)[1]["session_id"] is None


def test_a_session_that_is_listed_twice_is_one(dial, served):
    """By pages that move while they are read, or by a server that knows no pages."""
    first, again = session(), session(callState="Connected")
    served(*[answering(http("200 OK", json.dumps({"items": [one]}).encode())) for one in (first, again, again)])
    code, call = dial(LOST)
    assert (code, call["session_id"]) == (0, "5e551011")


# keys


def test_a_key_whose_call_was_settled_is_used(dial, signed_in):
    """The second use reports the call, says how it was settled, and dials nothing."""
    _, first = dial(LOST, "--once", "k")
    code, second = dial(LOST, "--once", "k")
    assert (code, second) == (0, {**first, "outcome": "already_placed"})
    assert second["settled"]
    assert len(signed_in.dials()) == 1


def test_the_receipt_of_a_settled_key_tells_all(evocall, signed_in):
    evocall("dial", LOST, "--once", "k")
    result = evocall("dial", LOST, "--once", "k")
    assert result.out.startswith("already placed   +1 814-555-0160")
    assert "settled" in result.out
    assert "nothing was dialled now" in result.out


@pytest.mark.parametrize("days", [0, 3, 12, 20])
def test_the_next_use_of_a_key_settles_its_unknown_call(dial, age, signed_in, days):
    """Also days later, through the archive; nothing is dialled."""
    assert dial(LOST_BEFORE, "--once", "k")[0] == 9
    age(days * DAY)
    call = signed_in.place_elsewhere(LOST_BEFORE, seconds_ago=days * DAY)
    code, again = dial(LOST_BEFORE, "--once", "k")
    assert (code, again["outcome"], again["call"], again["session_id"]) == (0, "already_placed", "0001", call.id)
    assert again["settled"]
    assert len(signed_in.dials()) == 1


def test_the_key_of_a_process_that_died_is_settled(dial, change, signed_in):
    """Killed while its request was on its way."""
    assert dial(LOST_BEFORE, "--once", "k")[0] == 9
    change("state = 'sending', holder = 'gone', duration_ms = NULL, error = NULL")
    call = signed_in.place_elsewhere(LOST_BEFORE)
    code, again = dial(LOST_BEFORE, "--once", "k")
    assert (code, again["outcome"], again["session_id"]) == (0, "already_placed", call.id)
    assert len(signed_in.dials()) == 1


def test_a_key_whose_call_is_not_found_stays_held_back(dial, signed_in):
    """However often it is used; the hint names the call."""
    dial(LOST_BEFORE, "--once", "k")
    code, call = dial(LOST_BEFORE, "--once", "k")
    assert (code, call["outcome"], call["call"], call["error"]["code"]) == (9, "unknown", "0001", "held_back")
    assert "evocall reconcile 0001" in call["error"]["hint"]
    assert len(signed_in.dials()) == 1


def test_a_key_is_held_back_for_good_and_the_hint_does_not_say_otherwise(dial, signed_in):
    """Ten minutes are for calls without a key."""
    hints = [dial(LOST_BEFORE, "--once", "k")[1]["error"]["hint"] for _ in range(2)]
    assert ["ten minutes" in hint for hint in hints] == [False, False]
    assert ["--again" in hint for hint in hints] == [True, True]


def test_again_does_not_ask_first(dial, signed_in):
    """Whoever says so knows that it may ring twice."""
    dial(LOST_BEFORE, "--once", "k", "--flow", FLOW)
    before = looks(signed_in)
    code, call = dial("+18145550100", "--once", "k", "--again", "--flow", FLOW)
    assert (code, call["outcome"], looks(signed_in)) == (0, "placed", before)


def test_a_call_that_was_settled_holds_nothing_back(dial, signed_in):
    """Its outcome is known, so that the number may be dialled again at once."""
    assert [dial(LOST)[0] for _ in range(3)] == [0, 0, 0]
    assert len(signed_in.dials()) == 3


def test_what_was_settled_stays_as_it_was_settled(path, dial, signed_in):
    """A second finding, by somebody who asked at the same time, changes nothing."""
    _, call = dial(LOST)
    with Journal(path) as journal:
        again = journal.history.settle("0001", "another", "otherwise").call
    assert (again.session_id, again.settled) == (call["session_id"], call["settled"])
