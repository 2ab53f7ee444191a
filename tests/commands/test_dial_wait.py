"""`evocall dial --wait`: exit codes, what is said where, and that a call is placed once however long it is followed.

A second passes in the sandbox with each look at a session, so nothing here depends on how fast this machine is.
"""

import contextlib
import functools
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from evocall import settling, watching
from evocall.history import Filter
from evocall.journal import Journal
from evocall.output import Screen
from evocall.sandbox import Sandbox
from tests import contract, processes
from tests.faultserver import FaultServer, answering, resetting, silent
from tests.faultserver import http as reply

NUMBER, SILENT, BUSY, NO_ANSWER, FAILED, VOICEMAIL = (
    f"+1814555{ending}" for ending in ("0100", "0104", "0111", "0112", "0113", "0114")
)
UNKNOWN, FOUND = "+18145550150", "+18145550151"
DAY = 86_400
FOREVER = 1e9
PLACED = answering(reply("200 OK", b'{"id": "s1"}'))
ENDED = b'{"items": [{"id": "s1", "ended": true, "outcome": "Answered", "log": []}]}'
both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


class Steps:
    """A sandbox's clock, which moves on by a second with each look at a session."""

    def __init__(self):
        self.seconds = time.time()
        self.before = lambda looks: None
        self.looks = 0

    def __call__(self):
        return self.seconds

    def look(self, info):
        """Called for each session that is shown; only lists carry a log."""
        if info["log"]:
            self.looks += 1
            self.before(self.looks)
            self.seconds += 1
        return info


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def build(steps, monkeypatch):
    """Starts a sandbox, and signs in to it; a call is answered at the second look, and over at the third."""
    monkeypatch.setattr(watching, "FIRST_POLL", 0.001)
    monkeypatch.setattr(watching, "LONGEST_POLL", 0.01)
    monkeypatch.setenv("EVOCALL_FLOW", "welcome")
    with contextlib.ExitStack() as open_:

        def start(**options):
            given = {"answer_after": 1, "talk_for": 1, "clock": steps, "reshape": steps.look, **options}
            sandbox = open_.enter_context(Sandbox(**given))
            sign_in(monkeypatch, sandbox.base_url, sandbox.manager.username, sandbox.manager.password)
            return sandbox

        yield start


def sign_in(monkeypatch, base_url, username="ops@example.com", password="correct horse"):
    """An environment that signs in there."""
    monkeypatch.setenv("EVOCALL_BASE_URL", base_url)
    monkeypatch.setenv("EVOCALL_USERNAME", username)
    monkeypatch.setenv("EVOCALL_PASSWORD", password)


@pytest.fixture
def journal(home):
    """The calls in the journal, oldest first."""

    def read():
        with Journal(home / "evocall" / "journal.db") as journal:
            return [record.call for record in journal.history.calls(Filter())][::-1]

    return read


@pytest.fixture
def wait(dial):
    """Dials and waits, and returns the exit code and the one JSON document on stdout."""
    return lambda *arguments: dial(*arguments, "--wait")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that stderr goes to, and what is seen on it."""

    class Terminal:
        def __init__(self):
            ours, theirs = pty.openpty()
            self.theirs, self._ours, self._seen, self._more = theirs, ours, "", threading.Condition()
            threading.Thread(target=self._read, daemon=True).start()

        def _read(self):
            with contextlib.suppress(OSError):  # the end of a pty on Linux
                while more := os.read(self._ours, 65536):
                    with self._more:
                        self._seen += more.decode()
                        self._more.notify_all()

        def shows(self, text):
            """Waits until it does."""
            with self._more:
                return self._more.wait_for(lambda: text in self.seen, 60)

        @property
        def seen(self):
            """All of it up to now, without colours."""
            return re.sub(r"\x1b\[[0-9;]*m", "", self._seen)

    monkeypatch.setenv("TERM", "xterm-256color")
    return Terminal()


def phases(err):
    """What plain lines told of a call's life."""
    lines = [line.removeprefix("evocall: ").partition(" after ")[0] for line in err.splitlines()]
    return [line for line in lines if line in {"ringing", "connected", "ended"}]


