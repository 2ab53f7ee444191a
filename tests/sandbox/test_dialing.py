"""POST /sessions/outgoing: how a body is read, what is validated, what comes back."""

import gzip
import re

import pytest

from evocall.sandbox import Sandbox

GOOD = '{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093"}'


def test_a_call_is_answered_with_its_session(client):
    """The fields a client may want, with the date in ServiceStack's form."""
    reply = client.dial(caller_id="+18145550190")
    session = reply.json
    assert (reply.status, reply.reason) == (200, "OK")
    assert re.fullmatch(r"[0-9a-f]{24}", session["id"])
    assert re.fullmatch(r"CA[0-9a-f]{32}", session["callSid"])
    assert (session["numberToDial"], session["fromAddress"]) == ("+18144043093", "+18145550190")
    assert session["flowId"] == "665f1c0000000000000000aa"
    assert b'"dateCreated":"\\/Date(1795424639189)\\/"' in reply.body
    (call,) = client.sandbox.calls
    assert (call.id, call.flow_id) == (session["id"], session["flowId"])


def test_iso_dates_on_request(client):
    """Any client may switch the date format."""
    assert client.post(GOOD, "/sessions/outgoing?jsconfig=dh:iso8601").json["dateCreated"].endswith(".1890000Z")


@pytest.mark.parametrize(
    "body",
    [
        '{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093"',
        '{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093",}',
        GOOD + " and more",
        "\ufeff" + GOOD,
        '{"flowId":"nope","flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093"}',
        '{"FLOWID":"665f1c0000000000000000aa","numbertodial":"+18144043093"}',
        '{"flowId":"665f1c0000000000000000aa","callerId":null,"numberToDial":"+18144043093"',
        '{"flowId":665f1c0000000000000000aa,"numberToDial":+18144043093}',
        r'{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093","x":"\q"}',
        '{"FlowId":"665f1c0000000000000000aa","NumberToDial":"+18144043093","more":{"deep":[1]},"callerId":null}',
    ],
)
def test_sloppy_json_places_the_call(client, body):
    """What ServiceStack forgives is forgiven."""
    assert client.post(body).status == 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "{'flowId':'665f1c0000000000000000aa'}",
        "{flowId:665f1c0000000000000000aa}",
        '{"flowId"',
        '{"flow_id":"alert","number-to-dial":"+1814"}',
    ],
)
def test_json_beyond_understanding_is_an_empty_object(client, body):
    """So both fields are reported missing."""
    reply = client.post(body)
    assert (reply.status, reply.reason) == (400, "NotEmpty")
    assert reply.headers["Connection"] == "close"
    first, second = reply.error["errors"]
    assert reply.error["message"] == first["message"] == "'Flow Id' must not be empty."
    assert (first["fieldName"], first["meta"]) == ("FlowId", {"PropertyName": "Flow Id"})
    assert second["fieldName"] == "NumberToDial"


@pytest.mark.parametrize("body", ["hello", "[]", '"text"', "12", "null"])
def test_what_is_no_object_is_a_serialization_error(client, body):
    """The start of the text is echoed."""
    reply = client.post(body)
    assert (reply.status, reply.reason) == (400, "Bad Request")
    assert reply.error["errorCode"] == "SerializationException"
    assert body in reply.error["message"]


def test_a_body_cut_inside_a_string_is_a_500(client):
    """The one kind of broken JSON that ends in an exception."""
    reply = client.post(GOOD[:-6])
    assert (reply.status, reply.reason) == (500, "Internal Server Error")
    assert reply.error["errorCode"] == "IndexOutOfRangeException"


@pytest.mark.parametrize(
    ("value", "text"),
    [("4915112345678", "4915112345678"), ("true", "true"), ('{"a":1}', "{a:1}"), ('["+49151"]', "[+49151]")],
)
def test_values_that_are_no_strings_are_taken_as_text(client, value, text):
    """They fail the number's validator, which echoes them."""
    reply = client.post(f'{{"flowId":"665f1c0000000000000000aa","numberToDial":{value}}}')
    (error,) = reply.error["errors"]
    assert (reply.reason, error["meta"]["PropertyValue"]) == ("InvalidNumber", text)


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/vnd.api+json", None])
def test_json_under_another_type_is_ignored(client, kind):
    """Never a 415: the fields are simply missing."""
    assert client.post(GOOD, content_type=kind).reason == "NotEmpty"


@pytest.mark.parametrize("kind", ["text/json", "application/json; charset=iso-8859-1", "APPLICATION/JSON"])
def test_other_spellings_of_json_work(client, kind):
    """The charset is not looked at."""
    assert client.post(GOOD, content_type=kind).status == 200


