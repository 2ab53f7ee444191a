"""Signing in: Basic, cookies, roles, and the three 401s."""

import unicodedata

import pytest

from evocall.sandbox import Account, Sandbox

BODY = b'{"flowId":"665f1c0000000000000000aa","numberToDial":"+18144043093"}'
DIAL = "/sessions/outgoing"
ODD = ["pässwörd", "10€", "🔑", "a:b:c", " blanks "]


def test_no_credentials_get_a_challenge_and_no_body(client):
    """The first 401: lower-case scheme, no content type, two cookies."""
    reply = client.send("POST", DIAL, BODY)
    assert (reply.status, reply.reason, reply.body) == (401, "Unauthorized", b"")
    assert reply.headers["WWW-Authenticate"] == 'basic realm="/auth/basic"'
    assert reply.headers["Content-Type"] is None
    assert set(reply.cookies) == {"ss-id", "ss-pid"}


def test_a_wrong_password_gets_json_and_no_challenge(client, basic):
    """The second 401 names its reason in the reason phrase."""
    reply = client.send("POST", DIAL, BODY, **basic(client.sandbox.manager.username, "wrong"))
    assert (reply.status, reply.reason) == (401, "Invalid Username or Password")
    assert reply.error == {"errorCode": "Unauthorized", "message": "Invalid Username or Password", "errors": []}
    assert reply.headers["WWW-Authenticate"] is None
    assert set(reply.cookies) == {"ss-id", "ss-pid", "ss-opt"}


def test_a_wrong_login_gets_json_under_the_plain_reason(client):
    """The third 401: POST /auth/credentials."""
    reply = client.log_in(Account(client.sandbox.manager.username, "wrong"))
    assert (reply.status, reply.reason) == (401, "Unauthorized")
    assert reply.error["message"] == "Invalid Username or Password"
    assert reply.headers["WWW-Authenticate"] is None


@pytest.mark.parametrize("value", ["Basic bm9jb2xvbg==", "Basic bWFuYWdlckBleGFtcGxlLmNvbTo=", "Bearer abc"])
def test_unusable_credentials_count_as_none(client, value):
    """No colon, an empty password and a Bearer token all get the challenge."""
    reply = client.send("POST", DIAL, BODY, authorization=value)
    assert (reply.status, reply.body) == (401, b"")


def test_an_empty_user_name_is_a_wrong_password(client, basic):
    """It is looked up like any other name."""
    assert client.send("POST", DIAL, BODY, **basic("", "x")).error["errorCode"] == "Unauthorized"


def test_undecodable_base64_is_a_400(client):
    """A FormatException, not a 401."""
    reply = client.send("POST", DIAL, BODY, authorization="Basic %%%")
    assert (reply.status, reply.error["errorCode"]) == (400, "FormatException")


def test_the_scheme_may_be_lower_case(client):
    """`basic` works like `Basic`."""
    header = client.manager["Authorization"].replace("Basic", "basic")
    assert client.send("POST", DIAL, BODY, authorization=header).status == 200


@pytest.mark.parametrize("password", ODD)
def test_any_password_works_as_utf_8(client_of, basic, password):
    """Umlauts, the euro sign, emoji, colons and blanks at the ends are all part of it."""
    with Sandbox(accounts=[Account("jörg@example.com", password)]) as sandbox:
        reply = client_of(sandbox).send("POST", DIAL, BODY, **basic("jörg@example.com", password))
    assert reply.status == 200


def test_other_encodings_of_a_password_are_wrong(client_of, basic):
    """ISO-8859-1, decomposed letters and missing blanks do not match."""
    with Sandbox(accounts=[Account("o@example.com", "pä ")]) as sandbox:
        client = client_of(sandbox)
        tries = [
            basic("o@example.com", "pä ", "iso-8859-1"),
            basic("o@example.com", unicodedata.normalize("NFD", "pä ")),
            basic("o@example.com", "pä"),
            basic("O@example.com", "pä "),
        ]
        assert [client.send("POST", DIAL, BODY, **header).status for header in tries] == [401] * 4


def test_the_wrong_role_gets_a_403_without_body(client):
    """The text is in the reason phrase only."""
    reply = client.send("POST", DIAL, BODY, **client.customer)
    assert (reply.status, reply.reason, reply.body) == (403, "Invalid Role", b"")
    assert client.sandbox.calls == []


def test_the_body_is_read_before_the_password(client):
    """Something that is no object gets its 400, and no cookie, from anybody."""
    reply = client.send("POST", DIAL, b"[1]")
    assert (reply.status, reply.reason, reply.cookies) == (400, "Bad Request", {})
    assert reply.error["errorCode"] == "SerializationException"


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("customer", 403), ("manager", 400)])
def test_fields_are_validated_after_the_role(client, who, status):
    """An empty object shows which check comes first."""
    header = {"nobody": {}, "customer": client.customer, "manager": client.manager}[who]
    assert client.send("POST", DIAL, b"{}", **header).status == status


