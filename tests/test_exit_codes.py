"""The contract with scripts: exit codes, outcomes, how often a request is sent, and the keys of the JSON."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evocall import answers
from evocall.sandbox import Sandbox
from evocall.sandbox.faults import FAULTS
from tests import contract
from tests.faultserver import FaultServer, Visit, answering, free_port, http, silent

FLOW = "665f1c0000000000000000aa"
CALL_KEYS = set(contract.CALL_KEYS)
ERROR_KEYS = {"code", "exit_code", "message", "hint", "fields"}

#            ending:  (exit code, outcome, HTTP status, POSTs, calls placed)
REHEARSALS = {
    "0100": (0, "placed", 200, 1, 1),
    "0104": (0, "placed", 204, 1, 1),
    "0111": (0, "placed", 200, 1, 1),
    "0112": (0, "placed", 200, 1, 1),
    "0113": (0, "placed", 200, 1, 1),
    "0114": (0, "placed", 200, 1, 1),
    "0129": (0, "placed", 200, 2, 1),
    "0140": (11, "not_placed", 400, 1, 0),
    "0141": (4, "not_placed", 401, 1, 0),
    "0143": (6, "not_placed", 403, 1, 0),
    "0144": (5, "not_placed", 404, 1, 0),
    "0150": (9, "unknown", 500, 1, 0),
    "0151": (0, "placed", 500, 1, 1),
    "0152": (0, "placed", 502, 1, 1),
    "0153": (0, "placed", 200, 2, 1),
    "0160": (0, "placed", None, 1, 1),
    "0161": (9, "unknown", None, 1, 0),
    "0162": (0, "placed", None, 1, 1),
    "0163": (0, "placed", 200, 1, 1),
}
SETTLED = {"0151", "0152", "0160", "0162", "0163"}  # their answers do not tell; the service does when it is asked


def document_of(out: str) -> dict[str, object]:
    """The one JSON document that stdout holds, read as strictly as RFC 8259 has it."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads(out, parse_constant=refuse)


