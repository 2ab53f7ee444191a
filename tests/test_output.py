"""What reaches the screen: text from outside as data, receipts, and JSON that no terminal can stumble over."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evocall import output, phone
from evocall.errors import FieldError, OutcomeUnknown, Rejected
from evocall.model import Call, Flow, Number, NumberClass, Outcome, Plan, Profile
from evocall.output import Screen

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
PROFILE = Profile("production", username="ops@example.com")
PLAN = Plan(phone.read("+18144043093"), Flow("665f1c0000000000000000aa", "alert"), None, PROFILE)
PLACED = Call(Outcome.PLACED, "+18144043093", "665f1c0000000000000000aa", session_id="6743a0b1", id="7K3Q")
HOSTILE = "\x1b[2J\x1b]0;title\x07\u202e\u2066[bold red]words[/]\r\n\x9b1m"


def number_in(*zones, country="US"):
    """A number with these time zones."""
    return Number("", "+18005550100", "+1 800-555-0100", "", country, NumberClass.TOLL_FREE, zones)


@pytest.fixture
def on_a_terminal(home):
    """What a command line writes to a terminal."""

    def run(*arguments, **environ):
        ours, theirs = pty.openpty()
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", "COLUMNS": "200", **environ}
        with subprocess.Popen([sys.executable, "-m", "evocall", *arguments], stdout=theirs, stderr=theirs, env=environ):
            os.close(theirs)
            seen = b""
            try:
                while more := os.read(ours, 65536):
                    seen += more
            except OSError:  # the end of a pty on Linux
                pass
        os.close(ours)
        return seen.decode()

    return run


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü € 漢字 🔑", "plain ü € 漢字 🔑"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten", "over\\rwritten"),
        ("two\nlines", "two lines"),
        ("\u202eesrever", "\\u202eesrever"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\x00\x07\x7f\t", "\\x00\\x07\\x7f\\t"),
        ("\udc80", "\\udc80"),
        ("[bold]markup[/]", "[bold]markup[/]"),
    ],
)
def test_text_from_outside_is_shown_and_not_obeyed(text, shown):
    assert output.clean(text) == shown


@settings(database=None, deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
def test_clean_text_is_printable_and_can_be_written(text):
    """On any terminal, and whatever came in."""
    cleaned = output.clean(text)
    assert cleaned.isprintable()
    assert cleaned.encode().decode() == cleaned


def test_nothing_that_the_service_says_moves_the_cursor(capsys):
    """Neither its words nor the names of its fields."""
    error = Rejected("refused", hint=HOSTILE, said=HOSTILE, fields=[FieldError(HOSTILE, HOSTILE)])
    Screen().failure(error, calling=True)
    shown = capsys.readouterr().err
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("[bold red]words[/]") == 4


def test_nothing_in_a_table_a_note_or_a_list_moves_the_cursor(capsys):
    """Names of flows and numbers are other people's text as well; markup stays as it is."""
    screen = Screen()
    screen.table(["name"], [[HOSTILE]])
    screen.note(HOSTILE)
    screen.lines([("name", HOSTILE), (HOSTILE, "value")])
    captured = capsys.readouterr()
    for shown in (captured.out, captured.err):
        assert all(line.isprintable() for line in shown.split("\n"))
    assert captured.out.count("[bold red]words[/]") == 3
    assert captured.err.count("[bold red]words[/]") == 1


def test_markup_is_shown_on_a_terminal_too(on_a_terminal):
    """Where colour is drawn by a library that has a markup of its own."""
    shown = on_a_terminal("dial", "+18145550100", "--flow", "[bold red]x[/]:boom: http://a.b", "--sandbox", "--dry-run")
    assert "\x1b[" in shown
    assert "[bold red]x[/]:boom: http://a.b" in shown
    assert "[bold red]hello[/]" in on_a_terminal("check", "[bold red]hello[/]")


def test_a_terminal_gets_colour_unless_told_otherwise(on_a_terminal):
    """NO_COLOR and a dumb terminal: no escape sequence at all in a receipt or an error."""
    dial = ("dial", "+18145550100", "--flow", "x", "--sandbox", "--dry-run")
    assert "\x1b[" in on_a_terminal(*dial)
    assert "\x1b[" in on_a_terminal("dial", "hello", "--flow", "x")
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_a_terminal(*dial, **environ)
        assert "\x1b" not in on_a_terminal("dial", "hello", "--flow", "x", **environ)


def test_a_pipe_gets_neither_colour_nor_folded_lines(spawn):
    """Whatever the terminal behind it is; a long cell is one line for grep."""
    name = "x" * 300
    done = spawn("check", name, env={"TERM": "xterm-256color", "COLUMNS": "40", "COLORTERM": "truecolor"})
    assert "\x1b" not in done.stdout
    assert name in done.stdout


def test_a_receipt_says_whom_by_what_and_from_where():
    """Outcome, number and clock; flow; caller ID; account."""
    lines = dict(output.receipt(PLACED, PLAN, "ops@example.com"))
    assert list(lines) == ["placed", "flow", "from", "account", "session"]
    assert lines["placed"].startswith("+1 814-404-3093   US, ")
    assert lines["placed"].endswith(" there (New York)")
    assert lines["flow"] == "alert  665f1c0000000000000000aa"
    assert lines["from"] == "picked by the service"
    assert lines["account"] == "production  ops@example.com at evovoice.io"
    assert lines["session"].split() == ["6743a0b1", "evocall", "show", "7K3Q"]


