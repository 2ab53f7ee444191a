"""`evocall show`: what the journal knows of a call beside what the service shows of it."""

import json
import re
from datetime import UTC, datetime

import pytest

from evocall.sandbox import Ending, Sandbox
from tests.contract import CALL_KEYS
from tests.faultserver import FaultServer, answering, free_port, http

NUMBER = "+18145550100"
LOST = "+18145550161"  # the answer is lost, and no call was placed
UNNAMED = "+18145550104"  # placed, and the answer names no session
REFUSED = "+18145550140"
FLOW = "665f1c0000000000000000a1"
DAY = 86_400.0


@pytest.fixture
def show(evocall):
    """Shows a call, and returns the exit code and the JSON document."""

    def run(*arguments):
        result = evocall("show", *arguments, "--json")
        return result.code, json.loads(result.out)

    return run


def labels(text):
    """The first word of each line."""
    return [line.split(" ")[0] for line in text.splitlines()]


def test_the_local_record_stands_above_the_session_and_its_log(evocall, signed_in):
    evocall("dial", NUMBER, "--once", "night 7")
    (call,) = signed_in.calls
    result = evocall("show", "0001")
    assert (result.code, result.err) == (0, "")
    local, session = result.out[: result.out.index("session ")], result.out[result.out.index("session ") :]
    assert labels(local) == ["placed", "call", "flow", "from", "account", "requested", "status", "key"]
    assert labels(session) == ["session", "state", "to", "shown", "began", "log"]
    for text in (NUMBER, "0001", FLOW, "default  manager@example.com at http://127.0.0.1", "200", "night 7"):
        assert text in local
    for text in (call.id, "ringing", call.caller_id, f"Dialing {NUMBER} from {call.caller_id}"):
        assert text in session


def test_a_call_that_has_ended_is_shown_to_its_end(evocall, signed_in):
    """With the service's own word for it and every line of the log."""
    call = signed_in.place_elsewhere("+18145550111", ending=Ending.BUSY, seconds_ago=60)
    result = evocall("show", call.id)
    assert result.code == 0
    assert labels(result.out) == ["session", "state", "to", "shown", "began", "ended", "outcome", "log", ""]
    assert "state      ended" in result.out
    assert "outcome    Busy" in result.out
    assert "Call ended: Busy" in result.out


@pytest.mark.parametrize("name", ["0001", "1", "OOO1", "oooi", "000l"])
def test_a_local_id_is_read_in_any_case_and_with_look_alikes(show, evocall, signed_in, name):
    evocall("dial", NUMBER)
    code, document = show(name)
    assert (code, document["call"], document["session"]["id"]) == (0, "0001", signed_in.calls[0].id)


def test_a_local_id_with_letters_is_read_in_lower_case(show, evocall, change, signed_in):
    evocall("dial", NUMBER)
    change("id = 32 * 32 * 32 * 7 + 32 * 32 * 19 + 32 * 3 + 23")
    assert [show(name)[1]["call"] for name in ("7K3Q", "7k3q")] == ["7K3Q"] * 2


def test_a_session_id_finds_the_local_record_too(show, evocall, signed_in):
    evocall("dial", NUMBER)
    _, document = show(signed_in.calls[0].id)
    assert (document["call"], document["session"]["id"]) == ("0001", signed_in.calls[0].id)


def test_json_has_the_keys_of_a_call_and_the_session_as_it_came(show, evocall, signed_in):
    """With the log, which the answer to the dial has empty."""
    dialled = json.loads(evocall("dial", NUMBER, "--json").out)
    code, document = show("0001")
    assert (code, list(document)) == (0, [*CALL_KEYS, "session"])
    session = document.pop("session")
    assert document == dialled
    assert (session["callSid"], session["direction"], session["ended"]) == (signed_in.calls[0].sid, "Outgoing", False)
    assert session["dateCreated"].startswith("/Date(")
    assert len(session["log"]) == 1
    assert dialled["response"]["log"] == []


def test_a_call_that_is_only_at_the_service_has_a_session_and_no_record(show, evocall, signed_in):
    """Placed from another machine."""
    call = signed_in.place_elsewhere(NUMBER)
    code, document = show(call.id)
    assert (code, list(document)) == (0, [*CALL_KEYS, "session"])
    assert (document["call"], document["session_id"], document["session"]["id"]) == (None, call.id, call.id)
    assert labels(evocall("show", call.id).out)[0] == "session"


def test_a_call_of_the_archive_is_found_there(show, evocall, change, signed_in):
    """By its local ID, and by its session alone."""
    evocall("dial", NUMBER)
    signed_in.calls[0].placed_at -= 20 * DAY
    change("requested_at = requested_at - ?", int(20 * DAY * 1000))
    assert show("0001")[1]["session"]["id"] == signed_in.calls[0].id
    stranger = signed_in.place_elsewhere(NUMBER, seconds_ago=400 * DAY)
    assert show(stranger.id)[1]["session"]["id"] == stranger.id


# which session it is


