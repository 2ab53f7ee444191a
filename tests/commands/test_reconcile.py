"""`evocall reconcile`: calls whose outcome is unknown, settled later by asking the service."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from evocall.earlier import Key
from evocall.journal import Journal
from evocall.model import Flow, Number, NumberClass, Plan, Profile
from evocall.sandbox import Sandbox
from tests.contract import CALL_KEYS
from tests.faultserver import FaultServer, answering, free_port, http

LOST = "+18145550161"  # the answer is lost, and no call was placed
OTHER = "+18145550150"
FLOW = "665f1c0000000000000000a1"
DAY = 86_400.0


@pytest.fixture
def lose(evocall, change):
    """Leaves a call in the journal whose outcome is unknown, requested that many days ago."""

    def dial(number=LOST, *arguments, days=0.0):
        result = evocall("dial", number, "--json", "--again", *arguments)
        assert result.code == 9
        name = json.loads(result.out)["call"]
        change("requested_at = requested_at - ?", int(days * DAY * 1000), where=f"id = {int(name)}")
        return name

    return dial


@pytest.fixture
def reconcile(evocall):
    """Asks, and returns the exit code and what was found for each call."""

    def run(*arguments):
        result = evocall("reconcile", *arguments, "--json")
        return result.code, json.loads(result.out)

    return run


def found(calls):
    """Name, outcome and finding of each call."""
    return [(call["call"], call["outcome"], call["found"]) for call in calls]


def test_a_call_that_the_service_shows_is_placed(reconcile, lose, evocall, signed_in):
    """And stays so: history has it, and there is nothing left to ask."""
    lose()
    session = signed_in.place_elsewhere(LOST)
    code, (call,) = reconcile()
    assert (code, found([call])) == (0, [("0001", "placed", "placed")])
    assert (call["session_id"], call["candidates"], call["error"]) == (session.id, [session.id], None)
    assert call["settled"].startswith("the service shows a session to this number of ")
    (kept,) = json.loads(evocall("history", "--json").out)
    assert (kept["outcome"], kept["session_id"], kept["settled"]) == ("placed", session.id, call["settled"])
    assert reconcile() == (0, [])
    assert len(signed_in.dials()) == 1


def test_a_call_that_is_not_found_stays_unknown(reconcile, lose, evocall, signed_in):
    lose()
    for _ in range(2):
        code, calls = reconcile()
        assert (code, found(calls)) == (9, [("0001", "unknown", "not_found")])
    assert json.loads(evocall("history", "--json").out)[0]["outcome"] == "unknown"


def test_json_has_the_keys_of_a_call_and_what_was_found(reconcile, lose, signed_in):
    lose()
    assert [list(call) for call in reconcile()[1]] == [[*CALL_KEYS, "found", "candidates"]]


def test_each_call_has_a_line_that_says_what_was_found(evocall, lose, signed_in):
    """Oldest first; exit 9 as long as one is left."""
    numbers = [f"+1{area}5550161" for area in ("814", "202", "212")]
    for number in numbers:
        lose(number)
    session = signed_in.place_elsewhere(numbers[0])
    twins = [signed_in.place_elsewhere(numbers[2]) for _ in range(2)]
    result = evocall("reconcile")
    heading, *lines = result.out.splitlines()
    assert (result.code, result.err) == (9, "")
    assert heading.split() == ["call", "when", "number", "found", "session"]
    assert [line.split()[0] for line in lines] == ["0001", "0002", "0003"]
    assert "it was placed" in lines[0]
    assert session.id in lines[0]
    assert "nothing, which proves nothing" in lines[1]
    assert "several calls that it could be" in lines[2]
    assert all(twin.id in lines[2] for twin in twins)


def test_without_unknown_calls_nobody_is_asked(evocall, signed_in):
    """Not even for a login: it works without the service."""
    evocall("dial", "+18145550100", "--flow", FLOW)
    signed_in.stop()
    result = evocall("reconcile")
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("evocall: no call ")
    assert evocall("reconcile", "--json").out == "[]\n"
    assert evocall("reconcile", "--quiet").err == ""


# later


@pytest.mark.parametrize("days", [1, 9, 14, 16, 400])
def test_a_call_is_found_days_later(reconcile, lose, signed_in, days):
    """In the archive, where sessions go after 15 days."""
    lose(days=days)
    session = signed_in.place_elsewhere(LOST, seconds_ago=days * DAY)
    code, (call,) = reconcile()
    assert (code, call["found"], call["session_id"]) == (0, "placed", session.id)


@pytest.mark.parametrize("days", [3, -3])
def test_a_clock_that_is_days_off_does_not_hide_a_call(reconcile, lose, monkeypatch, sandbox, signed_in, days):
    """Which days are asked for is known only when the service has answered once."""
    with Sandbox(clock=lambda: time.time() + days * DAY) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        lose()
        session = server.place_elsewhere(LOST)
        code, (call,) = reconcile()
    assert (code, call["session_id"]) == (0, session.id)


def test_the_archive_may_begin_earlier(reconcile, lose, monkeypatch, sandbox, signed_in):
    """The vendor's tool says about 15 days."""
    lose(days=11)
    with Sandbox(archive_after=10.5 * DAY) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        session = server.place_elsewhere(LOST, seconds_ago=11 * DAY)
        code, (call,) = reconcile()
    assert (code, call["session_id"]) == (0, session.id)