@pytest.fixture
def signed_in_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An environment that signs in to an address."""

    def sign_in(base_url: str) -> None:
        monkeypatch.setenv("EVOCALL_BASE_URL", base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
        monkeypatch.setenv("EVOCALL_FLOW", FLOW)

    return sign_in


# the table


def test_every_fault_of_the_sandbox_is_in_the_table():
    assert {f"0{ending}" for ending in FAULTS} | {"0100"} == set(REHEARSALS)


@pytest.mark.parametrize("ending", REHEARSALS)
def test_each_rehearsal_number_has_its_exit_code(evocall, signed_in, ending):
    """What the table says of the number is what a script sees, and what the service saw."""
    number = f"+1814555{ending}"
    result = evocall("dial", number, "--json", "--timeout", "1")
    document = document_of(result.out)
    seen = (
        result.code,
        document["outcome"],
        document["http_status"],
        len(signed_in.dials(number)),
        len(signed_in.calls),
    )
    assert seen == REHEARSALS[ending]
    assert (document["settled"] is not None) == (ending in SETTLED)
    assert (document["error"] or {"exit_code": 0})["exit_code"] == result.code


@pytest.mark.parametrize("ending", [ending for ending, row in REHEARSALS.items() if row[0]])
def test_a_failure_has_the_same_code_without_json(evocall, signed_in, ending):
    """And nothing on stdout; a reason and a hint on stderr."""
    result = evocall("dial", f"+1814555{ending}", "--timeout", "1")
    assert (result.code, result.out) == (REHEARSALS[ending][0], "")
    assert result.err.startswith("evocall: ")
    assert "\nhint: " in result.err


# the codes, one by one


def test_0_a_call_was_placed(evocall):
    result = evocall("dial", "+18145550100", "--sandbox")
    assert (result.code, result.err) == (0, "")


def test_1_a_defect_does_not_say_that_no_call_was_placed(evocall, signed_in, monkeypatch):
    """Here it comes up when the answer is read, and the phone rings already."""

    def fail(_answer):
        raise ZeroDivisionError

    monkeypatch.setattr(answers, "session_id", fail)
    result = evocall("dial", "+18145550100", "--json")
    document = document_of(result.out)
    assert (result.code, document["error"]["code"], len(signed_in.calls)) == (1, "internal", 1)
    assert document["outcome"] == "unknown"


def test_2_a_number_is_not_one(evocall, signed_in):
    result = evocall("dial", "+1814")
    assert (result.code, signed_in.requests) == (2, [])


def test_2_an_option_does_not_exist(evocall):
    result = evocall("dial", "+18145550100", "--flwo", "welcome")
    assert (result.code, result.out) == (2, "")
    assert "--flwo" in result.err


def test_3_a_premium_number_is_refused(evocall, signed_in):
    result = evocall("dial", "+19005550100")
    assert (result.code, signed_in.requests) == (3, [])
    assert "--allow premium" in result.err


def test_3_an_emergency_number_is_refused_with_every_switch(evocall, signed_in):
    result = evocall("dial", "911", "--region", "US", "--allow", "premium", "--allow", "unverified")
    assert (result.code, signed_in.requests) == (3, [])


def test_4_the_password_is_wrong(evocall, signed_in, monkeypatch):
    monkeypatch.setenv("EVOCALL_PASSWORD", "guessed")
    result = evocall("dial", "+18145550100")
    assert (result.code, signed_in.calls) == (4, [])
    assert "hint: evocall login" in result.err


def test_4_there_is_no_credential(spawn, home: Path):
    """As under env -i, in a cron job or a container."""
    result = spawn("dial", "+18145550100", "--flow", FLOW, env={"HOME": str(home)})
    assert (result.returncode, result.stdout) == (4, "")
    assert "hint: " in result.stderr
    assert "EVOCALL_PASSWORD" in result.stderr


def test_4_there_is_a_username_and_no_password(spawn, home: Path):
    """The hint lists the places where one is looked for."""
    result = spawn("dial", "+18145550100", "--flow", FLOW, env={"HOME": str(home), "EVOCALL_USERNAME": "ops"})
    assert (result.returncode, result.stdout) == (4, "")
    for source in ("EVOCALL_PASSWORD", "password_command", "password_file", "evocall login"):
        assert source in result.stderr


def test_5_the_flow_is_not_known(evocall, signed_in):
    result = evocall("dial", "+18145550100", "--flow", "id:000000000000000000000000")
    assert (result.code, signed_in.calls) == (5, [])


def test_6_the_role_may_not_dial(evocall, signed_in, monkeypatch):
    monkeypatch.setenv("EVOCALL_USERNAME", signed_in.customer.username)
    monkeypatch.setenv("EVOCALL_PASSWORD", signed_in.customer.password)
    result = evocall("dial", "+18145550100", "--flow", FLOW)
    assert (result.code, signed_in.calls) == (6, [])


@pytest.mark.parametrize(("status", "code"), [("429 Too Many Requests", 7), ("503 Service Unavailable", 8)])
def test_7_and_8_a_wait_that_is_too_long_is_left_to_the_caller(evocall, signed_in_to, status, code):
    """Two minutes are more than evocall waits, so it says so at once."""
    with FaultServer(answering(http(status, b"", "Retry-After: 120"))) as server:
        signed_in_to(server.base_url)
        result = evocall("dial", "+18145550100", "--json")
    assert (result.code, len(server.posts)) == (code, 1)
    assert document_of(result.out)["outcome"] == "not_placed"


@pytest.mark.parametrize(("status", "code"), [("429 Too Many Requests", 7), ("503 Service Unavailable", 8)])
def test_7_and_8_no_retry_helped(evocall, signed_in_to, status, code):
    """Three attempts, each announced."""
    with FaultServer(answering(http(status, b"", "Retry-After: 0"))) as server:
        signed_in_to(server.base_url)
        result = evocall("dial", "+18145550100", "--json")
    assert (result.code, len(server.posts)) == (code, 3)
    assert result.err.count("Trying again") == 2
    assert document_of(result.out)["outcome"] == "not_placed"


def test_8_nobody_listens(evocall, signed_in_to):
    signed_in_to(f"http://127.0.0.1:{free_port()}")
    result = evocall("dial", "+18145550100", "--json")
    document = document_of(result.out)
    assert (result.code, document["outcome"], document["http_status"]) == (8, "not_placed", None)


def test_8_a_retry_that_reaches_the_service_places_one_call(evocall, signed_in_to):
    """What was refused before is forgotten."""
    later = answering(http("503 Service Unavailable", b"", "Retry-After: 0"))
    with FaultServer(later, answering(http("200 OK", b'{"id":"s1"}'))) as server:
        signed_in_to(server.base_url)
        result = evocall("dial", "+18145550100", "--json")
    document = document_of(result.out)
    assert (result.code, len(server.posts)) == (0, 2)
    assert (document["outcome"], document["session_id"], document["error"]) == ("placed", "s1", None)


def test_9_a_retry_whose_answer_is_lost_is_unknown(evocall, signed_in_to):
    """The first attempt was harmless, the second one may have rung; there is no third."""
    later = answering(http("503 Service Unavailable", b"", "Retry-After: 0"))
    with FaultServer(later, answering(http("500 Oops"))) as server:
        signed_in_to(server.base_url)
        result = evocall("dial", "+18145550100", "--json")
    assert (result.code, len(server.posts)) == (9, 2)
    assert document_of(result.out)["outcome"] == "unknown"


def test_9_is_called_unknown_and_warns_of_a_second_call(evocall, signed_in):
    """After the service was asked; the hint is the command that asks again."""
    result = evocall("dial", "+18145550150")
    assert result.code == 9
    asking, unknown = result.err.splitlines()[:2]
    assert asking.endswith("asking the service whether the call was placed.")
    assert unknown.startswith("evocall: unknown: ")
    assert "may have been placed" in unknown
    assert "Twilio: unable to create record" in result.err
    assert "hint: evocall reconcile 0001 asks again" in result.err
    assert "may ring twice" in result.err


def test_10_the_profile_does_not_exist(evocall, signed_in):
    result = evocall("dial", "+18145550100", "--profile", "nobody")
    assert (result.code, signed_in.requests) == (10, [])


def test_10_the_profile_file_is_wrong(evocall, signed_in, config):
    path = config('[profiles.default]\ntimeout = "long"\n')
    result = evocall("dial", "+18145550100")
    assert (result.code, signed_in.requests) == (10, [])
    assert f"{path}, line 2" in result.err


def test_11_the_caller_id_is_not_owned(evocall, signed_in):
    result = evocall("dial", "+18145550100", "--caller-id", "+18145550123", "--json")
    document = document_of(result.out)
    assert (result.code, signed_in.calls, document["http_status"]) == (11, [], 400)
    assert [entry["field"] for entry in document["error"]["fields"]] == ["callerId"]


@pytest.mark.parametrize(
    ("ending", "patience", "code", "phase"), [("0112", "20", 12, "ended"), ("0100", "0.1", 13, "ringing")]
)
def test_12_and_13_nobody_answered_or_nobody_waited_so_long(
    evocall, signed_in_to, monkeypatch, ending, patience, code, phase
):
    """The call was placed all the same, and the document says so."""
    with Sandbox(answer_after=0.5) as server:
        signed_in_to(server.base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", server.manager.username)
        monkeypatch.setenv("EVOCALL_PASSWORD", server.manager.password)
        result = evocall("dial", f"+1814555{ending}", "--wait", "--wait-timeout", patience, "--json")
    document = document_of(result.out)
    assert (result.code, document["error"]["exit_code"], len(server.dials())) == (code, code, 1)
    assert (document["outcome"], document["ending"]["phase"]) == ("placed", phase)


# 130


@contextmanager
def dialling(base_url: str, home: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A dial in a process of its own, to be interrupted."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "EVOCALL_BASE_URL": base_url,
        "EVOCALL_USERNAME": "ops@example.com",
        "EVOCALL_PASSWORD": "correct horse",
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "evocall", "dial", "+18145550100", "--flow", FLOW, "--json", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_130_interrupted_while_waiting_for_the_answer(home, number):
    """The request has left: unknown, and said so on both streams."""
    with FaultServer(silent) as server, dialling(server.base_url, home) as process:
        assert server.touched.wait(20)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    document = document_of(out)
    assert (process.returncode, document["outcome"], len(server.posts)) == (130, "unknown", 1)
    assert document["error"]["code"] == "interrupted"
    assert "may have been placed" in err
    assert "Traceback" not in err


def greeting_silently(visit: Visit) -> None:
    """Takes the TLS greeting and never answers."""
    visit.peek()
    visit.stay_silent()


def test_130_interrupted_before_anything_was_sent(home):
    """During the TLS handshake: nothing was placed."""
    with (
        FaultServer(greeting_silently) as server,
        dialling(server.base_url.replace("http", "https"), home) as process,
    ):
        assert server.touched.wait(20)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, document_of(out)["outcome"]) == (130, "not_placed")
    assert "no call was placed" in err


def test_130_interrupted_between_two_attempts(home):
    """Nothing was placed, and there is no second attempt."""
    later = answering(http("503 Service Unavailable", b"", "Retry-After: 50"))
    with FaultServer(later) as server, dialling(server.base_url, home) as process:
        assert "Trying again in 50 s" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, document_of(out)["outcome"], len(server.posts)) == (130, "not_placed", 1)


# JSON


def test_a_placed_call_in_json_has_exactly_the_documented_keys(evocall, signed_in):
    result = evocall("dial", "+18145550100", "--json")
    document = document_of(result.out)
    [call] = signed_in.calls
    assert set(document) == CALL_KEYS
    assert document["error"] is None
    assert document["schema"] == 1
    assert document["number"] == "+18145550100"
    assert document["session_id"] == call.id
    assert document["response"]["id"] == call.id
    assert document["base_url"] == signed_in.base_url
    assert document["profile"] == "default"


@pytest.mark.parametrize(
    "arguments",
    [
        ("+18145550140",),
        ("+18145550150",),
        ("+18145550161",),
        ("+1814",),
        ("+19005550100",),
        ("+18145550100", "--profile", "nobody"),
        ("+18145550100", "--timeout", "0"),
        ("+18145550100", "--no-such-option"),
        (),
    ],
)
def test_a_failure_in_json_has_exactly_the_documented_keys(evocall, signed_in, arguments):
    """Whatever failed, and wherever."""
    result = evocall("dial", *arguments, "--json")
    document = document_of(result.out)
    assert (set(document), set(document["error"])) == (CALL_KEYS, ERROR_KEYS)
    assert (document["error"]["exit_code"], document["outcome"] == "placed") == (result.code, False)
    assert result.code != 0


def test_the_fields_of_an_error_are_named(evocall, signed_in):
    document = document_of(evocall("dial", "+18145550140", "--json").out)
    assert [set(entry) for entry in document["error"]["fields"]] == [{"field", "message"}] * 2
    assert [entry["field"] for entry in document["error"]["fields"]] == ["numberToDial", "flowId"]


def test_the_time_of_the_request_is_utc_in_milliseconds(evocall, signed_in):
    document = document_of(evocall("dial", "+18145550100", "--json").out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["requested_at"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"s1","price":NaN}',
        b'{"id":"s1","price":-Infinity}',
        b'{"id":"s1","price":1e999}',
        b'{"id":"s1","name":"\\ud800"}',
        b'{"id":"s1","name":"\xff\xfe"}',
        b"\xff\xfe not text",
        "grün \u202e \x1b[2J".encode(),
    ],
)
def test_the_document_is_json_whatever_the_service_sent(evocall, signed_in_to, body):
    """A script's parser must not stumble over what came from outside."""
    with FaultServer(answering(http("200 OK", body, kind="text/plain"))) as server:
        signed_in_to(server.base_url)
        result = evocall("dial", "+18145550100", "--json")
    assert set(document_of(result.out)) == CALL_KEYS
    assert result.out.isascii()
    assert "\x1b" not in result.out
