"""The words of receipts, clocks and endings."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evocall import phone, wording
from evocall.model import Call, Ending, Flow, Number, NumberClass, Outcome, Phase, Plan, Profile

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
PROFILE = Profile("production", username="ops@example.com")
PLAN = Plan(phone.read("+18144043093"), Flow("665f1c0000000000000000aa", "alert"), None, PROFILE)
PLACED = Call(Outcome.PLACED, "+18144043093", "665f1c0000000000000000aa", session_id="6743a0b1", id="7K3Q")
RINGING = Ending(Phase.RINGING, None, False, None, 20.0)


def number_in(*zones, country="US"):
    """A number with these time zones."""
    return Number("", "+18005550100", "+1 800-555-0100", "", country, NumberClass.TOLL_FREE, zones)


def test_a_receipt_says_whom_by_what_and_from_where():
    """Outcome, number and clock; flow; caller ID; account."""
    lines = dict(wording.receipt(PLACED, PLAN, "ops@example.com"))
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
    assert dict(wording.receipt(call, PLAN, None))["session"] == session


def test_a_receipt_says_when_the_answer_did_not_tell_that_the_call_was_placed():
    lines = dict(wording.receipt(replace(PLACED, settled="the service shows it"), PLAN, None))
    assert lines["settled"] == "the answer did not tell, but the service shows it"


def test_a_receipt_names_the_caller_id_that_was_asked_for():
    plan = Plan(PLAN.number, Flow("Night shift"), phone.read("+18145550190"), Profile("a", "https://b.example:8443"))
    lines = dict(wording.receipt(PLACED, plan, None))
    assert lines["from"] == "+1 814-555-0190"
    assert lines["flow"] == "Night shift"
    assert lines["account"] == "a  no login at b.example:8443"


def test_a_rehearsal_shows_the_request():
    """The one that would be sent, in full, and no session."""
    lines = dict(wording.receipt(Call(Outcome.DRY_RUN), PLAN, None))
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
    assert wording.place_and_time(number, NOON) == shown


def test_the_span_of_a_clock_over_midnight_begins_in_the_evening():
    number = number_in("America/Los_Angeles", "America/New_York")
    assert wording.place_and_time(number, NOON.replace(hour=6)) == "US, 22:00 to 01:00 there (2 zones)"


def test_a_moment_is_written_in_utc_with_milliseconds():
    assert wording.utc(NOON) == "2026-11-23T12:00:00.123Z"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (None, "its end was not seen"),
        (RINGING, "its end was not seen"),
        (Ending(Phase.CONNECTED, True), "its end was not seen"),
        (Ending(Phase.ENDED, True, False, "Answered"), "answered by somebody (Answered)"),
        (Ending(Phase.ENDED, True, True, "Voicemail"), "answered by a machine (Voicemail)"),
        (Ending(Phase.ENDED, False, False, "Busy"), "ended without an answer (Busy)"),
        (Ending(Phase.ENDED, False), "ended without an answer"),
        (Ending(Phase.ENDED, None), "ended, and the service does not tell whether somebody answered"),
        (
            Ending(Phase.ENDED, None, False, "Zählung"),
            "ended, and the service does not tell whether somebody answered (Zählung)",
        ),
    ],
)
def test_an_ending_in_words(ending, words):
    """The service's own word stands behind ours."""
    assert wording.how(ending) == words
