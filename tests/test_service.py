"""What one POST comes to, against servers that misbehave: placed, not placed, or unknown."""

import base64
import fcntl
import gzip
import json
import select
import ssl
import termios
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme

from evocall import __version__, errors
from evocall.model import Answer, Credential, DialRequest, Outcome, Profile
from evocall.service import Service
from tests.faultserver import (
    FaultServer,
    NeverAccepting,
    Script,
    Visit,
    answering,
    closing,
    closing_at_once,
    closing_unread,
    free_port,
    http,
    resetting,
    resetting_unread,
    silent,
    trickling,
)

REQUEST = DialRequest("665f1c0000000000000000aa", "+18145550100")
LOGIN = Credential("ops@example.com", "correct horse", "the test")
GZIPPED = gzip.compress(b'{"id":"s1"}', mtime=0)  # the time of day would give these tests another name each second
LOGIN_PAGE = b"<!DOCTYPE html><html><title>Sign in</title></html>"


def place_at(base_url: str, login: Credential = LOGIN, **settings: object) -> Answer:
    """One POST to that address."""
    profile = Profile("test", base_url, login.username, **{"timeout": 5.0, "connect_timeout": 5.0, **settings})
    service = Service(profile, login)
    try:
        return service.place(REQUEST)
    finally:
        service.close()


@pytest.fixture
def answer_to() -> Callable[..., tuple[Answer, FaultServer]]:
    """The answer to one POST against a script, and the stopped server with its counts."""

    def place(script: Script, **settings: object) -> tuple[Answer, FaultServer]:
        with FaultServer(script) as server:
            return place_at(server.base_url, **settings), server

    return place


def status_of(code: str, camel: str = "responseStatus", **fields: object) -> bytes:
    """ServiceStack's error body."""
    return json.dumps({camel: {"errorCode": code, **fields}}).encode()


# placed


@pytest.mark.parametrize(
    ("reply", "session_id", "response"),
    [
        (http("200 OK", b'{"id":"s1","callSid":"CA1"}'), "s1", {"id": "s1", "callSid": "CA1"}),
        (http("200 OK", b'{"callSid":"CA1"}'), "CA1", {"callSid": "CA1"}),
        (http("200 OK", b'{"Id":"S1","Direction":"Out"}'), "S1", {"Id": "S1", "Direction": "Out"}),
        (http("200 OK", b'{"id":7}'), None, {"id": 7}),
        (http("200 OK", b"{}"), None, {}),
        (http("200 OK", b'["s1"]'), None, ["s1"]),
        (http("200 OK", b'"CA1"'), None, "CA1"),
        (http("200 OK", b"queued", kind="text/plain"), None, "queued"),
        (http("200 OK"), None, None),
        (http("201 Created", b'{"id":"s1"}'), "s1", {"id": "s1"}),
        (http("202 Accepted"), None, None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, None),
        (b'HTTP/1.0 200 OK\r\n\r\n{"id":"s1"}', "s1", {"id": "s1"}),
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"id":\r\n5\r\n"s1"}\r\n0\r\n\r\n',
            "s1",
            {"id": "s1"},
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http("200 OK", b'{"id":"s1"}'), "s1", {"id": "s1"}),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 9 + http("200 OK", b'{"id":"s1"}'), "s1", {"id": "s1"}),
        (b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + http("200 OK", b'{"id":"s1"}'), "s1", {"id": "s1"}),
        (http("200 OK", GZIPPED, "Content-Encoding: gzip"), "s1", {"id": "s1"}),
        (http("200 OK", zlib.compress(b'{"id":"s1"}'), "Content-Encoding: deflate"), "s1", {"id": "s1"}),
        (http("204 No Content", b"", "Content-Encoding: gzip"), None, None),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 11 \t\r\n\r\n{"id":"s1"}', "s1", {"id": "s1"}),
        (http("200 OK", b'{"id":"s1","responseStatus":{}}'), "s1", {"id": "s1", "responseStatus": {}}),
        (http("200 OK", b'\xef\xbb\xbf{"id":"s1"}'), "s1", {"id": "s1"}),
        pytest.param(
            http("200 OK", b'{"responseStatus":{"errors":[]}}'),
            None,
            {"responseStatus": {"errors": []}},
            id="no field errors",
        ),
        pytest.param(
            http("200 OK", b'{"id":"s1","errorCode":"0"}'),
            "s1",
            {"id": "s1", "errorCode": "0"},
            id="a session with a code",
        ),
        pytest.param(
            http("200 OK", b'{"errorCode":null,"message":"queued"}'),
            None,
            {"errorCode": None, "message": "queued"},
            id="a message",
        ),
    ],
)
def test_a_whole_successful_answer_means_placed(answer_to, reply, session_id, response):
    """Whatever is in it, for the operation documents no answer; an ID is taken from where there is one."""
    answer, server = answer_to(answering(reply))
    assert (Outcome.PLACED, session_id, response) == (answer.outcome, answer.session_id, answer.response)
    assert answer.error is None
    assert len(server.posts) == 1


