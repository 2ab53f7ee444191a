"""`evocall hangup`: one DELETE, for the right call or for none."""

import json
import time

import pytest

from evocall.sandbox import Ending, Sandbox
from tests.faultserver import free_port

NUMBER = "+18145550100"
LOST = "+18145550161"  # the answer is lost, and no call was placed
UNNAMED = "+18145550104"  # placed, and the answer names no session
REFUSED = "+18145550140"
DAY = 86_400.0
KEYS = ["schema", "call", "session_id", "ended_before", "error"]


def ended(sandbox):
    """The paths of the requests to end something."""
    return [request.path for request in sandbox.requests if request.method == "DELETE"]


def test_a_running_call_is_ended(evocall, signed_in):
    """The one that was meant, and not the one beside it."""
    evocall("dial", NUMBER)
    other = signed_in.place_elsewhere(NUMBER)
    call = next(call for call in signed_in.calls if call is not other)
    result = evocall("hangup", "0001")
    assert (result.code, result.out, result.err) == (0, "", "evocall: the call 0001 was ended.\n")
    assert ended(signed_in) == [f"/sessions/{call.id}"]
    assert (call.ended(time.time()), other.ended(time.time())) == (True, False)


@pytest.mark.parametrize("local", [True, False])
def test_a_call_may_be_named_by_its_session(evocall, signed_in, local):
    """Whether or not it was placed from here."""
    if local:
        evocall("dial", NUMBER)
    else:
        signed_in.place_elsewhere(NUMBER)
    (call,) = signed_in.calls
    assert evocall("hangup", call.id).code == 0
    assert ended(signed_in) == [f"/sessions/{call.id}"]


def test_json_tells_the_call_its_session_and_whether_there_was_anything_to_end(evocall, signed_in):
    evocall("dial", NUMBER)
    first, second = (json.loads(evocall("hangup", "0001", "--json").out) for _ in range(2))
    session = signed_in.calls[0].id
    assert list(first) == KEYS
    assert first == {"schema": 1, "call": "0001", "session_id": session, "ended_before": False, "error": None}
    assert second == {**first, "ended_before": True}
    stranger = signed_in.place_elsewhere(NUMBER)
    assert json.loads(evocall("hangup", stranger.id, "--json").out)["call"] is None