def test_forms_work_and_turn_plus_into_a_blank(client):
    """An unescaped plus makes the number invalid."""
    form = "application/x-www-form-urlencoded"
    assert client.post("flowId=665f1c0000000000000000aa&numberToDial=%2B18144043093", content_type=form).status == 200
    assert (
        client.post("flowId=665f1c0000000000000000aa&numberToDial=+18144043093", content_type=form).reason
        == "InvalidNumber"
    )


def test_xml_works_with_the_right_namespace(client):
    """Without it the elements are strangers."""
    inner = "<FlowId>665f1c0000000000000000aa</FlowId><NumberToDial>+18144043093</NumberToDial></NewOutgoingSession>"
    space = ' xmlns="http://schemas.datacontract.org/2004/07/Voice.Api.Sessions"'
    kind = "application/xml"
    assert client.post(f"<NewOutgoingSession{space}>{inner}", content_type=kind).status == 200
    assert client.post(f"<NewOutgoingSession>{inner}", content_type=kind).reason == "NotEmpty"
    assert client.post("no xml", content_type=kind).error["errorCode"] == "SerializationException"


def test_a_gzipped_body_is_read(client):
    """As long as its length is declared."""
    assert client.post(gzip.compress(GOOD.encode()), content_encoding="gzip").status == 200
    assert client.post(b"not gzip", content_encoding="gzip").reason == "Bad Request"


def test_the_query_wins_over_the_body(client):
    """Known names replace fields, unknown ones are ignored."""
    assert client.post(GOOD, "/sessions/outgoing?flowId=nope&x=1").reason == "NotFound"
    assert (
        client.post("{}", "/sessions/outgoing?flowId=665f1c0000000000000000aa&numberToDial=%2B18144043093").status
        == 200
    )


def test_an_unknown_flow_is_a_404_in_json(client):
    """Unlike a route that does not exist."""
    reply = client.dial(flow="665f1c0000000000000000ff")
    assert (reply.status, reply.reason) == (404, "NotFound")
    assert reply.error == {"errorCode": "NotFound", "message": "Flow not found", "errors": []}


def test_a_flow_goes_by_its_id_and_not_by_its_name(client):
    """In whatever case."""
    first = next(flow for flow in client.sandbox.flows if flow.name == "duplicate")
    assert client.dial(flow=first.id.upper()).json["flowId"] == first.id
    assert client.dial(flow="duplicate").status == 404


def test_a_foreign_caller_id_is_an_argument_error(client):
    """Only the message on top carries the parameter's name."""
    reply = client.dial(caller_id="+12125550100")
    (error,) = reply.error["errors"]
    assert (reply.status, reply.reason) == (400, "ArgumentException")
    assert reply.error["message"] == error["message"] + "\nParameter name: CallerId"
    assert error["fieldName"] == "CallerId"


def test_the_service_picks_a_caller_id_other_than_the_callee(client):
    """Nobody is called from their own number."""
    number = client.sandbox.numbers[0]
    assert {client.dial(number).json["fromAddress"] for _ in range(20)} <= set(client.sandbox.numbers[1:])


def test_nothing_is_idempotent(client):
    """The same key twice rings twice."""
    for _ in range(2):
        client.post(GOOD, idempotency_key="k")
    assert len(client.sandbox.calls) == 2


def test_requests_are_kept_as_they_came(client):
    """`dials` knows every spelling of the route, and the number in body or query."""
    client.post(GOOD, "/Sessions//Outgoing/")
    client.post('{"flowId":"665f1c0000000000000000aa"}', "/json/reply/NewOutgoingSession?numberToDial=%2B18145550100")
    client.post("not an object")
    client.get("/flows")
    requests = client.sandbox.requests
    assert [request.method for request in requests] == ["POST", "POST", "POST", "GET"]
    assert (requests[0].path, requests[0].body) == ("/Sessions//Outgoing/", GOOD.encode())
    assert ("Accept", "application/json") in requests[0].headers
    assert client.sandbox.dials() == requests[:3]
    assert client.sandbox.dials("+18145550100") == [requests[1]]


def test_a_value_nested_too_deep_is_a_500_and_not_the_end(client):
    """Whatever is thrown becomes an answer."""
    assert client.post('{"a":' + "[" * 100_000).status == 500
    assert client.sandbox.dials("+18144043093") == []
    assert client.dial().status == 200


def test_extra_flows_fill_many_pages(client_of):
    """Ten thousand of them are cheap."""
    with Sandbox(extra_flows=10_000) as sandbox:
        client = client_of(sandbox)
        assert client.get("/flows?countPerPage=100").json["totalCount"] == 10_007
        assert client.dial(flow=sandbox.flows[-1].id).json["flowId"] == sandbox.flows[-1].id