# unknown


CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{"id":"s1"}\r\n'


def cut(body: bytes) -> bytes:
    """An answer that promises twice what it holds."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (2 * len(body)) + body


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(answering(http("200 OK", LOGIN_PAGE, kind="text/html")), "html_answer", id="an HTML page"),
        pytest.param(answering(http("200 OK", LOGIN_PAGE)), "html_answer", id="an HTML page that says it is JSON"),
        pytest.param(answering(http("200 OK", b'{"id":"s')), "half_answer", id="broken JSON"),
        pytest.param(
            answering(http("200 OK", b'{"id":"s', kind="Application/JSON")), "half_answer", id="broken JSON in capitals"
        ),
        pytest.param(answering(cut(b'{"id":"s1"}')), "half_answer", id="half a body"),
        pytest.param(
            answering(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{"id":"s1"}\r\n'),
            "half_answer",
            id="chunks without an end",
        ),
        pytest.param(
            answering(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"id":"s1"}'),
            "half_answer",
            id="half a chunk",
        ),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
            "half_answer",
            id="chunks without sizes",
        ),
        *(
            pytest.param(answering(CHUNKED + end), "half_answer", id=f"chunks that end with {end!r}")
            for end in (b"0", b"0\r\n", b"0\r\n\r", b"0\r\nX-Sum: 1\r\n")
        ),
        pytest.param(answering(CHUNKED[:-16] + b"0"), "half_answer", id="half of the one empty chunk"),
        *(
            pytest.param(
                answering(http("200 OK", GZIPPED[:size], "Content-Encoding: gzip")),
                "half_answer",
                id=f"{size} bytes of a gzip",
            )
            for size in (0, 5, 10, 15, -9, -8, -1)
        ),
        pytest.param(
            answering(http("200 OK", b"\x0b\x02\x80abc", "Content-Encoding: br", kind=None)), "half_answer", id="Brotli"
        ),
        pytest.param(
            answering(http("200 OK", b"no gzip", "Content-Encoding: gzip", kind=None)), "half_answer", id="no gzip"
        ),
        pytest.param(answering(http("206 Partial Content", b'{"id":"s1"}')), "half_answer", id="a part"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"), "half_answer", id="no JSON"
        ),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\n\r\n"), "half_answer", id="nothing"),
        *(
            pytest.param(answering(http("200 OK", page, kind=kind)), "html_answer", id=f"{page[:9]!r}, type {kind}")
            for page in (
                b"\xef\xbb\xbf<!DOCTYPE html><html>",
                "\ufeff<html>".encode("utf-16-le"),
                b"<!-- portal --><html>",
                b"\n<head><title>Login</title></head>",
                b"<?xml version='1.0'?><!DOCTYPE html><html>",
            )
            for kind in (None, "text/plain")
        ),
        pytest.param(
            answering(http("200 OK", status_of("TwilioException", message="Not authorized"))),
            "error_answer",
            id="ServiceStack's error",
        ),
        pytest.param(
            answering(http("200 OK", status_of("TwilioException", "ResponseStatus"), kind="text/plain")),
            "error_answer",
            id="ServiceStack's error in Pascal case",
        ),
        *(
            pytest.param(answering(http("200 OK", body)), "error_answer", id=what)
            for what, body in {
                "field errors alone": b'{"responseStatus":{"errors":[{"errorCode":"NotEmpty","fieldName":"flowId"}]}}',
                "field errors in Pascal case": b'{"ResponseStatus":{"ErrorCode":null,"Errors":[{"FieldName":"To"}]}}',
                "field errors beside a session": b'{"id":"s1","responseStatus":{"errors":[{"message":"x"}]}}',
                "a plain error": b'{"errorCode":"NotEmpty","message":"x"}',
                "a plain error in Pascal case": b'{"ErrorCode":"NotEmpty","responseStatus":{}}',
            }.items()
        ),
        pytest.param(answering(http("200 OK", b" " * (5 * 1024 * 1024 + 1))), "half_answer", id="more than 5 MiB"),
        pytest.param(resetting, "connection_lost", id="reset after reading"),
        pytest.param(resetting_unread, "connection_lost", id="reset before reading"),
        pytest.param(closing, "connection_lost", id="closed in order without an answer"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Le"), "connection_lost", id="half a header"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\n"), "connection_lost", id="a status line and no more"),
        pytest.param(answering(b"220 mail.example.com ESMTP\r\n"), "connection_lost", id="not HTTP"),
        pytest.param(answering(b"HTTP/1.1 abc OK\r\n\r\n"), "connection_lost", id="a status that is no number"),
        pytest.param(answering(b"\x00" * 200_000), "connection_lost", id="a line without an end"),
        pytest.param(answering(b"HTTP/1.1 103 Hints\r\n\r\n"), "connection_lost", id="an interim answer alone"),
        pytest.param(answering(b"HTTP/1.1 103 Hints\r\nLink: "), "connection_lost", id="half an interim answer"),
        pytest.param(
            answering(b"HTTP/1.1 103 Hints\r\n\r\n" * 100 + http("204 No Content")),
            "connection_lost",
            id="interim answers without end",
        ),
        pytest.param(answering(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n"), "server_error", id="101"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            "connection_lost",
            id="a transfer coding that nobody has asked for",
        ),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc"), "connection_lost", id="no length"),
    ],
)
def test_an_answer_that_cannot_be_believed_means_unknown(answer_to, script, code):
    """The request may have placed a call, so it is sent once and never again."""
    answer, server = answer_to(script)
    assert (Outcome.UNKNOWN, code, False) == (answer.outcome, answer.error.code, answer.resend)
    assert answer.error.exit_code == errors.ExitCode.UNKNOWN
    assert server.connections == 1
    assert len(server.posts) == (0 if script is resetting_unread else 1)


def test_what_an_error_in_a_success_says_is_passed_on(answer_to):
    """The service has refused, or failed: which of them, only its words can tell."""
    body = status_of("TwilioException", message="Account not authorized to call +18145550100")
    answer, _ = answer_to(answering(http("200 OK", body)))
    assert answer.outcome is Outcome.UNKNOWN
    assert answer.error.said == "TwilioException: Account not authorized to call +18145550100"
    assert answer.response == json.loads(body)


@pytest.mark.parametrize(
    ("body", "said", "fields"),
    [
        pytest.param(
            {"responseStatus": {"errors": [{"errorCode": "NotEmpty", "fieldName": "FlowId", "message": "is empty"}]}},
            None,
            (errors.FieldError("flowId", "is empty"),),
            id="fields",
        ),
        pytest.param({"ErrorCode": "NotEmpty", "Message": "it is"}, "NotEmpty: it is", (), id="plain"),
    ],
)
def test_so_is_what_it_says_about_fields_or_plainly(answer_to, body, said, fields):
    answer, _ = answer_to(answering(http("200 OK", json.dumps(body).encode())))
    assert (Outcome.UNKNOWN, said, fields) == (answer.outcome, answer.error.said, answer.error.fields)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(status_of("Exception", message="no database"), "Exception: no database", id="a code"),
        pytest.param(b'{"errorCode":"Exception","message":"no database"}', "Exception: no database", id="plain"),
        pytest.param(b'{"responseStatus":{"message":"no","errors":[{"fieldName":"Id"}]}}', "no", id="fields"),
    ],
)
def test_an_error_in_a_success_is_no_list_and_no_deed(body, said):
    """Asking gets no empty list, and ending a call has not ended it."""
    with FaultServer(answering(http("200 OK", body))) as server:
        service = Service(Profile("test", server.base_url, LOGIN.username), LOGIN)
        for method in ("GET", "DELETE"):
            with pytest.raises(errors.Unavailable) as raised:
                service.read(method, "/sessions/s1")
            assert (raised.value.code, raised.value.said) == ("error_answer", said)
        service.close()


@pytest.mark.parametrize("script", [closing_unread, closing_at_once])
def test_a_connection_closed_without_reading_means_unknown(answer_to, script):
    """Bytes were on their way; only the server knows how far they came."""
    answer, server = answer_to(script)
    assert (answer.outcome, answer.resend, server.connections) == (Outcome.UNKNOWN, False, 1)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(silent, id="silence"),
        pytest.param(trickling(b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000), id="a header that trickles"),
        pytest.param(
            trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"{" * 9999), id="a body that trickles"
        ),
        pytest.param(trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"{" * 9999), id="a body without a length that trickles"),
        pytest.param(
            trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n" * 2000),
            id="chunks that trickle",
        ),
    ],
)
def test_an_answer_that_is_late_means_unknown(answer_to, script):
    """The timeout is for the whole answer, not for each byte of it."""
    answer, server = answer_to(script, timeout=1.0)
    assert (answer.outcome, answer.resend, len(server.posts)) == (Outcome.UNKNOWN, False, 1)
    assert "in time" in str(answer.error) or "within 1 seconds" in str(answer.error)


def test_a_short_timeout_ends_while_a_longer_one_runs():
    """In a batch many answers are waited for at the same time, and asking after a call waits only for seconds."""
    with FaultServer(silent) as slow, FaultServer(trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"{" * 9999)) as server:
        patient = threading.Thread(target=place_at, args=(slow.base_url,), kwargs={"timeout": 8.0})
        patient.start()
        assert slow.touched.wait(10)
        answer = place_at(server.base_url, timeout=1.0)
        assert (answer.outcome, patient.is_alive()) == (Outcome.UNKNOWN, True)
    patient.join()


def test_an_answer_that_trickles_over_tls_is_cut_too():
    """Where reads go through the TLS layer."""
    authority = trustme.CA()
    with (
        authority.cert_pem.tempfile() as bundle,
        pytest.MonkeyPatch.context() as environment,
        FaultServer(trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"{" * 9999), tls=serving(authority)) as server,
    ):
        environment.setenv("REQUESTS_CA_BUNDLE", bundle)
        answer = place_at(server.base_url, timeout=1.0)
    assert (answer.outcome, len(server.posts)) == (Outcome.UNKNOWN, 1)


@pytest.mark.parametrize("status", [*range(500, 503), *range(504, 512), 520, 522, 524, 599])
def test_any_5xx_but_503_means_unknown(answer_to, status):
    """A 500 may come from after the call was placed."""
    answer, server = answer_to(answering(http(f"{status} Oops", status_of("Exception", message="Twilio says no"))))
    assert (Outcome.UNKNOWN, status, False) == (answer.outcome, answer.status, answer.resend)
    assert answer.error.said == "Exception: Twilio says no"
    assert len(server.posts) == 1


@pytest.mark.parametrize("status", [302, 303])
def test_a_redirect_that_may_follow_a_deed_means_unknown(answer_to, status):
    """302 and 303 are how a form is answered once it has been acted on."""
    answer, server = answer_to(answering(http(f"{status} See Other", b"", "Location: /sessions/s1")))
    assert (Outcome.UNKNOWN, status) == (answer.outcome, answer.status)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [103, 300, 304, 305, 399, 600, 999])
def test_a_status_that_means_nothing_here_means_unknown(answer_to, status):
    """What cannot be understood is not taken for a refusal."""
    answer, server = answer_to(answering(http(f"{status} Strange")))
    assert (answer.outcome, answer.resend, len(server.posts)) == (Outcome.UNKNOWN, False, 1)


# one connection for many calls


def kept(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An answer whose connection stays open."""
    return http(status, body, *headers).replace(b"Connection: close\r\n", b"")


