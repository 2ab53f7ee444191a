"""What reaches the screen: text from outside as data, and JSON that no terminal can stumble over."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evocall import output, phone
from evocall.errors import FieldError, OutcomeUnknown, Rejected
from evocall.model import Call, Flow, Outcome, Plan, Profile
from evocall.output import Screen

HOSTILE = "\x1b[2J\x1b]0;title\x07\u202e\u2066[bold red]words[/]\r\n\x9b1m"


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
    screen.call(Call(Outcome.PLACED), Plan(phone.read("+18144043093"), Flow("alert"), None, Profile("a")), None)
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
