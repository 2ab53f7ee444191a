"""Routes and formats: how a path is spelled, and how an answer is written."""

import re

import pytest

VIRTUAL = "+18145550199"
GOOD = '{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093"}'


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/outgoing/",
        "/SESSIONS/Outgoing",
        "//sessions//outgoing",
        "/sessions%2Foutgoing",
        "/sessions/outgoing.json",
        "/json/reply/NewOutgoingSession",
        "http://evovoice.example/sessions/outgoing",
    ],
)
def test_one_route_has_many_spellings(client, path):
    """Slashes, case, escapes, suffix, the predefined route, a proxy's absolute form."""
    assert client.post(GOOD, path).status == 200


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/sessions/outgoing/more"),
        ("OPTIONS", "/sessions/outgoing"),
        ("GET", "/sessions/outgoing"),
        ("DELETE", "/sessions/outgoing"),
        ("DELETE", "/flows"),
        ("GET", "/"),
        ("GET", "/login"),
        ("GET", "/flows.png"),
        ("GET", "/json/reply/Unknown"),
        ("GET", "/./flows"),
    ],
)
def test_no_such_route_is_three_bytes_of_text(client, verb, path):
    """For a wrong verb too, before any sign-in."""
    reply = client.send(verb, path)
    assert (reply.status, reply.reason, reply.body) == (404, "Not Found", b"404")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.cookies == {}


def test_a_wrong_verb_on_the_predefined_route_is_a_405(client):
    """In JSON."""
    reply = client.get("/json/reply/NewOutgoingSession")
    assert (reply.status, reply.error["errorCode"]) == (405, "NotImplementedException")


def test_head_is_never_answered(client):
    """405 where GET works, 404 elsewhere, no body either way."""
    assert [client.send("HEAD", path).status for path in ("/flows", "/sessions/outgoing")] == [405, 404]
    assert client.send("HEAD", "/nowhere").body == b""


def test_the_verb_can_be_overridden(client):
    """By X-Http-Method-Override; `dials` sees it so."""
    path = "/sessions/outgoing?flowId=665f1c0000000000000000aa&numberToDial=%2B18144043093"
    assert client.get(path, x_http_method_override="POST").status == 200
    assert len(client.sandbox.dials("+18144043093")) == 1


def test_constant_headers(client):
    """As measured, but for the server's own name."""
    headers = client.get("/flows").headers
    assert headers["Server"] == "evocall-sandbox"
    assert headers["X-Powered-By"] == "ServiceStack/5.91 Net45/Mono/Linux"
    assert headers["Vary"] == "Accept"
    assert headers["Date"] == "Mon, 23 Nov 2026 09:03:59 GMT"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/json, text/html", "application/json"),
        ("application/json;q=0.5, application/xml;q=0.9", "application/json"),
        ("image/png, application/xml", "application/xml"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/plain", "text/html"),
        (None, "text/html"),
    ],
)
def test_accept_chooses_the_format_of_a_dial(client, accept, kind):
    """The first known type counts, weights do not; without any it is a page."""
    reply = client.post(GOOD, accept=accept)
    assert (reply.status, reply.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")


def test_anything_goes_means_a_page_for_reads_and_forms(client):
    """`*/*` follows the type of the body, and these have none that could be answered in."""
    form = "application/x-www-form-urlencoded"
    body = "flowId=665f1c0000000000000000aa&numberToDial=%2B18144043093"
    replies = [client.get("/flows", accept="*/*"), client.post(body, accept="*/*", content_type=form)]
    assert [reply.headers["Content-Type"] for reply in replies] == ["text/html; charset=utf-8"] * 2


def test_an_empty_accept_gets_an_empty_body(client):
    """A 200 all the same."""
    reply = client.get("/flows", accept="")
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, b"", None)


@pytest.mark.parametrize("path", ["/flows.xml", "/flows?format=xml", "/xml/reply/ListFlows"])
def test_path_and_query_override_accept(client, path):
    """XML has PascalCase elements in alphabetical order."""
    body = client.get(path).body.decode()
    assert "<Id>665f1c0000000000000000aa</Id><Name>alert</Name><NodeCount>3</NodeCount>" in body


def test_an_unknown_format_is_ignored(client):
    """Accept then decides."""
    assert client.get("/flows?format=yaml").json["totalCount"] == 7


def test_xml_writes_dates_and_booleans_its_own_way(client):
    """ISO 8601 and lower case."""
    body = client.post(GOOD, accept="application/xml").body.decode()
    assert "<DateCreated>2026-11-23T09:03:59.1890000Z</DateCreated>" in body
    assert "<Ended>false</Ended>" in body


@pytest.mark.parametrize(("path", "status"), [("/flows?callback=cb", 200), ("/flows/x?callback=cb", 404)])
def test_a_callback_wraps_success_and_error(client, path, status):
    """JSONP, with the status kept."""
    reply = client.get(path)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "text/javascript; charset=utf-8")
    assert reply.body.startswith(b"cb({")
    assert reply.body.endswith(b"})")


