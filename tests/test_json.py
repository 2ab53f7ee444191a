"""docs/json.md names every key that a command prints with --json, and no other."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

from evocall.sandbox import Sandbox
from evocall.settings import PROFILE_KEYS

PAGE = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
LEAVES = {"response", "error", "ending", "request", "then", "tried", "errors", "session"}  # told elsewhere, or not ours
SECTIONS = {
    title: re.findall(r"^\| `(\S+)` \|", body, re.MULTILINE)
    for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
CALL = SECTIONS["A call"]
ANSWERED, BUSY, REJECTED, LOST = "+18145550100", "+18145550111", "+18145550140", "+18145550161"


def keys(*documents):
    """All keys in them, each once, those of what is inside in the way of the page: `checks[].name`."""
    found = {}
    for document in documents:
        for key, value in document.items():
            found[key] = None
            if key not in LEAVES:
                found.update(inner(key, value))
    return list(found)


def inner(key, value):
    if isinstance(value, dict):
        return {f"{key}.{name}": None for name in keys(value)}
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    return {f"{key}[].{name}": None for name in keys(*entries)}


@pytest.fixture
def printed(evocall, signed_in):
    """The document of a command."""

    def run(*arguments):
        return json.loads(evocall(*arguments, "--json").out)

    return run


@pytest.fixture
def hurried(monkeypatch):
    """Calls of `--sandbox` that last no longer than they must."""
    monkeypatch.setattr("evocall.sandbox.Sandbox", partial(Sandbox, answer_after=0.1, talk_for=0.1))


@pytest.fixture
def in_turn(printed, hurried):
    """Rings a number where nobody answers, and then another."""
    return lambda *options: printed("dial", BUSY, ANSWERED, "--until-answered", "--sandbox", *options)


def test_every_command_with_json_has_a_section():
    reference = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    commands = re.findall(r"^#+ `evocall ([a-z ]+)`\n(.*?)(?=^#+ `|\Z)", reference, re.MULTILINE | re.DOTALL)
    with_json = {name for name, text in commands if "* `--json`" in text}
    assert with_json - {"profile show"} == set(SECTIONS) - {"A call", "An error", "An ending"}


def test_a_call(printed):
    assert CALL == keys(printed("dial", ANSWERED))


def test_an_error(printed):
    assert SECTIONS["An error"] == keys(printed("dial", REJECTED)["error"])


def test_a_failure_without_a_result(printed):
    assert ["schema", "error"] == keys(printed("history", "--outcome", "none"))
    assert set(CALL) == set(keys(printed("dial", "hello")))


def test_an_ending(printed, hurried):
    assert SECTIONS["An ending"] == keys(printed("dial", ANSWERED, "--wait", "--sandbox")["ending"])


def test_dial(in_turn):
    rehearsed, rung = in_turn("--dry-run"), in_turn()
    assert CALL + SECTIONS["dial"] == keys(rehearsed, rung)
    assert (len(rehearsed["then"]), len(rung["tried"])) == (1, 1)
    assert CALL == keys(*rung["tried"])
    assert [*CALL, "request"] == keys(*rehearsed["then"])


@pytest.mark.parametrize("options", [("--yes",), ("--dry-run",)])
def test_batch(printed, tmp_path, options):
    """Also of one that did not place all rows."""
    rows = tmp_path / "rows.csv"
    for number in (ANSWERED, REJECTED):
        rows.write_text(f"number\n{number}\n", encoding="utf-8")
        document = printed("batch", str(rows), "--campaign", number, "--flow", "welcome", *options)
        assert SECTIONS["batch"] == keys(document)


def test_check(printed):
    for entry in printed("check", ANSWERED, "hello", "911"):
        assert SECTIONS["check"] == keys(entry)


@pytest.mark.parametrize("command", ["flows", "numbers"])
def test_what_the_account_has(printed, command):
    found = printed(command)
    assert found
    assert SECTIONS[command] == keys(*found)


def test_history(printed):
    printed("dial", ANSWERED)
    assert (CALL, []) == (keys(*printed("history")), SECTIONS["history"])


def test_show(printed, signed_in):
    printed("dial", ANSWERED)
    ours, other = printed("show", "0001"), printed("show", signed_in.place_elsewhere(BUSY).id)
    assert CALL + SECTIONS["show"] == keys(ours) == keys(other)
    assert {"outcome", "session_id", "session", "schema"} == {key for key, value in other.items() if value is not None}


def test_reconcile(printed):
    printed("dial", LOST)
    [found] = printed("reconcile")
    assert CALL + SECTIONS["reconcile"] == keys(found)


def test_hangup(printed):
    printed("dial", ANSWERED)
    assert SECTIONS["hangup"] == keys(printed("hangup", "0001"))


def test_whoami(printed):
    assert SECTIONS["whoami"] == keys(printed("whoami"))


def test_doctor(printed):
    assert SECTIONS["doctor"] == keys(printed("doctor"))


def test_profiles(printed, config):
    config("[profiles.default]\n")
    assert SECTIONS["profile list"] == keys(*printed("profile", "list"))
    assert {"name", *PROFILE_KEYS} == set(printed("profile", "show"))
