"""`evocall dial N1 N2 … --until-answered`: who is rung, in which order, and when nobody else is.

A second passes in the sandbox with each look at a session, so nothing here depends on how fast this machine is.
"""

import contextlib
import functools
import json
import signal
import threading
import time

import pytest

from evocall import placing, settling, watching
from evocall.history import Filter
from evocall.journal import Journal
from evocall.sandbox import Sandbox
from tests import contract, processes
from tests.faultserver import FaultServer, answering, free_port, silent
from tests.faultserver import http as reply

FIRST, SECOND, THIRD = "+18145550100", "+18145550101", "+18145550102"
SILENT, BUSY, NO_ANSWER, VOICEMAIL = (f"+1814555{ending}" for ending in ("0104", "0111", "0112", "0114"))
REJECTED, SIGN_IN, ROLE, FLOW = (f"+1814555{ending}" for ending in ("0140", "0141", "0143", "0144"))
UNKNOWN, FOUND = "+18145550150", "+18145550151"
FOREVER = 1e9
PLACED = answering(reply("200 OK", b'{"id": "s1"}'))
BUSY_SINCE = answering(reply("200 OK", b'{"items": [{"id": "s1", "ended": true, "outcome": "Busy"}]}'))
ANSWERED = answering(reply("200 OK", b'{"items": [{"id": "s1", "ended": true, "outcome": "Answered"}]}'))