NAMED, REFUSED = kept("200 OK", b'{"id":"s1"}'), kept("400 Bad Request", status_of("Wrong"))


def await_delivery(visit: Visit) -> None:
    """Come back when the other side's system has all that was sent; until then nobody can know of it.

    Raises OSError when the other side has ended the connection.
    """
    while any(fcntl.ioctl(visit._sock, termios.TIOCOUTQ, bytes(4))):
        visit._sock.getpeername()
        select.select([], [], [], 0.001)


@pytest.fixture
def place_both() -> Iterator[Callable[..., tuple[list[Answer], FaultServer]]]:
    """Two calls one after the other: the first is answered with these bytes, the second refused where it arrives.

    `late` is sent once the first call has its outcome, before the second one is sent.
    """
    with ExitStack() as stack:

        def place(
            first: bytes, late: bytes = b"", tls: ssl.SSLContext | None = None
        ) -> tuple[list[Answer], FaultServer]:
            answered, sent = threading.Event(), threading.Event()

            def begin(visit: Visit) -> None:
                visit.read()
                visit.send(first)
                answered.wait(10)
                try:
                    visit.send(late)
                    await_delivery(visit)
                finally:  # the client may have closed the connection, which is fine
                    sent.set()
                refuse(visit)

            def refuse(visit: Visit) -> None:
                while True:
                    visit.read()
                    visit.send(REFUSED)

            server = stack.enter_context(FaultServer(begin, refuse, tls=tls))
            service = Service(Profile("test", server.base_url, LOGIN.username, timeout=5.0), LOGIN)
            stack.callback(service.close)
            answers = [service.place(REQUEST)]
            answered.set()
            assert sent.wait(10)
            return [*answers, service.place(REQUEST)], server

        yield place