# exit codes


def test_0_the_call_was_answered(build, evocall):
    """The receipt, how it ended, and the session's log, on stdout; how it went on, on stderr."""
    sandbox = build()
    result = evocall("dial", NUMBER, "--wait")
    lines = result.out.splitlines()
    assert (result.code, len(sandbox.dials())) == (0, 1)
    assert [line.split("  ")[0] for line in lines[:6]] == ["placed", "flow", "from", "account", "session", "ended"]
    assert lines[5].split("  ", 1)[1].strip() == "answered, lasted 00:02   the service says: Answered"
    assert [re.sub(r"^(log)?\s+\d\d:\d\d:\d\dZ\s+", "", line) for line in lines[6:]] == [
        f"Dialing {NUMBER} from {sandbox.calls[0].caller_id}",
        "Answered by a person",
        "Running flow welcome",
        "Call ended: Answered",
    ]
    assert all(line.startswith("evocall: ") for line in result.err.splitlines())
    assert phases(result.err) == ["ringing", "connected", "ended"]


def test_0_a_machine_answered(build, evocall):
    """An answer too, and said to be a machine's."""
    build()
    result = evocall("dial", VOICEMAIL, "--wait")
    assert result.code == 0
    assert "answered by a machine, lasted 00:02   the service says: Voicemail" in result.out


@pytest.mark.parametrize(("number", "outcome"), [(BUSY, "Busy"), (NO_ANSWER, "No Answer"), (FAILED, "Failed")])
def test_12_the_call_ended_without_an_answer(build, evocall, number, outcome):
    """Busy, no answer, failed: the message says which."""
    sandbox = build()
    result = evocall("dial", number, "--wait")
    assert (result.code, len(sandbox.dials())) == (12, 1)
    assert f"not answered, lasted 00:01   the service says: {outcome}" in result.out
    assert f"evocall: the call to {number} ended without an answer ({outcome})." in result.err.splitlines()


def test_12_the_call_was_cancelled(build, wait, steps):
    """Somebody hung up at the service while it rang."""
    sandbox = build(answer_after=FOREVER)
    steps.before = lambda _: setattr(sandbox.calls[0], "hung_up_at", sandbox.calls[0].placed_at + 1)
    code, document = wait(NUMBER)
    assert (code, document["ending"]["answered"], document["ending"]["outcome"]) == (12, False, "Canceled")


@pytest.mark.parametrize(("answer_after", "phase"), [(FOREVER, "ringing"), (0, "connected")])
def test_13_the_time_was_up_and_the_call_goes_on(build, evocall, journal, steps, answer_after, phase):
    """The message says what to ask later, and by then the service knows."""
    sandbox = build(answer_after=answer_after, talk_for=FOREVER)
    result = evocall("dial", NUMBER, "--wait", "--wait-timeout", "0.1")
    [call], [kept] = sandbox.calls, journal()
    assert (result.code, call.hung_up_at, str(kept.ending.phase)) == (13, None, phase)
    assert "evocall: the call was placed, but its end was not seen: stopped waiting after 0.1 seconds.\n" in result.err
    assert result.err.endswith(f"hint: evocall show {kept.id} tells later how it ended.\n")
    call.hung_up_at = steps.seconds
    shown = evocall("show", kept.id)
    assert (shown.code, "Hung up" in shown.out) == (0, True)
    assert len(sandbox.dials()) == 1


def test_13_two_calls_at_once_cannot_be_told_apart(build, evocall):
    """The answer named none; the message names both."""
    sandbox = build(clock=time.time, reshape=None)
    sandbox.place_elsewhere(SILENT)
    result = evocall("dial", SILENT, "--wait")
    assert (result.code, len(sandbox.dials())) == (13, 1)
    assert [call.id in result.err for call in sandbox.calls] == [True, True]


def test_13_the_login_is_not_taken_any_more(evocall, monkeypatch, journal):
    """The call was placed, and that is said; it is not an error of the dial."""
    monkeypatch.setenv("EVOCALL_FLOW", "665f1c0000000000000000aa")
    with FaultServer(PLACED, answering(reply("401 Unauthorized"))) as server:
        sign_in(monkeypatch, server.base_url)
        result = evocall("dial", NUMBER, "--wait")
    assert (result.code, server.connections, len(server.posts)) == (13, 2, 1)
    assert "the call was placed, but its end was not seen" in result.err
    assert [call.outcome for call in journal()] == ["placed"]


