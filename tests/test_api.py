"""`from evocall import EvoVoice`: the command line's guarantees for programs."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import evocall as package
from evocall import (
    Call,
    EvocallError,
    EvoVoice,
    NotFound,
    Outcome,
    OutcomeUnknown,
    Phase,
    Refused,
    StillRunning,
    UsageError,
)
from evocall.records import LONGEST_RESPONSE
from evocall.sandbox import Sandbox


@pytest.fixture
def evo(signed_in):
    with EvoVoice() as opened:
        yield opened


@pytest.fixture
def quick(monkeypatch):
    """Signs in to a sandbox whose calls are soon over; `sandbox` are more of its options."""
    with contextlib.ExitStack() as running:

        def start(**sandbox):
            server = running.enter_context(Sandbox(answer_after=0.05, talk_for=0.05, **sandbox))
            monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
            monkeypatch.setenv("EVOCALL_USERNAME", server.manager.username)
            monkeypatch.setenv("EVOCALL_PASSWORD", server.manager.password)
            return server

        yield start


def test_a_call_is_placed_and_remembered(evo, signed_in):
    call = evo.place("+1 (814) 555-0100", flow="welcome")
    assert (call.outcome, call.number, call.flow) == (Outcome.PLACED, "+18145550100", signed_in.flows[0].id)
    assert [earlier.id for earlier in evo.history()] == [call.id]


def test_a_key_is_used_up_for_program_and_command_line(evo, evocall, signed_in):
    placed = evo.place("+18145550100", flow="welcome", once="disk")
    result = evocall("dial", "+18145550100", "--flow", "welcome", "--once", "disk", "--json")
    assert (result.code, json.loads(result.out)["outcome"]) == (0, "already_placed")
    assert evo.place("+18145550100", flow="welcome", once="disk").session_id == placed.session_id
    assert len(signed_in.dials()) == 1


def test_nobody_is_asked_for_the_flow_of_a_key_that_is_used_up(evo, signed_in):
    """It may have been renamed since."""
    placed = evo.place("+18145550100", flow="welcome", once="disk")
    before = len(signed_in.requests)
    again = evo.place("+18145550100", flow="gone", once="disk")
    assert (again.outcome, again.session_id) == (Outcome.ALREADY_PLACED, placed.session_id)
    assert len(signed_in.requests) == before


def test_a_flow_that_is_not_found_is_raised_with_its_call(evo):
    with pytest.raises(NotFound) as raised:
        evo.place("+18145550100", flow="gone", once="disk")
    assert (raised.value.call.number, raised.value.call.outcome) == ("+18145550100", Outcome.NOT_PLACED)


def test_an_unknown_outcome_is_raised_with_its_call(evo, signed_in):
    with pytest.raises(OutcomeUnknown) as raised:
        evo.place("+18145550150", flow="welcome")
    assert raised.value.call.outcome is Outcome.UNKNOWN
    assert [call.number for call in evo.history(outcome=Outcome.UNKNOWN)] == ["+18145550150"]
    assert len(signed_in.dials()) == 1


def test_a_lost_answer_is_settled(evo, signed_in):
    call = evo.place("+18145550160", flow="welcome")
    assert call.outcome is Outcome.PLACED
    assert call.settled
    assert len(signed_in.dials()) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"number": "+1814"}, UsageError),
        ({"number": "+18145550100", "flow": "no such"}, NotFound),
        ({"number": "+19005550100"}, Refused),
        ({"number": "+18145550100", "once": " "}, UsageError),
    ],
)
def test_what_may_not_be_dialled_is_not(evo, signed_in, arguments, error):
    with pytest.raises(error):
        evo.place(**{"flow": "welcome", **arguments})
    assert signed_in.dials() == []


def test_a_number_that_was_checked_is_a_number_like_any_other(evo):
    """Shown, compared and changed as what it says it is."""
    number = evo.check("+1 (814) 555-0100")
    assert repr(number).startswith("Number(typed='+1 (814) 555-0100', e164='+18145550100', international='+1 814-555")
    assert replace(number, typed="") == replace(evo.check("+18145550100"), typed="")


def test_guards_of_the_profile_hold(config, signed_in):
    config('[profiles.default.guard]\ncountries = ["US"]\n')
    with EvoVoice() as evo, pytest.raises(Refused):
        evo.check("+448081570000")


def test_a_call_is_followed_to_its_end(quick):
    """What comes back is a call like the one that was placed, with its ending."""
    quick()
    with EvoVoice() as evo:
        placed = evo.place("+18145550111", flow="welcome")
        call = evo.follow(placed)
        assert (call.ending.phase, call.ending.answered, call.ending.outcome) == (Phase.ENDED, False, "Busy")
        assert next(evo.history()).ending == call.ending
    assert isinstance(call, Call)
    assert (call.id, call.number, call.requested_at) == (placed.id, placed.number, placed.requested_at)


def test_a_call_that_was_placed_before_stays_so_when_it_is_followed(quick):
    quick()
    with EvoVoice() as evo:
        evo.place("+18145550111", flow="welcome", once="disk")
        call = evo.follow(evo.place("+18145550111", flow="welcome", once="disk"))
    assert (call.outcome, call.ending.outcome) == (Outcome.ALREADY_PLACED, "Busy")


def test_a_call_that_is_followed_keeps_all_of_its_response(quick):
    """The journal keeps only so much of it."""
    quick(reshape=lambda info: {**info, "more": "x" * LONGEST_RESPONSE})
    with EvoVoice() as evo:
        placed = evo.place("+18145550111", flow="welcome")
        followed = evo.follow(placed)
    assert len(placed.response["more"]) == LONGEST_RESPONSE
    assert followed.response == placed.response


def test_a_call_that_still_runs_says_how_it_came_to_be(evo):
    """Also in the error."""
    evo.place("+18145550100", flow="welcome", once="disk")
    with pytest.raises(StillRunning) as raised:
        evo.follow(evo.place("+18145550100", flow="welcome", once="disk"), timeout=0.01)
    assert raised.value.call.outcome is Outcome.ALREADY_PLACED


def test_the_history_of_a_number_is_asked_for_as_it_is_dialled(signed_in):
    """In the national format of the region."""
    with EvoVoice(region="US") as evo:
        placed = evo.place("(814) 555-0100", flow="welcome")
        evo.place("(814) 555-0101", flow="welcome")
        assert [call.id for call in evo.history(number="(814) 555-0100")] == [placed.id]


def test_the_history_takes_an_outcome_by_its_word(evo):
    placed = evo.place("+18145550100", flow="welcome")
    with contextlib.suppress(OutcomeUnknown):
        evo.place("+18145550150", flow="welcome")
    assert [call.id for call in evo.history(outcome="placed")] == [placed.id]
    assert [call.number for call in evo.history(outcome="unknown")] == ["+18145550150"]


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ({"outcome": "answered"}, "outcome was given 'answered'", "placed, not_placed, unknown"),
        ({"limit": -1}, "limit was given -1", "None"),
    ],
)
def test_a_history_that_cannot_be_meant_is_refused_with_help(evo, wanted, message, hint):
    with pytest.raises(UsageError) as raised:
        evo.history(**wanted)
    assert message in str(raised.value)
    assert hint in raised.value.hint


def test_a_history_of_no_calls_is_empty(evo):
    evo.place("+18145550100", flow="welcome")
    assert list(evo.history(limit=0)) == []


def test_one_class_of_numbers_is_not_taken_for_its_letters(signed_in):
    """A string is a sequence too."""
    with pytest.raises(UsageError) as raised:
        EvoVoice(allow="premium")
    assert "allow was given 'premium'" in str(raised.value)
    assert "['premium']" in raised.value.hint


def test_what_was_opened_is_closed(home):
    """The journal's file, the connections to the service, and the sandbox within the process."""
    opened = EvoVoice(sandbox=True)
    call = opened.place("+18145550100")
    where = urlsplit(call.base_url)
    assert journals_open(home) != []
    opened.close()
    assert journals_open(home) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((where.hostname, where.port))