def test_a_connection_is_used_again_after_an_answer_that_leaves_no_doubt(place_both):
    """Otherwise the tests below would say nothing."""
    answers, server = place_both(NAMED)
    assert [answer.outcome for answer in answers] == ["placed", "not_placed"]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("first", "late"),
    [
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", NAMED, id="101"),
        pytest.param(NAMED + NAMED, b"", id="two answers at once"),
        pytest.param(NAMED + NAMED[:20], NAMED[20:], id="an answer and a half"),
        pytest.param(NAMED, NAMED, id="one more answer later"),
        pytest.param(kept("204 No Content") + NAMED, b"", id="an answer after one without a body"),
        pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 11\r\n\r\n", NAMED[-11:], id="204 with a length"),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n" + NAMED, id="204 in chunks"
        ),
        pytest.param(kept("500 Oops"), NAMED, id="500 after all"),
        pytest.param(kept("503 Later"), NAMED, id="503 after all"),
        pytest.param(kept("429 Later"), NAMED, id="429 after all"),
        pytest.param(REFUSED, NAMED, id="400 after all"),
        pytest.param(kept("304 Not Modified"), NAMED, id="304"),
        pytest.param(CHUNKED[:17] + b"Content-Length: 3\r\n" + CHUNKED[17:] + b"0\r\n\r\n", NAMED, id="two lengths"),
    ],
)
@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_on_which_anything_odd_was_seen_is_not_used_again(place_both, monkeypatch, first, late, secure):
    """What comes too late would be taken for the answer to the next call: a session for a number that was refused."""
    authority = trustme.CA()
    with authority.cert_pem.tempfile() as bundle:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        answers, server = place_both(first, late, serving(authority) if secure else None)
    assert (answers[1].outcome, answers[1].status, answers[1].session_id) == ("not_placed", 400, None)
    assert server.connections == 2