def test_a_locked_account_is_refused_with_the_right_password(client_of):
    """It has an error code of its own."""
    locked = Account("locked@example.com", "right", locked=True)
    with Sandbox(accounts=[locked]) as sandbox:
        reply = client_of(sandbox).log_in(locked)
    assert (reply.status, reply.error["errorCode"]) == (401, "AuthenticationException")
    assert reply.error["message"] == "This account has been locked"


def test_a_login_lasts_as_long_as_its_cookies(client, jar):
    """After logging out the same cookies are worth nothing."""
    login = client.log_in(client.sandbox.manager)
    assert set(login.cookies) == {"ss-id", "ss-pid", "ss-opt", "X-UAId"}
    assert login.json["sessionId"] == login.cookies["ss-id"]
    assert client.send("POST", DIAL, BODY, **jar(login)).status == 200
    out = client.send("GET", "/auth/logout", **jar(login))
    assert (out.json, out.cookies["ss-id"]) == ({"responseStatus": {}}, "")
    assert client.send("POST", DIAL, BODY, **jar(login)).status == 401


def test_remember_me_keeps_the_session_in_the_permanent_cookie(client, jar):
    """`ss-opt` says which cookie counts."""
    login = client.log_in(client.sandbox.manager, rememberMe=True)
    assert login.cookies["ss-opt"] == "perm"
    assert login.json["sessionId"] == login.cookies["ss-pid"]
    assert client.send("GET", "/auth", **jar(login)).json["userName"] == client.sandbox.manager.username


def test_cookies_are_written_as_measured(client):
    """Attributes, order and case; 20 years; no Secure on plain HTTP unless a proxy says https."""
    plain = client.get("/flows").headers.get_all("Set-Cookie")
    assert plain[0].endswith(";path=/;SameSite=None;HttpOnly")
    assert ";path=/;expires=Fri, 23 Nov 2046 " in plain[1]
    behind_proxy = client.get("/flows", x_forwarded_proto="https").headers.get_all("Set-Cookie")
    assert [";Secure;" in cookie for cookie in behind_proxy] == [True, True, False, False]


def test_cookies_of_a_basic_answer_are_not_signed_in(client, jar):
    """Basic signs in one request, not the next."""
    assert client.send("POST", DIAL, BODY, **jar(client.dial())).status == 401


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_basic_ends_the_session_it_comes_with(client, jar, basic, password):
    """Neither the old nor the new cookies are signed in afterwards."""
    manager = client.sandbox.manager
    login = client.log_in(manager)
    header = client.manager if password == "right" else basic(manager.username, password)
    mixed = client.send("POST", DIAL, BODY, **header, **jar(login))
    assert mixed.status == (200 if password == "right" else 401)
    assert client.send("POST", DIAL, BODY, **jar(login)).status == 401
    assert client.send("POST", DIAL, BODY, **jar(mixed)).status == 401


def test_a_forged_session_is_nobody(client):
    """It gets the plain 401 and no new cookies."""
    reply = client.send("POST", DIAL, BODY, cookie="ss-id=forged")
    assert (reply.status, reply.cookies) == (401, {})


def test_without_basic_the_header_is_ignored_and_cookies_work(client_of, jar):
    """The challenge then names the other provider."""
    with Sandbox(basic=False) as sandbox:
        client = client_of(sandbox)
        refused = client.dial()
        assert (refused.status, refused.body) == (401, b"")
        assert refused.headers["WWW-Authenticate"] == 'credentials realm="/auth/credentials"'
        assert client.send("POST", DIAL, BODY, **jar(client.log_in(sandbox.manager))).status == 200


def test_status_always_answers_200(client, basic):
    """Nobody, a wrong password and an undecodable header are simply not signed in."""
    headers = [{}, basic(client.sandbox.manager.username, "wrong"), {"authorization": "Basic %"}]
    replies = [client.send("GET", "/auth/status", **header) for header in headers]
    assert [(reply.status, reply.json) for reply in replies] == [(200, {"isAuthenticated": False})] * 3
    signed_in = client.get("/auth/status").json
    assert (signed_in["isAuthenticated"], signed_in["roles"]) == (True, ["Manager"])


def test_an_incomplete_login_is_a_500(client):
    """The validator of this one route fails as an exception, with the fields listed."""
    reply = client.send("POST", "/auth/credentials", b"{}")
    assert (reply.status, reply.error["errorCode"]) == (500, "ValidationException")
    assert [error["fieldName"] for error in reply.error["errors"]] == ["UserName", "Password"]


def test_logins_work_on_the_bare_route_and_by_get(client):
    """GET and POST, with the provider in path, body or left out."""
    manager = client.sandbox.manager
    body = f'{{"provider":"credentials","userName":"{manager.username}","password":"{manager.password}"}}'.encode()
    assert client.send("POST", "/auth", body).status == 200
    query = f"userName={manager.username}&password={manager.password}"
    assert client.send("GET", f"/auth/credentials?{query}").status == 200
    assert client.send("GET", "/auth").error["message"] == "Not Authenticated"
    assert client.send("GET", "/auth/twitter").status == 404
