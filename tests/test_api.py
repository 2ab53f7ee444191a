"""`from evocall import EvoVoice`: the command line's guarantees for programs."""

import json
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

import evocall as package
from evocall import EvocallError, EvoVoice, NotFound, Outcome, OutcomeUnknown, Phase, Refused, StillRunning, UsageError
from evocall.sandbox import Sandbox


@pytest.fixture
def evo(signed_in):
    with EvoVoice() as opened:
        yield opened


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


def test_a_call_is_followed_to_its_end(monkeypatch):
    with Sandbox(answer_after=0.05, talk_for=0.05) as server:
        for name, value in (
            ("BASE_URL", server.base_url),
            ("USERNAME", server.manager.username),
            ("PASSWORD", server.manager.password),
        ):
            monkeypatch.setenv(f"EVOCALL_{name}", value)
        with EvoVoice() as evo:
            call = evo.follow(evo.place("+18145550111", flow="welcome"))
            assert (call.ending.phase, call.ending.answered, call.ending.outcome) == (Phase.ENDED, False, "Busy")
            assert next(evo.history()).ending == call.ending


def test_following_ends_when_time_is_up(evo):
    with pytest.raises(StillRunning) as raised:
        evo.follow(evo.place("+18145550100", flow="welcome"), timeout=0.01)
    assert raised.value.call.ending.phase is Phase.RINGING


def test_the_sandbox_needs_nothing():
    with EvoVoice(sandbox=True) as evo:
        assert evo.place("+18145550100").outcome is Outcome.PLACED


def test_it_works_in_a_thread_and_leaves_signals_alone(signed_in):
    """A library must not touch what belongs to the program."""
    calls = []

    def work() -> None:
        with EvoVoice() as evo:
            calls.append(evo.place("+18145550100", flow="welcome"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert [call.outcome for call in calls] == ["placed"]


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