def test_a_late_answer_after_an_interim_one_belongs_to_its_own_call():
    """103 leaves the call open until the final answer comes, on the same connection."""

    def answer_late(visit: Visit) -> None:
        visit.read()
        visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        visit.trickle(NAMED)
        visit.read()
        visit.send(REFUSED)

    with FaultServer(answer_late) as server:
        service = Service(Profile("test", server.base_url, LOGIN.username, timeout=10.0), LOGIN)
        answers = [service.place(REQUEST), service.place(REQUEST)]
        service.close()
    assert [(answer.outcome, answer.session_id) for answer in answers] == [("placed", "s1"), ("not_placed", None)]
    assert server.connections == 1


# not placed: refused by the service


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, errors.Rejected) for status in (400, 402, *range(405, 429), 430, 431, 451, 499)),
        (401, errors.AuthError),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (429, errors.RateLimited),
        (503, errors.Unavailable),
    ],
)
@pytest.mark.parametrize("camel", ["responseStatus", "ResponseStatus"])
def test_a_refusal_means_not_placed(answer_to, status, kind, camel):
    """Each with its own error; only 429 and 503 may be asked again."""
    fields = [{"errorCode": "NotEmpty", "fieldName": "FlowId", "message": "'Flow Id' must not be empty."}]
    body = status_of("Wrong", camel, message="It is wrong.", errors=fields)
    answer, server = answer_to(answering(http(f"{status} No", body)))
    assert (Outcome.NOT_PLACED, status, kind) == (answer.outcome, answer.status, type(answer.error))
    assert answer.resend is (status in {429, 503})
    assert answer.error.said == "Wrong: It is wrong."
    assert answer.error.fields == (errors.FieldError("flowId", "'Flow Id' must not be empty."),)
    assert answer.response == json.loads(body)
    assert len(server.posts) == 1