def test_a_call_without_a_session_id_is_found_by_number_and_time(show, evocall, signed_in):
    evocall("dial", UNNAMED)
    signed_in.place_elsewhere(UNNAMED, seconds_ago=60)
    code, document = show("0001")
    assert (code, document["session_id"], document["session"]["id"]) == (0, None, signed_in.calls[-1].id)


def test_a_call_that_is_known_by_its_sid_is_found(show, evocall, signed_in, started):
    """Twilio's name of the call is what a service may answer a dial with; another call rings beside it."""
    server = started(Sandbox(reshape=lambda info: info if info["log"] else {"callSid": info["callSid"]}))
    evocall("dial", NUMBER)
    (call,) = server.calls
    server.place_elsewhere(NUMBER)
    for name in ("0001", call.sid):
        code, document = show(name)
        assert (code, document["session_id"], document["session"]["id"]) == (0, call.sid, call.id)


def test_two_sessions_that_could_be_meant_are_named_and_not_guessed(evocall, signed_in):
    """The local record is shown all the same."""
    evocall("dial", UNNAMED)
    signed_in.place_elsewhere(UNNAMED)
    result = evocall("show", "0001")
    assert result.code == 2
    assert all(call.id in result.err for call in signed_in.calls)
    assert "Give the ID of the session" in result.err
    assert labels(result.out)[:2] == ["placed", "call"]


def test_an_earlier_call_without_a_session_id_does_not_hide_a_later_one(show, evocall, change, signed_in):
    """Half a minute lies between them, so that each session can be only one call's."""
    evocall("dial", UNNAMED)
    change("requested_at = requested_at - 30000")
    signed_in.calls[0].placed_at -= 30
    evocall("dial", UNNAMED)
    for name, call in zip(("0001", "0002"), signed_in.calls, strict=True):
        code, document = show(name)
        assert (code, document["error"], document["session"]["id"]) == (0, None, call.id)


def test_an_unknown_call_is_shown_with_what_the_service_has(show, evocall, signed_in):
    """And stays unknown: only `reconcile` settles."""
    evocall("dial", LOST)
    result = evocall("show", "0001")
    assert (result.code, labels(result.out)[0], labels(result.out)[-1]) == (0, "unknown", "why")
    assert "the service shows no session for it" in result.err
    call = signed_in.place_elsewhere(LOST)
    document = show("0001")[1]
    assert (document["outcome"], document["session"]["id"]) == ("unknown", call.id)


def test_how_a_call_was_settled_is_shown(evocall, signed_in):
    evocall("dial", "+18145550160")
    assert "settled     the service shows a session to this number of 20" in evocall("show", "0001").out


def test_a_call_that_was_not_placed_has_no_session(show, evocall, signed_in):
    """Whatever else was placed to that number at that moment is another call."""
    evocall("dial", REFUSED)
    signed_in.place_elsewhere(REFUSED)
    code, document = show("0001")
    assert (code, document["outcome"], document["session"]) == (0, "not_placed", None)


def test_a_session_that_is_not_shown_yet_is_no_error(show, evocall, signed_in, started):
    """The list may be late."""
    started(Sandbox(shown_after=3600))
    evocall("dial", NUMBER)
    code, document = show("0001")
    assert (code, document["outcome"], document["session"]) == (0, "placed", None)
    assert "the service shows no session for it" in evocall("show", "0001").err


def test_a_service_that_tells_little_is_shown_as_it_is(show, evocall, signed_in, started):
    """Unknown words, missing fields, a log without times."""
    strange = {"callState": "Levitating", "direction": "Sideways", "log": [{"message": "Up"}, {}], "new": {"a": None}}
    started(Sandbox(reshape=lambda info: {"id": info["id"], **strange}))
    evocall("dial", NUMBER)
    result = evocall("show", "0001")
    assert result.code == 0
    assert re.search(r"^state +not told\nlog +Up\n", result.out, re.MULTILINE)
    assert show("0001")[1]["session"]["new"] == {"a": None}


def test_dates_in_the_other_form_are_shown_alike(evocall, signed_in, started):
    """ISO 8601, with the seven decimals of .NET."""
    server = started(Sandbox(reshape=lambda info: info | {"dateCreated": info["dateCreated"].in_iso()}))
    call = server.place_elsewhere(NUMBER, seconds_ago=1)
    began = datetime.fromtimestamp(call.placed_at, UTC)
    assert f"began      {began:%Y-%m-%dT%H:%M:%S}." in evocall("show", call.id).out


def test_text_from_the_service_moves_no_cursor(evocall, signed_in, started):
    log = [{"message": "\x1b[2Jgone\r\n[bold]x[/bold]\u202e"}]
    server = started(Sandbox(reshape=lambda info: info | {"log": log, "outcome": "\x1b]0;x\x07"}))
    call = server.place_elsewhere(NUMBER)
    result = evocall("show", call.id)
    assert result.code == 0
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(result.out)
    assert "[bold]x[/bold]" in result.out


# errors