@pytest.mark.parametrize("accept", ["text/html", None])
def test_pages_redirect_to_a_login(client, accept):
    """Instead of a 401 or 403, and without a body."""
    nobody = client.send("GET", "/flows", accept=accept)
    assert (nobody.status, nobody.body) == (302, b"")
    assert nobody.headers["Location"] == "/login?redirect=%2Fflows"
    customer = client.send("GET", "/calls/active", accept=accept, **client.customer)
    assert (customer.status, customer.headers["Location"]) == (302, "/login")


def test_errors_on_pages(client, basic):
    """Not found is a line of text, all others embed their data."""
    missing = client.get("/flows/x", accept="text/html")
    assert (missing.status, missing.body) == (404, b"Error (NotFound): Flow not found")
    wrong = client.send("GET", "/flows", accept="text/html", **basic("x", "y"))
    assert (wrong.status, wrong.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert b"Invalid Username or Password" in wrong.body


def test_flows_are_listed_and_found(client):
    """By part of the name, or one by its ID."""
    duplicates = client.get("/flows?nameFilter=DUPL").json["items"]
    assert [flow["name"] for flow in duplicates] == ["duplicate", "duplicate"]
    assert len({flow["id"] for flow in duplicates}) == 2
    assert client.get(f"/flows/{duplicates[0]['id']}").json == duplicates[0]
    assert client.get("/flows/alert").status == 404


def test_flows_are_filtered_by_owner_and_id(client):
    """Account, customer and ID; lists are comma-joined or repeated."""
    ids = [flow.id for flow in client.sandbox.flows]
    branch = client.get(f"/flows/{ids[-1]}").json["customerId"]
    company = client.get("/auth/status").json["accountIds"][0]
    found = {
        f"?accountIds={company}": ids,
        f"?accountIds=x,{company}&nameFilter=alert": [ids[1]],
        "?accountIds=x": [],
        f"?customerIds={branch}": [ids[-1]],
        f"?customerIds={branch}&nameFilter=alert": [],
        "?customerIds=x": [],
        f"?specificIds={ids[0]}&specificIds={ids[-1]}": [ids[0], ids[-1]],
        f"?specificIds={ids[0]}&customerIds={branch}": [],
    }
    assert {query: [flow["id"] for flow in client.get(f"/flows{query}").json["items"]] for query in found} == found


def test_a_flow_may_belong_to_a_customer(client):
    """Which tells the two flows with one name apart; the others name no customer at all."""
    flows = client.get("/flows").json["items"]
    assert [flow.get("customerName") for flow in flows] == [None] * 6 + ["North Branch"]
    assert [flow for flow in flows if "customerId" in flow] == flows[-1:]
    assert re.fullmatch(r"[0-9a-f]{24}", flows[-1]["customerId"])
    assert (flows[-1]["id"], flows[-1]["name"]) == ("665f1c0000000000000000d2", "duplicate")
    assert [flow.customer for flow in client.sandbox.flows] == [""] * 6 + ["North Branch"]


def test_endpoints_are_the_owned_numbers_and_a_virtual_one(client):
    """Of type PhoneNumber, and of no other."""
    items = client.get("/endpoints").json["items"]
    assert [item["phoneNumber"] for item in items] == [*client.sandbox.numbers, VIRTUAL]
    assert [item["isVirtualPhoneNumber"] for item in items] == [False, False, False, True]
    assert {item["type"] for item in items} == {"PhoneNumber"}
    assert len({item["id"] for item in items}) == 4


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=PhoneNumber", 4),
        ("type=User", 0),
        ("types=User,phonenumber", 4),
        ("types=User&types=PhoneNumber", 4),
        ("types=User,Team", 0),
        ("type=PhoneNumber&types=User", 0),
        ("phoneNumberFilter=0192", 1),
        ("phoneNumberFilter=%2B1814", 3),
        ("nameFilter=555019", 4),
        ("nameFilter=0190", 1),
        ("nameFilter=0190&phoneNumberFilter=0191", 0),
        ("accountIds=5f0000000000000000000001", 4),
        ("accountIds=x", 0),
    ],
)
def test_endpoints_are_filtered(client, query, found):
    """By type, account, and parts of name and number, which are the same here."""
    assert client.get(f"/endpoints?{query}").json["totalCount"] == found


def test_endpoints_are_found_by_id(client):
    """The one that a session names."""
    endpoint = client.dial(caller_id="+18145550191").json["endpointId"]
    (found,) = client.get(f"/endpoints?specificIds={endpoint}").json["items"]
    assert found["phoneNumber"] == "+18145550191"


def test_a_virtual_number_is_not_owned(client):
    """Neither accepted as caller ID nor ever picked as one."""
    assert VIRTUAL not in client.sandbox.numbers
    refused = client.dial(caller_id=VIRTUAL)
    assert (refused.status, refused.error["errors"][0]["fieldName"]) == (400, "CallerId")
    assert client.sandbox.calls == []
    assert {client.dial().json["fromAddress"] for _ in range(30)} <= set(client.sandbox.numbers)


def test_accounts_are_listed_and_found(client):
    """What the service calls accounts are companies."""
    first = client.get("/accounts?nameFilter=company").json["items"][0]
    assert client.get(f"/accounts/{first['id']}").json == first
    assert client.get("/accounts/x").error["message"] == "Account not found"
    assert client.get("/auth/status").json["accountIds"] == [first["id"]]