@pytest.mark.parametrize(
    ("call", "session"),
    [
        (replace(PLACED, profile="sandbox"), "6743a0b1   evocall show 7K3Q --sandbox"),
        (replace(PLACED, session_id=None), "not told by the service   evocall show 7K3Q"),
        (replace(PLACED, id=None), "6743a0b1"),
    ],
)
def test_a_receipt_names_the_command_that_shows_the_call(call, session):
    """Where the call is on record; that of a rehearsal is in a journal of its own."""
    assert dict(output.receipt(call, PLAN, None))["session"] == session


def test_a_receipt_says_when_the_answer_did_not_tell_that_the_call_was_placed():
    lines = dict(output.receipt(replace(PLACED, settled="the service shows it"), PLAN, None))
    assert lines["settled"] == "the answer did not tell, but the service shows it"


def test_a_receipt_names_the_caller_id_that_was_asked_for():
    plan = Plan(PLAN.number, Flow("Night shift"), phone.read("+18145550190"), Profile("a", "https://b.example:8443"))
    lines = dict(output.receipt(PLACED, plan, None))
    assert lines["from"] == "+1 814-555-0190"
    assert lines["flow"] == "Night shift"
    assert lines["account"] == "a  no login at b.example:8443"


def test_a_rehearsal_shows_the_request():
    """The one that would be sent, in full, and no session."""
    lines = dict(output.receipt(Call(Outcome.DRY_RUN), PLAN, None))
    assert "session" not in lines
    assert next(iter(lines)) == "dry run"
    method, address, body = lines["request"].split(" ", 2)
    assert (method, address) == ("POST", "https://evovoice.io/sessions/outgoing")
    assert json.loads(body) == {"flowId": "665f1c0000000000000000aa", "numberToDial": "+18144043093"}


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (number_in("America/New_York"), "US, 07:00 there (New York)"),
        (number_in("America/Argentina/Buenos_Aires", country="AR"), "AR, 09:00 there (Buenos Aires)"),
        (number_in("America/New_York", "America/Detroit"), "US, 07:00 there (2 zones)"),
        (number_in("America/New_York", "America/Los_Angeles"), "US, 04:00 to 07:00 there (2 zones)"),
        (number_in("America/Los_Angeles", "America/Chicago", "America/New_York"), "US, 04:00 to 07:00 there (3 zones)"),
        (number_in("Asia/Kolkata", country="IN"), "IN, 17:30 there (Kolkata)"),
        (number_in(), "US, local time not known"),
        (number_in("Mars/Olympus"), "US, local time not known"),
        (number_in("Asia/Tokyo", country=None), "+1, no country, 21:00 there (Tokyo)"),
    ],
)
def test_the_clock_where_the_callee_is(number, shown):
    """Over several zones its span, from the earliest to the latest."""
    assert output.place_and_time(number, NOON) == shown


def test_the_span_of_a_clock_over_midnight_begins_in_the_evening():
    number = number_in("America/Los_Angeles", "America/New_York")
    assert output.place_and_time(number, NOON.replace(hour=6)) == "US, 22:00 to 01:00 there (2 zones)"


def test_a_moment_is_written_in_utc_with_milliseconds():
    assert output.utc(NOON) == "2026-11-23T12:00:00.123Z"


@settings(database=None, deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
def test_json_is_pure_ascii_and_means_the_same(text):
    """Umlauts, emoji, control characters and halves of characters survive every pipe and terminal."""
    with contextlib.redirect_stdout(io.StringIO()) as written:
        Screen(as_json=True).document({"text": text})
    assert written.getvalue().replace("\n", "").isascii()
    assert written.getvalue().replace("\n", "").isprintable()
    assert json.loads(written.getvalue()) == {"text": text}


@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_is_on_stderr_and_its_document_on_stdout(capsys, as_json):
    """With the service's own words and fields, and the hint last."""
    error = Rejected("The service refused it.", hint="Look.", said="Nope", fields=[FieldError("callerId", "not owned")])
    Screen(as_json=as_json).failure(error, calling=False)
    captured = capsys.readouterr()
    first, *rest = captured.err.splitlines()
    assert first == "evocall: The service refused it."
    assert [line.split() for line in rest] == [
        ["what", "it", "said", "Nope"],
        ["callerId", "not", "owned"],
        ["hint:", "Look."],
    ]
    assert (json.loads(captured.out) if as_json else captured.out) == (
        {
            "schema": 1,
            "error": {
                "code": "rejected",
                "exit_code": 11,
                "message": "The service refused it.",
                "hint": "Look.",
                "fields": [{"field": "callerId", "message": "not owned"}],
            },
        }
        if as_json
        else ""
    )


def test_a_call_that_was_never_made_has_the_keys_of_a_call(capsys):
    """A script reads `outcome` first, whatever went wrong."""
    Screen(as_json=True).failure(Rejected("no"), calling=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["outcome"], document["error"]["code"]) == ("not_placed", "rejected")
    assert document["number"] is None


def test_an_unknown_outcome_is_the_first_word(capsys):
    error = OutcomeUnknown("the service answered 500, so the call may have been placed.")
    error.call = Call(Outcome.UNKNOWN, "+18145550151")
    Screen().failure(error, calling=True)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "evocall: unknown: the service answered 500, so the call may have been placed."
    assert second.split() == ["number", "+18145550151"]


def test_quiet_prints_errors_only(capsys):
    screen = Screen(quiet=True)
    screen.call(PLACED, PLAN, None)
    screen.lines([("a", "b")])
    screen.table(["a"], [["b"]])
    screen.note("by the way")
    assert capsys.readouterr() == ("", "")
    screen.failure(Rejected("no"), calling=True)
    assert capsys.readouterr() == ("", "evocall: no\n")


def test_a_reader_that_has_gone_away_does_not_turn_success_into_failure(home):
    """`evocall dial ... | head -0` has placed the call all the same."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "evocall", "dial", "+18145550100", "--sandbox"],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