@pytest.mark.parametrize("name", ["7K3Q", "x", "0", "", "../../.."])
def test_an_unknown_local_id_is_an_error_without_a_request(evocall, signed_in, name):
    result = evocall("show", name, "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (5, "no_such_call")
    assert "evocall history" in result.err
    assert signed_in.requests == []


@pytest.mark.parametrize("name", ["6743a0b1c2d3e4f5a6b7c8d9", "CA0123456789abcdef0123456789abcdef", "no such call"])
def test_an_unknown_session_is_an_error(evocall, signed_in, name):
    result = evocall("show", name, "--json")
    assert (result.code, json.loads(result.out)["error"]["code"]) == (5, "not_found")
    assert name in result.err


def test_a_name_that_is_no_text_is_no_defect(evocall, signed_in):
    """Bytes of another encoding, as the shell passes them on."""
    result = evocall("show", "d\udce9j\udce0-vu-et-entendu")
    assert result.code != 0
    assert "defect" not in result.err


def test_offline_the_local_record_is_shown_all_the_same(evocall, signed_in):
    evocall("dial", NUMBER)
    signed_in.stop()
    result = evocall("show", "0001")
    assert result.code == 8
    assert labels(result.out)[:2] == ["placed", "call"]
    assert NUMBER in result.out
    assert "could not be reached" in result.err


def test_offline_json_is_one_document_about_the_call(show, evocall, signed_in):
    evocall("dial", NUMBER)
    signed_in.stop()
    code, document = show("0001")
    assert (code, document["error"]["code"], document["call"], document["outcome"], document["number"]) == (
        8,
        "connection_refused",
        "0001",
        "placed",
        NUMBER,
    )


def test_a_refused_login_is_an_error_below_the_local_record(evocall, monkeypatch, signed_in):
    evocall("dial", NUMBER)
    monkeypatch.setenv("EVOCALL_PASSWORD", "wrong")
    result = evocall("show", "0001")
    assert (result.code, labels(result.out)[0]) == (4, "placed")


def test_a_service_that_fails_is_an_error(evocall, signed_in, started):
    evocall("dial", NUMBER)
    started(FaultServer(answering(http("500 Internal Server Error"))))
    result = evocall("show", "0001")
    assert (result.code, labels(result.out)[0]) == (8, "placed")


def test_a_call_of_another_profile_brings_that_profile(show, evocall, config, monkeypatch, signed_in):
    """Its service is asked, whatever the default is and whatever `--profile` says."""
    monkeypatch.delenv("EVOCALL_BASE_URL")
    elsewhere = f'[profiles.a]\nbase_url = "http://127.0.0.1:{free_port()}"\n'
    config(f'default_profile = "a"\n{elsewhere}[profiles.b]\nbase_url = "{signed_in.base_url}"\n')
    evocall("dial", NUMBER, "--profile", "b")
    for arguments in ((), ("--profile", "a")):
        code, document = show("0001", *arguments)
        assert (code, document["profile"], document["session"]["id"]) == (0, "b", signed_in.calls[0].id)


def test_a_profile_that_is_gone_is_an_error_below_the_local_record(evocall, config, signed_in):
    config('default_profile = "a"\n[profiles.a]\n[profiles.b]\n')
    evocall("dial", NUMBER, "--profile", "b")
    config('default_profile = "a"\n[profiles.a]\n')
    result = evocall("show", "0001")
    assert (result.code, labels(result.out)[0]) == (10, "placed")
    assert "'b'" in result.err


def test_a_call_that_was_placed_at_another_host_is_not_asked_about_here(evocall, change, signed_in):
    """The hint is what to type instead; the local record is shown all the same."""
    evocall("dial", NUMBER)
    change("base_url = 'https://team.evovoice.io', host = 'team.evovoice.io'")
    before = len(signed_in.requests)
    result = evocall("show", "0001")
    assert (result.code, labels(result.out)[0]) == (10, "placed")
    assert "EVOCALL_BASE_URL=https://team.evovoice.io evocall" in result.err
    assert len(signed_in.requests) == before


def test_another_port_of_this_machine_is_the_same_host(show, evocall, signed_in, started):
    """As it is for everything else that a journal remembers."""
    evocall("dial", NUMBER)
    started(Sandbox())
    code, document = show("0001")
    assert (code, document["session"]) == (0, None)


def test_a_rehearsal_is_shown_from_its_own_journal(evocall, show):
    """Its sandbox is gone, so that nothing is asked."""
    evocall("dial", NUMBER, "--sandbox")
    result = evocall("show", "0001", "--sandbox")
    assert (result.code, labels(result.out)[0]) == (0, "placed")
    assert "the sandbox of a rehearsal ends with its command" in result.err
    assert show("0001", "--sandbox")[1]["session"] is None
    assert evocall("show", "0002", "--sandbox").code == 5


def test_a_login_is_needed_for_the_session_only(evocall, monkeypatch, signed_in):
    evocall("dial", NUMBER)
    monkeypatch.delenv("EVOCALL_PASSWORD")
    result = evocall("show", "0001")
    assert (result.code, labels(result.out)[0]) == (4, "placed")