def test_fields_in_pascal_case_are_read_too(answer_to):
    """All the way down."""
    body = {
        "ResponseStatus": {
            "ErrorCode": "ArgumentException",
            "Message": "not owned\r\nParameter name: CallerId",
            "Errors": [{"FieldName": "CallerId", "Message": "not owned\nParameter name: CallerId"}],
        }
    }
    answer, _ = answer_to(answering(http("400 Bad Request", json.dumps(body).encode())))
    assert answer.error.said == "ArgumentException: not owned"
    assert answer.error.fields == (errors.FieldError("callerId", "not owned"),)
    assert "must be a phone number that the account owns" in answer.error.hint


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"responseStatus":null}',
        b'{"responseStatus":[1]}',
        b'{"responseStatus":{"errors":[1]}}',
    ],
)
def test_an_error_body_of_another_shape_is_no_defect(answer_to, body):
    """The status says enough."""
    answer, _ = answer_to(answering(http("400 Bad Request", body)))
    assert (Outcome.NOT_PLACED, errors.Rejected) == (answer.outcome, type(answer.error))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
def test_a_refusal_counts_also_when_its_body_breaks_off(answer_to, status):
    """The status line was there."""
    reply = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{" % status
    answer, _ = answer_to(answering(reply))
    assert (Outcome.NOT_PLACED, status) == (answer.outcome, answer.status)


def test_a_401_without_a_body_means_that_no_credential_was_seen(answer_to):
    """A challenge and nothing else is what ServiceStack says to nobody."""
    answer, _ = answer_to(answering(http("401 Unauthorized", b"", 'WWW-Authenticate: basic realm="/auth/basic"')))
    assert (errors.AuthError, "not_signed_in") == (type(answer.error), answer.error.code)


def test_a_401_with_a_body_means_that_the_login_is_wrong(answer_to):
    """And the service's words are passed on."""
    body = status_of("Unauthorized", message="Invalid Username or Password")
    answer, _ = answer_to(answering(http("401 Unauthorized", body, 'WWW-Authenticate: basic realm="/auth/basic"')))
    assert (answer.error.code, answer.error.said) == ("wrong_login", "Unauthorized: Invalid Username or Password")
    assert "correct horse" not in f"{answer.error} {answer.error.hint}"


def test_a_403_without_a_body_is_about_the_role(answer_to):
    """The reason phrase alone is no message."""
    answer, _ = answer_to(answering(http("403 Invalid Role")))
    assert (errors.Forbidden, "forbidden") == (type(answer.error), answer.error.code)
    assert "neither the role Manager nor SystemAdministrator" in str(answer.error)


def test_a_403_that_is_a_page_is_about_something_in_between(answer_to):
    """A firewall speaks HTML, the service does not."""
    answer, _ = answer_to(answering(http("403 Forbidden", b"<html>Blocked</html>", kind="text/html")))
    assert (errors.Forbidden, "blocked") == (type(answer.error), answer.error.code)


def test_a_404_in_json_is_about_the_flow(answer_to):
    """The service itself speaks."""
    answer, _ = answer_to(answering(http("404 Not Found", status_of("NotFound", message="Flow not found"))))
    assert (errors.NotFound, "not_found") == (type(answer.error), answer.error.code)


def test_a_404_of_three_bytes_is_about_the_address(answer_to):
    """That is what a ServiceStack host says to a route that it does not have."""
    answer, _ = answer_to(answering(http("404 Not Found", b"404", kind="text/plain")))
    assert (errors.NotFound, "no_such_route") == (type(answer.error), answer.error.code)
    assert "base_url" in answer.error.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/login?redirect=%2fsessions", "https://evo.example/Login", "/auth/signin"])
def test_a_login_page_means_that_nobody_is_signed_in(answer_to, status, location):
    """And nothing was placed."""
    answer, server = answer_to(answering(http(f"{status} Found", b"", f"Location: {location}")))
    assert (Outcome.NOT_PLACED, errors.AuthError) == (answer.outcome, type(answer.error))
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_service_that_has_moved_is_not_followed(answer_to, status):
    """The login stays with the host that it was given for."""
    with FaultServer(answering(http("200 OK"))) as elsewhere:
        answer, _ = answer_to(
            answering(http(f"{status} Moved", b"", f"Location: {elsewhere.base_url}/sessions/outgoing"))
        )
    assert (Outcome.NOT_PLACED, errors.ConfigError) == (answer.outcome, type(answer.error))
    assert elsewhere.base_url in str(answer.error)
    assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 7"], 7.0),
        (["Retry-After: 0"], 0.0),
        (
            [
                f"Retry-After: {formatdate(1_800_000_030, usegmt=True)}",
                f"Date: {formatdate(1_800_000_000, usegmt=True)}",
            ],
            30.0,
        ),
        (
            [
                f"Retry-After: {formatdate(1_799_999_000, usegmt=True)}",
                f"Date: {formatdate(1_800_000_000, usegmt=True)}",
            ],
            0.0,
        ),
        (["Retry-After: soon"], None),
        (["Retry-After: -5"], None),
        (["Retry-After: 1.5"], None),
        (["Retry-After: \xb2"], None),
        ([f"Retry-After: {formatdate(1_800_000_030, usegmt=True)}"], None),
        (["Retry-After: Fri, 99 Zzz 2026 00:00:00 GMT", f"Date: {formatdate(1_800_000_000, usegmt=True)}"], None),
        ([], None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(answer_to, status, headers, seconds):
    """The date counts by the server's own clock, not by ours; what is neither is as if it were not there."""
    answer, _ = answer_to(answering(http(f"{status} Later", b"", *headers)))
    assert (True, seconds) == (answer.resend, answer.retry_after)


def test_a_sign_in_that_is_asked_to_wait_says_for_how_long(answer_to):
    """The request for the cookies is no other than the one for the call."""
    answer, server = answer_to(answering(http("429 Later", b"", "Retry-After: 7")), sign_in="cookies")
    assert (answer.outcome, answer.resend, answer.retry_after) == ("not_placed", True, 7.0)
    assert [b"/auth/credentials" in request.head for request in server.requests] == [True]


# not placed: never sent


def test_a_refused_connection_may_be_tried_again():
    answer = place_at(f"http://127.0.0.1:{free_port()}")
    assert (answer.outcome, answer.error.code, answer.resend) == (Outcome.NOT_PLACED, "connection_refused", True)
    assert answer.error.exit_code == errors.ExitCode.UNAVAILABLE


def test_a_connection_that_is_never_completed_may_be_tried_again():
    with NeverAccepting() as server:
        answer = place_at(server.base_url, connect_timeout=0.3)
    assert (answer.outcome, answer.error.code, answer.resend) == (Outcome.NOT_PLACED, "connect_timeout", True)


def test_a_name_that_does_not_resolve_may_be_tried_again():
    """A resolver may be down for a moment."""
    answer = place_at("https://nosuchhost.invalid")
    assert (answer.outcome, answer.error.code, answer.resend) == (Outcome.NOT_PLACED, "dns", True)


@pytest.mark.parametrize("name", ["a" * 70 + ".example", "a..example", "-\x7f.example"])
def test_a_name_that_cannot_exist_is_not_tried_again(name):
    """It is nothing that passes."""
    answer = place_at(f"https://{name}")
    assert (Outcome.NOT_PLACED, errors.Unavailable, False) == (answer.outcome, type(answer.error), answer.resend)


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
    return context


def test_a_certificate_that_is_not_accepted_is_not_tried_again():
    """It will not be accepted a second later either."""
    with FaultServer(silent, tls=serving(trustme.CA())) as server:
        answer = place_at(server.base_url)
    assert (answer.outcome, answer.error.code, answer.resend) == (Outcome.NOT_PLACED, "tls_certificate", False)
    assert (server.connections, server.requests) == (1, [])


def garbling(visit: Visit) -> None:
    """Answers the TLS greeting with something else."""
    visit.peek()
    visit.send(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")


def greeting_silently(visit: Visit) -> None:
    """Takes the TLS greeting and never answers."""
    visit.peek()
    visit.stay_silent()


@pytest.mark.parametrize(
    ("script", "resend"),
    [(garbling, False), (closing_unread, True), (resetting_unread, True), (greeting_silently, True)],
)
def test_a_tls_handshake_that_fails_means_not_placed(script, resend):
    """Tried again only when the reason may pass: the connection broke off, or there was no answer in time."""
    with FaultServer(script) as server:
        answer = place_at(server.base_url.replace("http", "https"), connect_timeout=1.0)
    assert (Outcome.NOT_PLACED, errors.Unavailable, resend) == (answer.outcome, type(answer.error), answer.resend)
    assert server.connections == 1


# what is sent


def test_the_request_on_the_wire_is_exactly_this(answer_to):
    """Nothing that a library adds on its own."""
    _, server = answer_to(answering(http("204 No Content")))
    [request] = server.requests
    body = b'{"flowId": "665f1c0000000000000000aa", "numberToDial": "+18145550100"}'
    lines = {
        "POST /sessions/outgoing HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"User-Agent: evocall/{__version__}",
        "Authorization: Basic " + base64.b64encode(b"ops@example.com:correct horse").decode(),
    }
    assert lines == set(request.head.decode("latin-1").split("\r\n"))
    assert body == request.body


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ops@example.com", "grün"),
        ("ops@example.com", "5 € a day"),
        ("ops@example.com", "🔑 under the mat"),
        ("ops@example.com", "with:colons:in:it"),
        ("jürgen", " leading and trailing "),
        ("ops@example.com", "x" * 300),
    ],
)
def test_the_login_travels_in_utf8(answer_to, username, password):
    """As RFC 7617 has it, on one line, whatever is in it."""
    _, server = answer_to(answering(http("204 No Content")), login=Credential(username, password, "the test"))
    scheme, _, encoded = server.requests[0].headers["authorization"].partition(" ")
    assert ("Basic", f"{username}:{password}") == (scheme, base64.b64decode(encoded, validate=True).decode())


def test_a_base_url_may_have_a_path_and_a_slash_at_its_end():
    with FaultServer(answering(http("204 No Content"))) as server:
        place_at(f"{server.base_url}/api/")
    assert server.requests[0].head.startswith(b"POST /api/sessions/outgoing HTTP/1.1\r\n")


def test_cookies_are_not_brought_back():
    """With Basic each request stands alone; a session from before could be somebody else's."""
    cookie = "Set-Cookie: ss-id=abc; path=/"
    with FaultServer(answering(http("503 Later", b"", cookie)), answering(http("204 No Content"))) as server:
        service = Service(Profile("test", server.base_url, LOGIN.username), LOGIN)
        service.place(REQUEST)
        service.place(REQUEST)
        service.close()
    assert ["cookie" in request.headers for request in server.posts] == [False, False]


def test_a_netrc_file_has_no_say(answer_to, home: Path):
    """Neither for a login by Basic nor by cookies."""
    (home / ".netrc").write_text("default login mallory password other\n")
    (home / ".netrc").chmod(0o600)
    _, basic = answer_to(answering(http("204 No Content")))
    _, cookies = answer_to(answering(http("200 OK", b"{}")), sign_in="cookies")
    assert base64.b64decode(basic.requests[0].headers["authorization"].split()[1]) == b"ops@example.com:correct horse"
    assert [request.headers.get("authorization") for request in cookies.requests] == [None, None]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_is_not_used_for_this_machine(answer_to, monkeypatch, variable):
    """A proxy elsewhere could not find the sandbox."""
    with FaultServer(answering(http("502 Bad Gateway"))) as proxy:
        monkeypatch.setenv(variable, proxy.base_url)
        answer, server = answer_to(answering(http("204 No Content")))
    assert (answer.outcome, server.connections, proxy.connections) == (Outcome.PLACED, 1, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1.nip.invalid", "localhost.example.com", "192.0.2.1", "[::]"])
def test_plain_http_to_another_machine_is_refused(evocall, monkeypatch, host):
    """The password would travel in the clear; 0.0.0.0 would even reach the server of this test."""
    with FaultServer(answering(http("204 No Content"))) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", f"http://{host}:{server.port}")
        monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "correct horse")
        result = evocall("dial", "+18145550100", "--flow", REQUEST.flow_id)
    assert (result.code, result.out, server.connections) == (10, "", 0)
    assert "plain http" in result.err


# signing in with cookies


def test_a_session_that_cannot_be_opened_means_not_placed(answer_to):
    """The POST that places is never sent."""
    body = status_of("Unauthorized", message="Invalid Username or Password")
    answer, server = answer_to(answering(http("401 Unauthorized", body)), sign_in="cookies")
    assert (Outcome.NOT_PLACED, errors.AuthError, False) == (answer.outcome, type(answer.error), answer.resend)
    assert [request.head.split(b"\r\n")[0] for request in server.posts] == [b"POST /auth/credentials HTTP/1.1"]


@pytest.mark.parametrize("script", [silent, resetting, closing, answering(http("500 Oops"))])
def test_a_sign_in_without_an_answer_may_be_tried_again(answer_to, script):
    """Signing in rings nobody."""
    answer, server = answer_to(script, sign_in="cookies", timeout=1.0)
    assert (Outcome.NOT_PLACED, errors.Unavailable, True) == (answer.outcome, type(answer.error), answer.resend)
    assert len(server.posts) == 1