def test_a_later_call_to_the_number_does_not_hide_an_archived_one(reconcile, lose, signed_in):
    """A number that is dialled every day has sessions in both places on the day in between."""
    lose(days=15.04)
    session = signed_in.place_elsewhere(LOST, seconds_ago=15.04 * DAY)
    signed_in.place_elsewhere(LOST, seconds_ago=14.96 * DAY)
    code, (call,) = reconcile()
    assert (code, call["found"], call["session_id"]) == (0, "placed", session.id)


def test_a_young_call_is_not_looked_for_in_the_archive(reconcile, lose, signed_in):
    lose(days=1)
    reconcile()
    assert [request for request in signed_in.requests if "searchArchive" in request.path] == []


def test_a_call_of_another_day_is_not_taken(reconcile, lose, signed_in):
    """At the same hour of the day before, and of the day after."""
    lose(days=3)
    for days in (4, 2):
        signed_in.place_elsewhere(LOST, seconds_ago=days * DAY)
    assert found(reconcile()[1]) == [("0001", "unknown", "not_found")]


# several


def test_two_calls_close_together_are_not_guessed(reconcile, lose, signed_in):
    """Two sessions or one: which is whose is not known. All that could be meant are named."""
    lose()
    lose()
    one = signed_in.place_elsewhere(LOST)
    code, calls = reconcile()
    assert (code, found(calls)) == (9, [("0001", "unknown", "ambiguous"), ("0002", "unknown", "ambiguous")])
    assert [call["candidates"] for call in calls] == [[one.id]] * 2
    two = signed_in.place_elsewhere(LOST)
    code, calls = reconcile()
    assert (code, found(calls)) == (9, [("0001", "unknown", "ambiguous"), ("0002", "unknown", "ambiguous")])
    assert [call["candidates"] for call in calls] == [[one.id, two.id]] * 2


def test_two_calls_far_apart_are_two(reconcile, lose, signed_in):
    lose(days=2)
    lose()
    sessions = [signed_in.place_elsewhere(LOST, seconds_ago=days * DAY) for days in (2, 0)]
    code, calls = reconcile()
    assert (code, [call["session_id"] for call in calls]) == (0, [session.id for session in sessions])


def test_one_that_is_settled_is_no_rival_of_the_next(reconcile, lose, change, signed_in):
    """Its session is known then, and belongs to it."""
    lose()
    first = signed_in.place_elsewhere(LOST)
    assert reconcile()[0] == 0
    change("requested_at = requested_at - 5000")
    first.placed_at -= 5
    lose()
    second = signed_in.place_elsewhere(LOST)
    code, (call,) = reconcile()
    assert (code, call["call"], call["session_id"]) == (0, "0002", second.id)


def test_only_the_calls_that_are_named_are_asked_about(reconcile, lose, signed_in):
    """In any case of letters."""
    for number in (LOST, OTHER):
        lose(number, "--flow", FLOW)
        signed_in.place_elsewhere(number)
    assert found(reconcile("0002")[1]) == [("0002", "placed", "placed")]
    assert found(reconcile()[1]) == [("0001", "placed", "placed")]