def test_9_nobody_waits_for_a_call_that_may_not_exist(build, evocall, monkeypatch):
    """It is asked after once, and not followed."""
    sandbox = build()
    monkeypatch.setattr(settling, "PAUSES", ())
    result = evocall("dial", UNKNOWN, "--wait")
    assert (result.code, result.out, len(sandbox.dials())) == (9, "", 1)


def test_a_call_that_was_lost_and_found_is_waited_for(build, wait):
    """The answer was a 500; the session shows that the call was placed, and then how it ended."""
    sandbox = build()
    code, document = wait(FOUND)
    assert (code, document["outcome"], document["ending"]["answered"]) == (0, "placed", True)
    assert document["session_id"] == sandbox.calls[0].id
    assert "session" in document["settled"]
    assert len(sandbox.dials()) == 1


@pytest.mark.parametrize(("number", "code"), [("+18145550140", 11), ("+18145550141", 4), ("+18145550143", 6)])
def test_a_call_that_was_not_placed_is_not_waited_for(build, evocall, steps, number, code):
    sandbox = build()
    assert (evocall("dial", number, "--wait").code, len(sandbox.dials()), steps.looks) == (code, 1, 0)


# JSON, quiet, pipes and terminals


def test_the_document_has_the_keys_of_a_call_and_its_ending(build, evocall):
    """One document, at the end; the session's log is what `show` is for."""
    sandbox = build()
    result = evocall("dial", NUMBER, "--wait", "--json")
    document = json.loads(result.out)
    assert (result.code, list(document)) == (0, contract.CALL_KEYS)
    assert (document["outcome"], document["session_id"], document["error"]) == ("placed", sandbox.calls[0].id, None)
    assert document["response"]["id"] == sandbox.calls[0].id
    assert document["ending"] == {
        "phase": "ended",
        "answered": True,
        "machine": False,
        "outcome": "Answered",
        "seconds": 2.0,
    }


@pytest.mark.parametrize(
    ("number", "options", "life", "code", "name"),
    [
        (BUSY, (), {}, 12, "not_answered"),
        (NUMBER, ("--wait-timeout", "0.1"), {"answer_after": FOREVER}, 13, "still_running"),
    ],
)
def test_the_document_says_also_of_a_failure_that_the_call_was_placed(
    build, evocall, number, options, life, code, name
):
    """With the error, and as much of the ending as was seen."""
    sandbox = build(**life)
    result = evocall("dial", number, "--wait", "--json", *options)
    document = json.loads(result.out)
    assert (result.code, list(document)) == (code, contract.CALL_KEYS)
    assert (document["error"]["exit_code"], document["error"]["code"]) == (code, name)
    assert (document["outcome"], document["session_id"]) == ("placed", sandbox.calls[0].id)
    assert document["response"]["id"] == sandbox.calls[0].id
    assert document["ending"]["answered"] is (False if code == 12 else None)


def test_a_machine_is_told_apart_in_the_document(build, wait):
    build()
    code, document = wait(VOICEMAIL)
    assert (code, document["ending"]["answered"], document["ending"]["machine"]) == (0, True, True)