class Steps:
    """A sandbox's clock, which moves on by a second with each look at a session."""

    def __init__(self):
        self.seconds = time.time()
        self.before = lambda: None

    def __call__(self):
        return self.seconds

    def look(self, info):
        """Called for each session that is shown; only lists carry a log."""
        if info["log"]:
            self.before()
            self.seconds += 1
        return info


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def sign_in(monkeypatch):
    """An environment that signs in there, and does not take long about anything."""
    monkeypatch.setattr(watching, "FIRST_POLL", 0.001)
    monkeypatch.setattr(watching, "LONGEST_POLL", 0.01)

    def to(base_url, username="ops@example.com", password="correct horse", flow="665f1c0000000000000000aa"):
        monkeypatch.setenv("EVOCALL_BASE_URL", base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", username)
        monkeypatch.setenv("EVOCALL_PASSWORD", password)
        monkeypatch.setenv("EVOCALL_FLOW", flow)

    return to


@pytest.fixture
def build(steps, sign_in):
    """Starts a sandbox, and signs in to it; a call is answered at the second look, and over at the third."""
    with contextlib.ExitStack() as open_:

        def start(**options):
            given = {"answer_after": 1, "talk_for": 1, "clock": steps, "reshape": steps.look, **options}
            sandbox = open_.enter_context(Sandbox(**given))
            sign_in(sandbox.base_url, sandbox.manager.username, sandbox.manager.password, "welcome")
            return sandbox

        yield start


@pytest.fixture
def reach(dial):
    """Rings the numbers in turn, and returns the exit code and the one JSON document on stdout."""
    return lambda *arguments: dial(*arguments, "--until-answered")


@pytest.fixture
def journal(home):
    """The calls in the journal with what is not shown, oldest first."""

    def read():
        with Journal(home / "evocall" / "journal.db") as journal:
            return list(journal.history.calls(Filter()))[::-1]

    return read


def dialled(server):
    """The numbers in the requests to place a call, in order."""
    requests = server.dials() if isinstance(server, Sandbox) else server.posts
    return [json.loads(request.body)["numberToDial"] for request in requests]


def tried(document):
    """The numbers of the calls that came to nothing."""
    return [call["number"] for call in document["tried"]]


# who is rung


def test_the_first_is_busy_and_the_second_answers(build, evocall):
    """One line for whoever is on call: exit 0, a receipt and an ending for each call, and why the next one was rung."""
    sandbox = build()
    result = evocall("dial", BUSY, FIRST, SECOND, "--until-answered")
    first, second = sandbox.calls
    labels = [line.split("  ")[0] for line in result.out.splitlines() if not line.startswith(" ")]
    assert (result.code, dialled(sandbox)) == (0, [BUSY, FIRST])
    assert first.ends_at <= second.placed_at
    assert labels == ["placed", "flow", "from", "account", "session", "ended", "log"] * 2
    assert "evocall: +1 814-555-0111: ended without an answer (Busy)" in result.err.splitlines()
    assert result.out.index("the service says: Busy") < result.out.index("the service says: Answered")


def test_the_document_is_that_of_the_call_that_was_answered(build, evocall):
    """With its ending, and the calls before it, each as `dial` would give it."""
    sandbox = build()
    result = evocall("dial", BUSY, NO_ANSWER, FIRST, "--until-answered", "--json")
    document = json.loads(result.out)
    assert (result.code, list(document)) == (0, [*contract.CALL_KEYS, "tried"])
    assert (document["number"], document["outcome"], document["ending"]["answered"]) == (FIRST, "placed", True)
    assert document["session_id"] == document["response"]["id"] == sandbox.calls[2].id
    assert [list(call) for call in document["tried"]] == [contract.CALL_KEYS] * 2
    assert [(call["number"], call["ending"]["outcome"]) for call in document["tried"]] == [
        (BUSY, "Busy"),
        (NO_ANSWER, "No Answer"),
    ]


def test_nobody_else_is_rung_when_the_first_answers(build, reach):
    sandbox = build()
    code, document = reach(FIRST, SECOND)
    assert (code, document["number"], document["tried"], dialled(sandbox)) == (0, FIRST, [], [FIRST])


def test_12_nobody_answers(build, reach):
    """The document is that of the last call; all others were tried."""
    sandbox = build()
    code, document = reach(BUSY, VOICEMAIL, NO_ANSWER)
    assert (code, document["error"]["code"], dialled(sandbox)) == (12, "not_answered", [BUSY, VOICEMAIL, NO_ANSWER])
    assert (document["number"], document["outcome"], tried(document)) == (NO_ANSWER, "placed", [BUSY, VOICEMAIL])
    assert document["ending"]["outcome"] == "No Answer"


def test_a_machine_is_nobody(build, reach):
    """Voicemail does not wake whoever is on call."""
    sandbox = build()
    code, document = reach(VOICEMAIL, FIRST)
    assert (code, document["number"], dialled(sandbox)) == (0, FIRST, [VOICEMAIL, FIRST])
    assert document["tried"][0]["ending"] | {"seconds": 0} == {
        "phase": "ended",
        "answered": True,
        "machine": True,
        "outcome": "Voicemail",
        "seconds": 0,
    }


def test_one_number_is_enough(build, reach):
    """Then it differs from `--wait` only in what it takes for an answer."""
    sandbox = build()
    assert [reach(number)[0] for number in (FIRST, BUSY, VOICEMAIL)] == [0, 12, 12]
    assert dialled(sandbox) == [FIRST, BUSY, VOICEMAIL]


def test_a_call_without_an_id_is_followed_too(build, reach, steps):
    """An answer of 204; the next number is rung only when the session has been found and has ended."""
    sandbox = build()

    def nobody_takes_it():
        sandbox.calls[0].hung_up_at = sandbox.calls[0].placed_at + 0.5

    steps.before = nobody_takes_it
    code, document = reach(SILENT, FIRST)
    assert (code, dialled(sandbox), tried(document)) == (0, [SILENT, FIRST], [SILENT])
    assert document["tried"][0]["session_id"] == sandbox.calls[0].id


# a number that cannot be rung


def test_a_number_that_is_rejected_passes_on_to_the_next(build, reach):
    """Its document says why."""
    sandbox = build()
    code, document = reach(REJECTED, FIRST)
    assert (code, document["number"], dialled(sandbox)) == (0, FIRST, [REJECTED, FIRST])
    [rejected] = document["tried"]
    assert (rejected["number"], rejected["outcome"], rejected["error"]["code"]) == (REJECTED, "not_placed", "rejected")


def test_a_number_that_comes_on_the_deny_list_meanwhile_is_not_rung(build, reach, config, steps):
    """The numbers before it may have rung for minutes."""
    denied = config('[profiles.default.guard]\ndeny = "no.txt"\n').with_name("no.txt")
    denied.touch()
    sandbox = build()
    steps.before = lambda: denied.write_text(f"{FIRST}\n", encoding="utf-8")
    code, document = reach(BUSY, FIRST, SECOND)
    assert (code, document["number"], dialled(sandbox)) == (0, SECOND, [BUSY, SECOND])
    assert (tried(document), document["tried"][1]["outcome"]) == ([BUSY, FIRST], "not_placed")


def test_a_number_that_a_guard_refuses_when_it_is_dialled_passes_on_to_the_next(build, reach, config):
    """It has had its call for today."""
    config("[profiles.default.guard]\nmax_per_number_per_day = 1\n")
    sandbox = build()
    assert reach(BUSY)[0] == 12
    code, document = reach(BUSY, FIRST)
    assert (code, tried(document), dialled(sandbox)) == (0, [BUSY], [BUSY, FIRST])
    assert document["tried"][0]["outcome"] == "not_placed"


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_number_for_which_the_service_has_no_time_passes_on_to_the_next(reach, sign_in, status):
    """Two minutes are more than evocall waits for one of several."""
    later = answering(reply(status, b"", "Retry-After: 120"))
    with FaultServer(later, PLACED, ANSWERED) as server:
        sign_in(server.base_url)
        code, document = reach(FIRST, SECOND)
    assert (code, dialled(server), tried(document)) == (0, [FIRST, SECOND], [FIRST])


def test_when_the_service_cannot_be_reached_at_all_the_error_says_so(reach, sign_in, monkeypatch):
    """About the last number; that one is not among those before it."""
    monkeypatch.setattr(placing, "BACKOFF", (0, 0))
    sign_in(f"http://127.0.0.1:{free_port()}")
    code, document = reach(FIRST, SECOND)
    assert (code, document["number"], document["outcome"]) == (8, SECOND, "not_placed")
    assert tried(document) == [FIRST]


# what stops the turns


@pytest.mark.parametrize(("number", "code"), [(SIGN_IN, 4), (ROLE, 6), (FLOW, 5)])
def test_what_would_refuse_every_number_stops_the_turns(build, reach, number, code):
    """Sign-in, role and flow are the same for all."""
    sandbox = build()
    left, document = reach(BUSY, number, FIRST)
    assert (left, document["number"], document["outcome"]) == (code, number, "not_placed")
    assert (tried(document), dialled(sandbox)) == ([BUSY], [BUSY, number])


def test_9_nobody_is_rung_while_it_is_not_known_whether_somebody_was(build, reach, monkeypatch):
    """Asked after, and not found: two phones might ring at once."""
    monkeypatch.setattr(settling, "PAUSES", ())
    sandbox = build()
    code, document = reach(BUSY, UNKNOWN, FIRST)
    assert (code, document["number"], document["outcome"]) == (9, UNKNOWN, "unknown")
    assert (tried(document), dialled(sandbox)) == ([BUSY], [BUSY, UNKNOWN])
    again, document = reach(UNKNOWN, FIRST)
    assert (again, document["error"]["code"], dialled(sandbox)) == (9, "held_back", [BUSY, UNKNOWN])


def test_a_call_that_was_lost_and_found_is_followed_as_any_other(build, reach):
    """The answer was a 500, the session shows the call, and somebody answers it."""
    sandbox = build()
    code, document = reach(FOUND, FIRST)
    assert (code, document["number"], document["outcome"], dialled(sandbox)) == (0, FOUND, "placed", [FOUND])


def test_13_two_calls_at_once_cannot_be_told_apart(build, evocall):
    """One of them may still ring, so nobody else does; both are named."""
    sandbox = build(clock=time.time, reshape=None)
    sandbox.place_elsewhere(SILENT)
    result = evocall("dial", SILENT, FIRST, "--until-answered")
    assert (result.code, dialled(sandbox)) == (13, [SILENT])
    assert [call.id in result.err for call in sandbox.calls] == [True, True]


# a call that takes too long


def test_a_phone_that_rings_too_long_is_hung_up_before_the_next_one_rings(build, evocall, steps):
    """No two phones ring at once."""
    sandbox = build(answer_after=FOREVER)

    def the_second_answers():
        for call in sandbox.calls[1:]:
            call.answered_at, call.ends_at = call.placed_at, call.placed_at + 1

    steps.before = the_second_answers
    result = evocall("dial", FIRST, SECOND, "--until-answered", "--wait-timeout", "0.1")
    first, second = sandbox.calls
    assert (result.code, dialled(sandbox)) == (0, [FIRST, SECOND])
    assert first.hung_up_at <= second.placed_at
    assert "still rings; hanging up." in result.err
    assert "ended without an answer (Canceled)" in result.err


def test_whoever_still_talks_when_the_time_is_up_has_answered(build, reach):
    """Exit 0, and nothing is hung up on them."""
    sandbox = build(answer_after=0, talk_for=FOREVER)
    code, document = reach(FIRST, SECOND, "--wait-timeout", "0.1")
    assert (code, document["number"], dialled(sandbox)) == (0, FIRST, [FIRST])
    assert (document["ending"]["phase"], document["ending"]["answered"]) == ("connected", True)
    assert sandbox.calls[0].hung_up_at is None


def test_13_a_call_that_may_not_be_ended_stops_the_turns(build, evocall):
    """It goes on ringing; who may end it is said, and nobody else is rung."""
    sandbox = build(answer_after=FOREVER, manager_may_hang_up=False)
    result = evocall("dial", FIRST, SECOND, "--until-answered", "--wait-timeout", "0.1", "--json")
    document = json.loads(result.out)
    assert (result.code, document["number"], document["outcome"]) == (13, FIRST, "placed")
    assert (document["tried"], document["ending"]["phase"], dialled(sandbox)) == ([], "ringing", [FIRST])
    assert f"evocall: the call to {FIRST} could not be ended, so the next number is not rung: " in result.err
    assert "hint: Ending one takes the role User" in result.err
    assert sandbox.calls[0].hung_up_at is None


# the same command again


def test_each_number_has_a_key_of_its_own(build, reach, journal):
    """The key that was given, and the number; so the same command again dials nobody twice."""
    sandbox = build()
    assert reach(BUSY, FIRST, "--once", "night")[0] == 0
    assert [record.once_key for record in journal()] == [f"night {BUSY}", f"night {FIRST}"]
    code, document = reach(BUSY, FIRST, "--once", "night")
    assert (code, document["outcome"], document["ending"]["answered"]) == (0, "already_placed", True)
    assert [call["outcome"] for call in document["tried"]] == ["already_placed"]
    assert dialled(sandbox) == [BUSY, FIRST]


def test_the_same_command_again_goes_on_where_it_stopped(build, reach, steps):
    """The first time a phone still rang and could not be hung up; by the second time nobody had taken it."""
    sandbox = build(answer_after=FOREVER, manager_may_hang_up=False)
    command = (FIRST, SECOND, "--once", "night", "--wait-timeout", "0.1")
    assert (reach(*command)[0], dialled(sandbox)) == (13, [FIRST])
    sandbox.calls[0].hung_up_at = steps.seconds

    def the_second_answers():
        for call in sandbox.calls[1:]:
            call.answered_at, call.ends_at = call.placed_at, call.placed_at + 1

    steps.before = the_second_answers
    code, document = reach(*command)
    assert (code, document["number"], document["outcome"]) == (0, SECOND, "placed")
    assert [(call["number"], call["outcome"]) for call in document["tried"]] == [(FIRST, "already_placed")]
    assert dialled(sandbox) == [FIRST, SECOND]


def test_the_same_command_again_dials_nobody_while_one_outcome_is_unknown(build, reach, monkeypatch):
    """Those before it are only looked up, the ones after it are not rung."""
    monkeypatch.setattr(settling, "PAUSES", ())
    sandbox = build()
    command = (BUSY, UNKNOWN, FIRST, "--once", "night")
    assert [reach(*command)[0] for _ in range(3)] == [9, 9, 9]
    assert dialled(sandbox) == [BUSY, UNKNOWN]


def test_a_number_that_was_not_placed_is_tried_again_by_the_same_command(build, reach):
    """Nobody answered and one was rejected: that one may be dialled, the others have had their call."""
    sandbox = build()
    command = (BUSY, REJECTED, "--once", "night")
    assert [reach(*command)[0] for _ in range(2)] == [12, 12]
    assert dialled(sandbox) == [BUSY, REJECTED, REJECTED]


# options


@pytest.mark.parametrize(
    "arguments",
    [
        (FIRST, SECOND),
        (FIRST, SECOND, "--wait"),
        (FIRST, SECOND, "--dry-run"),
        (FIRST, SECOND, FIRST, "--until-answered"),
        (FIRST, "(814) 555-0100", "--region", "US", "--until-answered"),
        (FIRST, "tel:+1-814-555-0100", "--until-answered"),
        (FIRST, "+1814", "--until-answered"),
        ("nobody", FIRST, "--until-answered"),
        (FIRST, SECOND, "--until-answered", "--once", " "),
        (FIRST, SECOND, "--until-answered", "--wait-timeout", "0"),
        (FIRST, SECOND, "--until-answered", "--caller-id", SECOND),
        ("--until-answered",),
    ],
)
def test_2_what_cannot_be_meant_dials_nobody(build, evocall, arguments):
    """Not even the numbers that can be: all are read before the first is rung."""
    sandbox = build()
    result = evocall("dial", *arguments, "--json")
    document = json.loads(result.out)
    assert (result.code, document["error"]["exit_code"], sandbox.requests) == (2, 2, [])
    assert document["outcome"] == "not_placed"


@pytest.mark.parametrize("numbers", [(FIRST, "+19005550100"), ("+19005550100", FIRST), (FIRST, "911")])
def test_3_a_number_that_may_never_be_called_dials_nobody(build, evocall, numbers):
    """That can be known before the first is rung."""
    sandbox = build()
    assert (evocall("dial", *numbers, "--region", "US", "--until-answered").code, sandbox.requests) == (3, [])


def test_a_rehearsal_in_the_sandbox_comes_to_the_same_when_it_is_repeated(build, steps, evocall, monkeypatch):
    """Each has a sandbox of its own, so only the journal knows how the calls of the first one ended."""
    build()
    quick = functools.partial(Sandbox, clock=steps, reshape=steps.look, answer_after=1, talk_for=1)
    monkeypatch.setattr("evocall.sandbox.Sandbox", quick)
    command = ("dial", BUSY, FIRST, "--until-answered", "--once", "d1", "--sandbox", "--wait-timeout", "5", "--json")
    results = [evocall(*command) for _ in range(2)]
    first, second = (json.loads(result.out) for result in results)
    assert [result.code for result in results] == [0, 0]
    assert (first["outcome"], second["outcome"], second["ending"]) == ("placed", "already_placed", first["ending"])
    assert [call["ending"]["outcome"] for call in second["tried"]] == ["Busy"]


def test_a_rehearsal_shows_every_call_and_rings_nobody(build, evocall):
    """In their order; as JSON the later ones stand in the first."""
    sandbox = build()
    text = evocall("dial", FIRST, SECOND, THIRD, "--until-answered", "--dry-run")
    assert (text.code, text.out.count("dry run")) == (0, 3)
    document = json.loads(evocall("dial", FIRST, SECOND, THIRD, "--until-answered", "--dry-run", "--json").out)
    assert [call["number"] for call in (document, *document["then"])] == [FIRST, SECOND, THIRD]
    assert sandbox.dials() == []


def test_quiet_says_only_that_nobody_answered(build, evocall):
    build()
    silent_success = evocall("dial", BUSY, FIRST, "--until-answered", "--quiet")
    assert (silent_success.code, silent_success.out, silent_success.err) == (0, "", "")
    result = evocall("dial", BUSY, NO_ANSWER, "--until-answered", "--quiet")
    assert (result.code, result.out) == (12, "")
    assert result.err.splitlines()[0] == "evocall: nobody answered; 2 numbers were rung."


# Ctrl-C


def test_130_interrupted_while_the_second_phone_rings(build, journal):
    """It goes on ringing; the document names it, and the one that was tried before."""
    sandbox = build(talk_for=FOREVER)
    with processes.running("dial", BUSY, FIRST, SECOND, "--until-answered", "--json") as process:
        while "ended without an answer" not in process.stderr.readline():
            assert process.poll() is None
        assert process.stderr.readline() == "evocall: ringing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    document = json.loads(out)
    assert (process.returncode, document["number"], document["outcome"]) == (130, FIRST, "placed")
    assert "evocall: interrupted after the call was placed." in err
    assert [record.call.outcome for record in journal()] == ["placed", "placed"]
    assert (dialled(sandbox), sandbox.calls[1].hung_up_at) == ([BUSY, FIRST], None)
    assert tried(document) == [BUSY]


def test_130_interrupted_while_the_second_call_is_being_placed(journal, sign_in):
    """That one may ring; the first has ended, and the third is not rung."""
    posted = threading.Event()

    def never_answering(visit):
        visit.peek()
        posted.set()
        silent(visit)

    with FaultServer(PLACED, BUSY_SINCE, never_answering) as server:
        sign_in(server.base_url)
        with processes.running("dial", FIRST, SECOND, THIRD, "--until-answered", "--json") as process:
            assert posted.wait(20)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    document = json.loads(out)
    assert (process.returncode, document["number"], document["outcome"]) == (130, SECOND, "unknown")
    assert "may have been placed" in err
    assert ([record.call.outcome for record in journal()], tried(document)) == (["placed", "unknown"], [FIRST])


def test_a_number_with_blanks_that_was_not_quoted_is_explained(evocall, signed_in):
    """The shell made four of it."""
    result = evocall("dial", "+1", "814", "555", "0100")
    assert (result.code, 'quote it: "+1 814 555 0100"' in result.err, signed_in.dials()) == (2, True, [])