def test_a_call_that_is_not_in_the_journal_is_an_error(evocall, lose, signed_in):
    """Nothing is asked about the others."""
    lose()
    result = evocall("reconcile", "0001", "7K3Q", "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (5, "not_found")
    assert "7K3Q" in result.err
    assert json.loads(evocall("history", "--json").out)[0]["outcome"] == "unknown"


def test_a_used_key_is_used_after_its_call_was_reconciled(reconcile, lose, evocall, signed_in):
    lose(LOST, "--once", "k")
    signed_in.place_elsewhere(LOST)
    assert reconcile()[0] == 0
    again = json.loads(evocall("dial", LOST, "--once", "k", "--json").out)
    assert (again["outcome"], again["call"], len(signed_in.dials())) == ("already_placed", "0001", 1)


# profiles and hosts


TWO = "[profiles.a]\n[profiles.b]\n"


def test_the_calls_of_a_profile_are_its_own(reconcile, lose, config, signed_in):
    config(f'default_profile = "a"\n{TWO}')
    lose(LOST, "--profile", "a")
    lose(OTHER, "--profile", "b")
    assert [call["call"] for call in reconcile()[1]] == ["0001"]
    assert [call["call"] for call in reconcile("--profile", "b")[1]] == ["0002"]


def test_the_command_that_a_dial_names_works_as_it_stands(reconcile, lose, config, evocall, signed_in):
    """Without the profile: a call of the journal brings its own, as it does for `show` and `hangup`."""
    config(f'default_profile = "a"\n{TWO}')
    result = evocall("dial", LOST, "--profile", "b")
    assert "evocall reconcile 0001 asks" in result.err
    session = signed_in.place_elsewhere(LOST)
    code, calls = reconcile("0001")
    assert (code, found(calls)) == (0, [("0001", "placed", "placed")])
    assert calls[0]["session_id"] == session.id


def test_a_call_that_was_placed_at_another_host_is_not_asked_about_here(reconcile, lose, change, signed_in):
    """The service of the profile has moved; what it shows of that time is another service's."""
    lose()
    change("base_url = 'https://team.evovoice.io', host = 'team.evovoice.io'")
    signed_in.place_elsewhere(LOST)
    assert reconcile() == (0, [])


def test_a_call_of_another_host_that_is_named_is_an_error(evocall, lose, change, signed_in):
    """Silence would look as if it were settled."""
    lose()
    change("base_url = 'https://team.evovoice.io', host = 'team.evovoice.io'")
    result = evocall("reconcile", "0001")
    assert result.code == 10
    assert "team.evovoice.io" in result.err


# trouble


def test_a_call_that_another_process_is_placing_is_not_said_to_be_settled(reconcile, home, signed_in):
    """That process will write down itself what became of it."""
    callee = Number(LOST, LOST, LOST, LOST, "US", NumberClass.FIXED, ("America/New_York",))
    plan = Plan(callee, Flow(FLOW), None, Profile("default", signed_in.base_url))
    signed_in.place_elsewhere(LOST)
    with Journal(home / "evocall" / "journal.db") as journal:
        journal.reserve(plan, lambda _: None, key=Key(), username=None, now=datetime.now(UTC), hold_back=timedelta(0))
        _, calls = reconcile()
        assert ("0001", "unknown", "placed") not in found(calls)


def test_a_service_that_cannot_be_reached_is_an_error(evocall, lose, monkeypatch, signed_in):
    lose()
    monkeypatch.setenv("EVOCALL_BASE_URL", f"http://127.0.0.1:{free_port()}")
    result = evocall("reconcile", "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (8, "connection_refused")
    assert json.loads(evocall("history", "--json").out)[0]["outcome"] == "unknown"


def test_a_login_that_is_refused_is_an_error(evocall, lose, monkeypatch, signed_in):
    lose()
    monkeypatch.setenv("EVOCALL_PASSWORD", "wrong")
    assert evocall("reconcile").code == 4


def test_what_was_found_before_a_trouble_is_kept(evocall, lose, monkeypatch, signed_in):
    """The next run goes on with the rest."""
    for number in (LOST, "+12025550161"):
        lose(number)
    now = int(time.time() * 1000)
    session = {"id": "5e551011", "toAddress": LOST, "dateCreated": f"/Date({now})/"}
    first = answering(http("200 OK", json.dumps({"items": [session], "hasMorePages": False}).encode()))
    with FaultServer(first, answering(http("503 Service Unavailable"))) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        assert evocall("reconcile").code == 8
    kept = json.loads(evocall("history", "--json").out)
    assert [call["outcome"] for call in kept] == ["unknown", "placed"]


def test_dates_in_the_other_form_do(reconcile, lose, monkeypatch, signed_in):
    """ISO 8601, and neither log nor state."""

    def reshape(info):
        kept = {name: info[name] for name in ("id", "toAddress", "dateCreated")}
        return kept | {"dateCreated": info["dateCreated"].in_iso()}

    lose(days=16)
    with Sandbox(reshape=reshape) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        session = server.place_elsewhere(LOST, seconds_ago=16 * DAY)
        code, (call,) = reconcile()
    assert (code, call["session_id"]) == (0, session.id)