def test_quiet_says_nothing_of_a_call_that_was_answered(build, evocall):
    build()
    result = evocall("dial", NUMBER, "--wait", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_quiet_says_only_that_nobody_answered(build, evocall):
    build()
    result = evocall("dial", BUSY, "--wait", "--quiet")
    assert (result.code, result.out) == (12, "")
    assert result.err == f"evocall: the call to {BUSY} ended without an answer (Busy).\n"


def test_a_terminal_shows_one_line_that_counts(build, evocall, terminal, steps, monkeypatch):
    """And nothing of it on stdout, or left behind when it is over."""
    build()
    expected = {2: "ringing 00:0", 3: "connected 00:0"}
    steps.before = lambda looks: looks not in expected or terminal.shows(expected[looks])
    with os.fdopen(terminal.theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        result = evocall("dial", NUMBER, "--wait")
        assert terminal.shows("\x1b[?25h")
    assert (result.code, "\x1b" in result.out) == (0, False)
    assert "answered, lasted 00:02" in result.out
    shown = terminal.seen
    assert shown.index("ringing 00:0") < shown.index("connected 00:0")
    assert (shown.count("\n"), shown.count("\x1b[?25l")) == (shown.count("\r\n"), 1)
    assert shown.rindex("\x1b[2K") > shown.rindex("connected 00:0")


def test_quiet_shows_nothing_on_a_terminal_either(build, evocall, terminal, monkeypatch):
    build()
    with os.fdopen(terminal.theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        result = evocall("dial", NUMBER, "--wait", "--quiet")
        stderr.write("end")
        stderr.flush()
        assert terminal.shows("end")
    assert (result.code, result.out, terminal.seen) == (0, "", "end")


def test_a_terminal_that_can_do_nothing_gets_plain_lines(build, evocall, terminal, monkeypatch):
    """As an editor's window does."""
    monkeypatch.setenv("TERM", "dumb")
    build()
    with os.fdopen(terminal.theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert evocall("dial", NUMBER, "--wait").code == 0
        assert terminal.shows("evocall: ended after 00:02\r\n")
    assert phases(terminal.seen.replace("\r", "")) == ["ringing", "connected", "ended"]


def test_what_is_said_above_the_line_that_counts_moves_no_cursor(terminal, monkeypatch):
    """A proxy's own words may stand in it; markup stays as it is."""
    with os.fdopen(terminal.theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with Screen().life() as life:
            life.note("\x1b[2J\u202e[bold]x[/]")
        assert terminal.shows("\x1b[?25h")
    assert "\\x1b[2J\\u202e[bold]x[/]" in terminal.seen


def test_a_log_moves_no_cursor(build, evocall, steps):
    """What a flow writes into it is text from outside."""
    hostile = {"date": None, "message": "\x1b[2J\u202e[bold]x[/]"}
    build(reshape=lambda info: steps.look(info) | {"log": [hostile], "outcome": "\x1b]0;title\x07"})
    result = evocall("dial", NUMBER, "--wait")
    assert result.code in {0, 12}
    assert all(line.isprintable() for line in (result.out + result.err).split("\n"))
    assert "\\x1b[2J\\u202e[bold]x[/]" in result.out


# finding the call, and losing the service


def test_an_answer_without_an_id_is_followed_by_number_and_time(build, wait, journal, evocall):
    """The journal knows the session afterwards."""
    sandbox = build()
    code, document = wait(SILENT)
    assert (code, document["http_status"], document["session_id"]) == (0, 204, sandbox.calls[0].id)
    assert [call.session_id for call in journal()] == [sandbox.calls[0].id]
    assert sandbox.calls[0].id in evocall("history", "--json").out


def test_a_lost_connection_is_said_and_survived(evocall, monkeypatch):
    """Nothing is dialled again, and nobody reads that no call was placed."""
    monkeypatch.setattr(watching, "FIRST_POLL", 0.001)
    monkeypatch.setenv("EVOCALL_FLOW", "665f1c0000000000000000aa")
    later = answering(reply("503 Service Unavailable", b"", "Retry-After: 0"))
    trouble = resetting, answering(reply("500 Oops")), later
    with FaultServer(PLACED, *trouble, answering(reply("200 OK", ENDED))) as server:
        sign_in(monkeypatch, server.base_url)
        result = evocall("dial", NUMBER, "--wait")
    assert (result.code, len(server.posts)) == (0, 1)
    assert result.err.count("The call is not touched by that; asking again.") == 1
    assert "no call was placed" not in result.err


def test_a_service_that_is_not_available_for_a_moment_does_not_deny_the_call(evocall, monkeypatch):
    """What its 503 means for a dial is not what it means for a look."""
    monkeypatch.setattr(watching, "FIRST_POLL", 0.001)
    monkeypatch.setenv("EVOCALL_FLOW", "665f1c0000000000000000aa")
    later = answering(reply("503 Service Unavailable", b"", "Retry-After: 0"))
    with FaultServer(PLACED, later, answering(reply("200 OK", ENDED))) as server:
        sign_in(monkeypatch, server.base_url)
        result = evocall("dial", NUMBER, "--wait")
    assert (result.code, len(server.posts)) == (0, 1)
    assert "503" in result.err
    assert "no call was placed" not in result.err


# a call that was placed before


@pytest.mark.parametrize(("number", "code"), [(NUMBER, 0), (BUSY, 12)])
def test_a_call_that_its_key_stands_for_is_waited_for_without_another_one(build, wait, evocall, number, code):
    """However often."""
    sandbox = build()
    assert evocall("dial", number, "--once", "k").code == 0
    results = [wait(number, "--once", "k") for _ in range(2)]
    assert [left for left, _ in results] == [code, code]
    assert [document["outcome"] for _, document in results] == ["already_placed"] * 2
    assert results[0][1]["ending"] == results[1][1]["ending"]
    assert len(sandbox.dials()) == 1


@pytest.mark.parametrize("number", [NUMBER, SILENT])
def test_a_call_of_last_month_is_found_in_the_archive(build, wait, evocall, steps, home, number):
    """By its ID or, when the answer had none, by number and time."""
    sandbox = build(archive_after=15 * DAY)
    evocall("dial", number, "--once", "k")
    sandbox.calls[0].placed_at -= 30 * DAY
    sandbox.calls[0].answered_at -= 30 * DAY
    sandbox.calls[0].ends_at -= 30 * DAY
    with contextlib.closing(sqlite3.connect(home / "evocall" / "journal.db")) as connection, connection:
        ago = timedelta(days=30) // timedelta(milliseconds=1)
        connection.execute("UPDATE calls SET requested_at = requested_at - ?", (ago,))
    code, document = wait(number, "--once", "k")
    assert (code, document["outcome"], document["session_id"]) == (0, "already_placed", sandbox.calls[0].id)
    assert document["ending"]["seconds"] == pytest.approx(2.0, abs=0.1)
    assert len(sandbox.dials()) == 1


def test_a_call_that_still_talks_is_waited_for_later_with_its_key(build, wait, steps):
    """The first time nobody waits long enough; the second time it has ended."""
    sandbox = build(talk_for=FOREVER)
    assert wait(NUMBER, "--once", "k", "--wait-timeout", "0.1")[0] == 13
    [call] = sandbox.calls
    call.hung_up_at = call.placed_at + 3600
    steps.seconds = call.hung_up_at
    code, document = wait(NUMBER, "--once", "k")
    assert (code, document["outcome"], document["ending"]["seconds"]) == (0, "already_placed", 3600.0)
    assert len(sandbox.dials()) == 1


# options


@pytest.mark.parametrize(
    "arguments",
    [
        (NUMBER, "--wait-timeout", "5"),
        (NUMBER, "--wait", "--wait-timeout", "0"),
        (NUMBER, "--wait", "--wait-timeout", "-1"),
        (NUMBER, "--wait", "--wait-timeout", "nan"),
        (NUMBER, "--wait", "--wait-timeout", "soon"),
        (NUMBER, BUSY, "--wait"),
        ("+1814", "--wait"),
    ],
)
def test_2_what_cannot_be_meant_dials_nothing(build, evocall, arguments):
    """And the document says so as for every call."""
    sandbox = build()
    result = evocall("dial", *arguments, "--json")
    document = json.loads(result.out)
    assert (result.code, document["outcome"], sandbox.requests) == (2, "not_placed", [])
    assert list(document) == contract.CALL_KEYS


def test_a_rehearsal_without_a_request_is_not_waited_for(build, evocall):
    """`--dry-run` comes first."""
    sandbox = build()
    result = evocall("dial", NUMBER, "--wait", "--dry-run", "--json")
    assert (result.code, json.loads(result.out)["outcome"], sandbox.dials()) == (0, "dry_run", [])


@pytest.fixture
def rehearsals(build, steps, monkeypatch):
    """`--sandbox` with a quick life."""
    build()

    def sandbox(answer_after=1):
        quick = functools.partial(Sandbox, clock=steps, reshape=steps.look, answer_after=answer_after, talk_for=1)
        monkeypatch.setattr("evocall.sandbox.Sandbox", quick)

    return sandbox


@pytest.mark.parametrize(("number", "code"), [(NUMBER, 0), (SILENT, 0), (VOICEMAIL, 0), (BUSY, 12), (FAILED, 12)])
def test_a_script_can_rehearse_the_exit_codes_in_the_sandbox(rehearsals, evocall, number, code):
    """Without an account, as the dial itself."""
    rehearsals()
    assert evocall("dial", number, "--sandbox", "--wait").code == code


@pytest.mark.parametrize(("number", "code"), [(NUMBER, 0), (BUSY, 12)])
def test_a_rehearsal_with_a_key_that_is_used_up_ends_as_the_first(rehearsals, evocall, number, code):
    """Its sandbox has gone, but the journal knows how the call ended."""
    rehearsals()
    command = ("dial", number, "--once", "k", "--wait", "--sandbox", "--wait-timeout", "5")
    first, second = evocall(*command), evocall(*command)
    assert (first.code, second.code) == (code, code)
    ended = [line for line in first.out.splitlines() if line.startswith("ended")]
    assert [line for line in second.out.splitlines() if line.startswith("ended")] == ended != []


def test_of_a_rehearsal_that_took_too_long_nothing_can_be_asked_later(rehearsals, evocall):
    """Its sandbox ends with the command, so no hint leads there."""
    rehearsals(answer_after=FOREVER)
    result = evocall("dial", NUMBER, "--sandbox", "--wait", "--wait-timeout", "0.1")
    assert (result.code, "hint:" in result.err) == (13, False)


# Ctrl-C and SIGTERM


@both_signals
def test_130_interrupted_between_two_looks(build, journal, number):
    """The call goes on, and both streams and the journal say that it was placed."""
    sandbox = build(answer_after=FOREVER)
    with processes.running("dial", NUMBER, "--wait", "--json") as process:
        assert process.stderr.readline() == "evocall: ringing\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    document = json.loads(out)
    assert (process.returncode, document["outcome"], document["session_id"]) == (130, "placed", sandbox.calls[0].id)
    assert document["error"]["code"] == "interrupted"
    [call] = journal()
    assert err.splitlines() == [
        "evocall: interrupted after the call was placed.",
        f"  number   {NUMBER}",
        f"hint: evocall show {call.id} tells what is known of it.",
    ]
    assert (call.outcome, len(sandbox.dials())) == ("placed", 1)
    assert sandbox.calls[0].hung_up_at is None


@both_signals
def test_130_interrupted_while_the_service_is_asked(monkeypatch, journal, number):
    """Nothing is waited for any more, and nothing of the call is denied."""
    asked = threading.Event()

    def never_answering(visit):
        visit.peek()
        asked.set()
        silent(visit)

    monkeypatch.setenv("EVOCALL_FLOW", "665f1c0000000000000000aa")
    with FaultServer(PLACED, never_answering) as server:
        sign_in(monkeypatch, server.base_url)
        with processes.running("dial", NUMBER, "--wait", "--json") as process:
            assert asked.wait(20)
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
    document = json.loads(out)
    assert (process.returncode, document["outcome"], document["session_id"]) == (130, "placed", "s1")
    assert err.startswith("evocall: interrupted after the call was placed.\n")
    assert ([call.outcome for call in journal()], len(server.posts)) == (["placed"], 1)


def test_130_a_terminal_gets_its_cursor_back(build, terminal):
    """The line that counted is gone, and what is said stands where it was."""
    build(answer_after=FOREVER)
    command = [sys.executable, "-m", "evocall", "dial", NUMBER, "--wait"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal.theirs) as process:
        assert terminal.shows("ringing 00:0")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
    os.close(terminal.theirs)
    assert terminal.shows("tells what is known of it.")
    shown = terminal.seen
    assert shown.index("\x1b[?25l") < shown.index("\x1b[?25h") < shown.index("interrupted after the call was placed.")