def journals_open(home):
    """The files below home that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.append(descriptor.readlink())
    return [file for file in found if file.is_relative_to(home)]


def test_following_ends_when_time_is_up(evo):
    with pytest.raises(StillRunning) as raised:
        evo.follow(evo.place("+18145550100", flow="welcome"), timeout=0.01)
    assert raised.value.call.ending.phase is Phase.RINGING


def test_the_sandbox_needs_nothing():
    with EvoVoice(sandbox=True) as evo:
        assert evo.place("+18145550100").outcome is Outcome.PLACED


def test_it_works_in_a_thread_and_leaves_signals_alone(quick):
    """A library must not touch what belongs to the program."""
    quick()
    calls = []

    def work() -> None:
        with EvoVoice() as evo:
            calls.append(evo.follow(evo.place("+18145550100", flow="welcome")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert [(call.outcome, call.ending.answered) for call in calls] == [("placed", True)]


def test_a_failed_opening_leaves_nothing_open(monkeypatch):
    """No login: the sandbox-less target is given up whole."""
    monkeypatch.setenv("EVOCALL_USERNAME", "nobody@example.com")
    with pytest.raises(EvocallError):
        EvoVoice()


def test_everything_that_is_exported_exists():
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="EvoVoize"):
        _ = package.EvoVoize


def test_importing_the_package_loads_nothing():
    """The command line imports it at every start."""
    script = "import sys, evocall; print([n for n in sys.modules if n.startswith('evocall.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_number_that_comes_on_the_deny_list_is_not_rung_by_a_program_that_runs_on(config, signed_in):
    """Nor is anybody when the list is gone."""
    denied = config('[profiles.default.guard]\ndeny = "no.txt"\n').with_name("no.txt")
    denied.touch()
    with EvoVoice() as evo:
        evo.place("+18145550100", flow="welcome")
        denied.write_text("+18145550101\n", encoding="utf-8")
        for refused in (evo.check, lambda number: evo.place(number, flow="welcome")):
            with pytest.raises(Refused, match="deny list"):
                refused("+18145550101")
        denied.unlink()
        with pytest.raises(EvocallError, match=r"no\.txt"):
            evo.place("+18145550102", flow="welcome")
    assert [call.number for call in signed_in.calls] == ["+18145550100"]