def test_a_quiet_hangup_says_nothing(evocall, signed_in):
    evocall("dial", NUMBER)
    result = evocall("hangup", "0001", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_call_that_has_ended_is_left_alone(evocall, signed_in):
    """Which is what was wanted."""
    call = signed_in.place_elsewhere("+18145550111", ending=Ending.BUSY, seconds_ago=60)
    result = evocall("hangup", call.id)
    assert (result.code, result.err) == (0, f"evocall: the call {call.id} had ended already.\n")
    assert ended(signed_in) == []


def test_a_call_of_the_archive_has_ended(evocall, signed_in):
    call = signed_in.place_elsewhere(NUMBER, seconds_ago=20 * DAY)
    result = evocall("hangup", call.id)
    assert (result.code, ended(signed_in)) == (0, [])
    assert "had ended already" in result.err


def test_a_call_whose_state_is_not_told_is_ended(evocall, signed_in, started):
    """Nothing is concluded from what is missing or not known."""
    strange = {"callState": "Levitating", "ended": None}
    server = started(Sandbox(reshape=lambda info: info | strange))
    call = server.place_elsewhere(NUMBER)
    assert evocall("hangup", call.id).code == 0
    assert call.ended(time.time())


# which session it is


def test_a_call_without_a_session_id_is_found_by_number_and_time(evocall, signed_in):
    evocall("dial", UNNAMED)
    evocall("hangup", "0001")
    assert ended(signed_in) == [f"/sessions/{signed_in.calls[0].id}"]


def test_a_call_that_is_known_by_its_sid_is_ended(evocall, signed_in, started):
    """And not the one that rings beside it."""
    server = started(Sandbox(reshape=lambda info: info if info["log"] else {"callSid": info["callSid"]}))
    evocall("dial", NUMBER)
    (call,) = server.calls
    server.place_elsewhere(NUMBER)
    assert evocall("hangup", "0001").code == 0
    assert ended(server) == [f"/sessions/{call.id}"]


def test_a_call_that_was_lost_and_settled_is_ended(evocall, signed_in):
    evocall("dial", "+18145550160")
    assert evocall("hangup", "0001").code == 0
    assert ended(signed_in) == [f"/sessions/{signed_in.calls[0].id}"]


def test_of_two_calls_that_could_be_meant_none_is_ended(evocall, signed_in):
    evocall("dial", UNNAMED)
    signed_in.place_elsewhere(UNNAMED)
    result = evocall("hangup", "0001")
    assert (result.code, ended(signed_in)) == (2, [])
    assert all(call.id in result.err for call in signed_in.calls)


def test_a_call_that_was_not_placed_is_not_ended_in_the_shape_of_another(evocall, signed_in):
    """Somebody else's, to that number at that moment, goes on."""
    evocall("dial", REFUSED)
    call = signed_in.place_elsewhere(REFUSED)
    assert evocall("hangup", "0001").code == 5
    assert (ended(signed_in), call.ended(time.time())) == ([], False)


def test_a_session_that_could_be_another_calls_is_not_ended(evocall, change, signed_in):
    """An unknown call and one that was answered without telling its session: the one session could be either's."""
    evocall("dial", LOST)
    evocall("dial", UNNAMED)
    signed_in.calls[0].number = LOST
    change("number = ?", LOST)
    assert evocall("hangup", "0001").code == 2
    assert ended(signed_in) == []


def test_a_session_without_an_id_is_not_ended_by_deleting_them_all(evocall, signed_in, started):
    """`DELETE /sessions` deletes records in bulk."""
    server = started(Sandbox(reshape=lambda info: {name: value for name, value in info.items() if name != "id"}))
    evocall("dial", UNNAMED)
    assert evocall("hangup", "0001").code == 5
    assert ended(server) == []


# errors


def test_a_login_that_may_not_end_a_call_is_told_what_may(evocall, signed_in, started):
    """A Manager may dial, and perhaps not hang up."""
    server = started(Sandbox(manager_may_hang_up=False))
    evocall("dial", NUMBER)
    result = evocall("hangup", "0001", "--json")
    document = json.loads(result.out)
    assert (result.code, document["error"]["code"], document["error"]["exit_code"]) == (6, "forbidden", 6)
    assert result.err.startswith("evocall: The service does not let this login end a call (403).\n")
    assert "hint: Ending one takes the role User" in result.err
    assert "console" in result.err
    assert not server.calls[0].ended(time.time())


@pytest.mark.parametrize("name", ["7K3Q", "", "no"])
def test_an_unknown_local_id_is_an_error_without_a_request(evocall, signed_in, name):
    result = evocall("hangup", name, "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (5, "no_such_call")
    assert signed_in.requests == []


@pytest.mark.parametrize("name", ["6743a0b1c2d3e4f5a6b7c8d9", "../accounts/5f0000000000000000000001", "?accountId=*"])
def test_an_unknown_session_is_an_error(evocall, signed_in, name):
    """Nothing is sent that could end, or delete, anything else."""
    result = evocall("hangup", name)
    assert (result.code, ended(signed_in)) == (5, [])
    assert name in result.err


def test_a_call_that_the_service_does_not_show_is_an_error(evocall, signed_in):
    """An unknown one, which may never have rung."""
    evocall("dial", LOST)
    result = evocall("hangup", "0001")
    assert (result.code, ended(signed_in)) == (5, [])
    assert "The service shows no session for 0001." in result.err


def test_a_call_that_was_placed_at_another_host_is_not_ended_here(evocall, change, signed_in):
    evocall("dial", NUMBER)
    change("base_url = 'https://team.evovoice.io', host = 'team.evovoice.io'")
    result = evocall("hangup", "0001")
    assert (result.code, ended(signed_in)) == (10, [])
    assert "EVOCALL_BASE_URL=https://team.evovoice.io" in result.err


def test_a_call_of_another_profile_brings_that_profile(evocall, config, monkeypatch, signed_in):
    """Its service is asked, whatever the default is."""
    monkeypatch.delenv("EVOCALL_BASE_URL")
    elsewhere = f'[profiles.a]\nbase_url = "http://127.0.0.1:{free_port()}"\n'
    config(f'default_profile = "a"\n{elsewhere}[profiles.b]\nbase_url = "{signed_in.base_url}"\n')
    evocall("dial", NUMBER, "--profile", "b")
    assert evocall("hangup", "0001").code == 0
    assert ended(signed_in) == [f"/sessions/{signed_in.calls[0].id}"]


def test_offline_nothing_is_ended_and_that_is_said(evocall, monkeypatch, signed_in):
    evocall("dial", NUMBER)
    monkeypatch.setenv("EVOCALL_BASE_URL", f"http://127.0.0.1:{free_port()}")
    result = evocall("hangup", "0001", "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (8, "connection_refused")


def test_a_customer_may_not_end_a_call(evocall, monkeypatch, signed_in):
    evocall("dial", NUMBER)
    monkeypatch.setenv("EVOCALL_USERNAME", signed_in.customer.username)
    assert evocall("hangup", "0001").code == 6
    assert not signed_in.calls[0].ended(time.time())
