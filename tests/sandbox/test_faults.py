"""The fault table: a fictional number chooses what goes wrong."""

import http.client
import threading
from urllib.parse import urlsplit

import pytest

AREA = "+1814555"


@pytest.mark.parametrize("ending", ["0100", "0103", "0109", "0110", "0199"])
def test_numbers_not_listed_simply_ring(client, ending):
    """Most of the range has no fault."""
    assert client.dial(AREA + ending).status == 200


def test_0104_says_nothing(client):
    """204 without body or type, and the call is placed."""
    reply = client.dial(AREA + "0104")
    assert (reply.status, reply.reason, reply.body) == (204, "No Content", b"")
    assert reply.headers["Content-Type"] is None
    assert len(client.sandbox.calls) == 1


@pytest.mark.parametrize(
    ("ending", "status", "reason"), [("0129", 429, "TooManyRequests"), ("0153", 503, "ServiceUnavailable")]
)
def test_0129_and_0153_pass_every_other_time(client, ending, status, reason):
    """So that each rehearsal sees one; every number has its own turn."""
    replies = [client.dial(AREA + ending) for _ in range(4)]
    assert [reply.status for reply in replies] == [status, 200, status, 200]
    assert (replies[0].reason, replies[0].headers["Retry-After"]) == (reason, "1")
    assert len(client.sandbox.calls) == 2
    assert client.dial("+1212555" + ending).status == status


def test_0140_is_refused_with_field_errors(client):
    """400, each field with its reason."""
    reply = client.dial(AREA + "0140")
    assert (reply.status, len(reply.error["errors"])) == (400, 2)
    assert reply.error["errors"][0]["fieldName"] == "NumberToDial"
    assert client.sandbox.calls == []


def test_0141_and_0143_have_no_body(client):
    """What is wrong is said in the status line and the challenge."""
    unauthorized, forbidden = client.dial(AREA + "0141"), client.dial(AREA + "0143")
    assert (unauthorized.status, unauthorized.body) == (401, b"")
    assert unauthorized.headers["WWW-Authenticate"] == 'basic realm="/auth/basic"'
    assert (forbidden.status, forbidden.reason, forbidden.body) == (403, "Invalid Role", b"")
    assert client.sandbox.calls == []


def test_0144_is_not_found(client):
    """A 404 from the service is JSON."""
    reply = client.dial(AREA + "0144")
    assert (reply.status, reply.error["errorCode"]) == (404, "NotFound")


@pytest.mark.parametrize(("ending", "calls"), [("0150", 0), ("0151", 1)])
def test_0150_and_0151_look_the_same(client, ending, calls):
    """A 500 does not tell whether the call was placed."""
    reply = client.dial(AREA + ending)
    assert (reply.status, reply.reason) == (500, "Exception")
    assert reply.error["message"] == "Twilio: unable to create record"
    assert len(client.sandbox.calls) == calls


def test_0152_answers_like_a_proxy(client):
    """HTML although JSON was asked for, after placing the call."""
    reply = client.dial(AREA + "0152")
    assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert b"<h1>502 Bad Gateway</h1>" in reply.body
    assert len(client.sandbox.calls) == 1


@pytest.mark.parametrize(("ending", "calls"), [("0160", 1), ("0161", 0)])
def test_0160_and_0161_reset_the_connection(client, ending, calls):
    """A TCP reset, not an orderly end."""
    with pytest.raises(ConnectionResetError):
        client.dial(AREA + ending)
    assert len(client.sandbox.calls) == calls


def test_0162_keeps_the_client_waiting_until_stopped(client):
    """The call is placed at once; stop() does not wait for the answer."""
    ended = threading.Event()

    def dial() -> None:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            client.dial(AREA + "0162")
        ended.set()

    thread = threading.Thread(target=dial)
    thread.start()
    while not client.sandbox.calls:
        thread.join(0.001)
        assert thread.is_alive()
    client.sandbox.stop()
    assert ended.wait(10)
    thread.join()


def test_0163_sends_half_of_its_answer(client):
    """The declared length is that of the whole."""
    url = urlsplit(client.sandbox.base_url)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    body = f'{{"flowId":"665f1c0000000000000000aa","numberToDial":"{AREA}0163"}}'
    headers = {"Content-Type": "application/json", "Accept": "application/json", **client.manager}
    connection.request("POST", "/sessions/outgoing", body, headers)
    response = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    connection.close()
    assert response.status == 200
    assert abs(cut.value.expected - len(cut.value.partial)) <= 1
    assert len(client.sandbox.calls) == 1


def test_faults_come_after_the_checks(client):
    """A rehearsed fault does not hide a wrong flow."""
    assert client.dial(AREA + "0150", flow="nope").status == 404
