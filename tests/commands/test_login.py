"""`evocall login`, `whoami` and `logout`: one password on its way into the keyring, into use, and out again."""

import io
import json
import re
import sys

import pytest

from evocall.sandbox import Account, Sandbox

PASSWORDS = ["plain", "grün", "€uro", "a:b::c", ":", "🔑 emoji", '"quoted\\', " spaces around ", "\u2028"]


@pytest.fixture
def type_in(monkeypatch):
    """Gives a text, or bytes, to the next command on its standard input."""

    def give(text):
        content = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))

    return give


@pytest.fixture
def log_in(evocall, type_in):
    """`evocall login` at a server with the password on standard input."""

    def run(server, *, username=None, password=None, options=()):
        type_in(f"{server.manager.password if password is None else password}\n")
        username = server.manager.username if username is None else username
        given = ("--base-url", server.base_url, "--username", username)
        return evocall("login", *given, "--password-stdin", *options)

    return run


def written(home):
    """The profile file as text, None when there is none."""
    path = home / "evocall" / "config.toml"
    return path.read_text(encoding="utf-8") if path.exists() else None


def test_login_stores_what_dial_needs(evocall, log_in, sandbox, vault):
    """After it, a call needs no environment and no file written by hand."""
    result = log_in(sandbox)
    assert (result.code, result.out) == (0, "")
    assert f"signed in to {sandbox.base_url} as manager@example.com" in result.err
    host = sandbox.base_url.removeprefix("http://")
    assert vault.kept == {(f"evocall {host}", "manager@example.com"): sandbox.manager.password}
    assert evocall("dial", "+18145550100", "--flow", "welcome").code == 0
    assert len(sandbox.calls) == 1


def test_login_writes_the_profile_without_the_password(log_in, sandbox, vault, home):
    log_in(sandbox)
    text = written(home)
    assert text == (
        "[profiles.default]\n"
        f'base_url = "{sandbox.base_url}"\n'
        'username = "manager@example.com"\n'
        'sign_in = "basic"\n'
        f'keyring_backend = "{type(vault).__module__}.Vault"\n'
    )
    assert (home / "evocall" / "config.toml").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("vault")
def test_login_keeps_the_rest_of_the_file(log_in, sandbox, config):
    """Other profiles, other keys and the comments."""
    path = config('# ours\n[profiles.other]\nflow = "x" # theirs\n\n[profiles.mine]\n# the flow\nflow = "welcome"\n')
    assert log_in(sandbox, options=("--profile", "mine")).code == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith(
        '# ours\n[profiles.other]\nflow = "x" # theirs\n\n[profiles.mine]\n# the flow\nflow = "welcome"\n'
    )
    assert 'username = "manager@example.com"' in text


@pytest.mark.usefixtures("vault")
def test_login_takes_address_and_user_from_the_profile(evocall, type_in, sandbox, config):
    config(f'[profiles.mine]\nbase_url = "{sandbox.base_url}"\nusername = "manager@example.com"\n')
    type_in(f"{sandbox.manager.password}\n")
    assert evocall("login", "--password-stdin").code == 0


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("basic", [True, False], ids=["basic", "cookies"])
def test_any_password_signs_in_and_stays_as_it_is(evocall, log_in, vault, password, basic):
    """Through Basic, where a colon separates and Latin-1 lurks, and through JSON."""
    account = Account("jörg@example.com", password)
    with Sandbox(accounts=[account], basic=basic) as server:
        assert log_in(server, username=account.username, password=password).code == 0
        assert list(vault.kept.values()) == [password]
        assert evocall("whoami").code == 0


def test_only_the_first_line_is_the_password(log_in, sandbox, vault):
    """What `pass show` prints below it is something else."""
    assert log_in(sandbox, password=f"{sandbox.manager.password}\r\nurl: https://evovoice.io").code == 0
    assert list(vault.kept.values()) == [sandbox.manager.password]


@pytest.mark.usefixtures("vault")
def test_a_host_that_refuses_basic_is_signed_in_to_with_cookies(evocall, log_in, home):
    """Found out once, at login; every dial then knows."""
    with Sandbox(basic=False) as server:
        assert log_in(server).code == 0
        assert 'sign_in = "cookies"\n' in written(home)
        result = evocall("dial", "+18145550100", "--flow", "welcome")
        assert (result.code, len(server.calls)) == (0, 1)
        [request] = server.dials()
        assert request.header("authorization") is None


@pytest.mark.parametrize("basic", [True, False], ids=["basic", "cookies"])
def test_a_wrong_password_is_an_error_and_stored_nowhere(log_in, vault, home, basic):
    with Sandbox(basic=basic) as server:
        result = log_in(server, password="hunter2")
    assert (result.code, result.out, vault.kept, written(home)) == (4, "", {}, None)
    assert "manager@example.com" in result.err
    assert "hunter2" not in result.err


def test_a_wrong_password_is_tried_once(log_in, sandbox):
    """A host that locks an account after some attempts is not given two for each typing mistake."""
    log_in(sandbox, password="hunter2")
    assert len(sandbox.requests) == 1


def test_a_login_that_may_not_dial_is_stored_with_a_warning(log_in, sandbox, vault):
    """Its owner may be waiting for the role."""
    result = log_in(sandbox, username=sandbox.customer.username, password=sandbox.customer.password)
    assert result.code == 0
    assert "warning: this login may not dial: it has the roles Customer" in result.err
    assert list(vault.kept.values()) == [sandbox.customer.password]


def test_a_password_source_that_goes_first_is_pointed_out(log_in, sandbox, vault, config):
    config('[profiles.mine]\npassword_command = "pass show evo"\n')
    result = log_in(sandbox)
    assert "warning: profile 'mine' also has a password_command" in result.err
    assert len(vault.kept) == 1


@pytest.mark.usefixtures("vault")
def test_quiet_says_nothing(log_in, sandbox):
    result = log_in(sandbox, options=("--quiet",))
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "missing"), [(("--username", "me"), "Password"), ((), "Username"), (("--password-stdin",), "Username")]
)
def test_without_a_terminal_nothing_is_asked(evocall, type_in, options, missing):
    """A job that lacks something ends with what it lacks."""
    type_in("secret\n")
    result = evocall("login", *options)
    assert (result.code, result.out) == (2, "")
    assert f"{missing}" in result.err
    assert "--password-stdin" in result.err


@pytest.mark.parametrize("content", [b"", b"\n", b"\nsecret\n"])
def test_an_empty_first_line_is_no_password(evocall, type_in, sandbox, content):
    type_in(content)
    result = evocall("login", "--base-url", sandbox.base_url, "--username", "me", "--password-stdin")
    assert (result.code, sandbox.requests) == (2, [])
    assert "no password on its first line" in result.err


def test_a_password_that_is_not_utf_8_is_a_usage_error(evocall, type_in, sandbox):
    """From an old file in Latin-1; guessed wrong it would be another password."""
    type_in(b"gr\xfcn\n")
    result = evocall("login", "--base-url", sandbox.base_url, "--username", "me", "--password-stdin")
    assert (result.code, sandbox.requests) == (2, [])


@pytest.mark.parametrize("address", ["evovoice.io", "https://me:hunter2@evovoice.io"])
def test_a_wrong_address_is_a_usage_error(evocall, type_in, address):
    type_in("secret\n")
    result = evocall("login", "--base-url", address, "--username", "me", "--password-stdin")
    assert result.code == 2
    assert "--base-url" in result.err
    assert "hunter2" not in result.err


def test_plain_http_to_another_machine_is_refused(evocall, type_in, home):
    """The password would travel in the clear."""
    type_in("secret\n")
    result = evocall("login", "--base-url", "http://192.0.2.1", "--username", "me", "--password-stdin")
    assert (result.code, written(home)) == (10, None)
    assert "plain http" in result.err


def test_without_a_keyring_the_other_places_are_named(log_in, sandbox):
    result = log_in(sandbox)
    assert result.code == 4
    assert "no keyring" in result.err
    assert "password_command" in result.err


def test_whoami_shows_who_where_and_from_what(evocall, signed_in):
    result = evocall("whoami")
    shown = {line.split()[0]: line.split(None, 1)[1] for line in result.out.splitlines()}
    assert (result.code, result.err) == (0, "")
    assert list(shown) == ["user", "roles", "accounts", "host", "profile", "credential"]
    assert shown["user"] == "manager@example.com"
    assert shown["roles"] == "Manager"
    assert shown["host"] == signed_in.base_url
    assert shown["profile"] == "default"
    assert shown["credential"] == "EVOCALL_PASSWORD in the environment"


def test_whoami_gives_json(evocall, signed_in):
    document = json.loads(evocall("whoami", "--json").out)
    assert list(document) == [
        "schema",
        "profile",
        "base_url",
        "username",
        "roles",
        "accounts",
        "may_dial",
        "credential",
        "error",
    ]
    assert (document["username"], document["roles"], document["may_dial"]) == ("manager@example.com", ["Manager"], True)
    assert (document["base_url"], document["error"]) == (signed_in.base_url, None)
    assert all(isinstance(name, str) for name in document["accounts"])
    assert signed_in.manager.password not in json.dumps(document)


def test_whoami_says_that_a_role_may_not_dial(evocall, signed_in, monkeypatch):
    """With exit code 6, and the roles that there are."""
    monkeypatch.setenv("EVOCALL_USERNAME", signed_in.customer.username)
    monkeypatch.setenv("EVOCALL_PASSWORD", signed_in.customer.password)
    result = evocall("whoami")
    assert (result.code, result.out) == (6, "")
    assert "customer@example.com is signed in" in result.err
    assert "Customer" in result.err
    document = json.loads(evocall("whoami", "--json").out)
    assert (document["error"]["code"], document["error"]["exit_code"]) == ("forbidden", 6)


def test_whoami_needs_a_good_password(evocall, signed_in, monkeypatch):
    """A session that merely exists is not enough."""
    monkeypatch.setenv("EVOCALL_PASSWORD", "hunter2")
    result = evocall("whoami")
    assert (result.code, result.out) == (4, "")
    assert "EVOCALL_PASSWORD" in result.err
    assert "hunter2" not in result.err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_whoami_without_a_login_is_an_auth_error(evocall, options):
    result = evocall("whoami", *options)
    assert result.code == 4
    assert "evocall login" in result.err
    assert bool(result.out) == bool(options)


def test_verbose_hides_the_password(evocall, signed_in):
    """In every header that carries it, however the service is signed in to."""
    result = evocall("whoami", "--verbose")
    assert "> GET " in result.err
    assert "authorization: (hidden)" in result.err.lower()
    assert signed_in.manager.password not in result.err


@pytest.mark.usefixtures("vault")
def test_verbose_hides_the_password_and_the_cookies_of_a_session(evocall, log_in):
    with Sandbox(basic=False) as server:
        log_in(server)
        result = evocall("whoami", "--verbose")
        sent = " ".join(request.header("cookie") or "" for request in server.requests)
        values = set(re.findall(r"ss-p?id=(\w+)", sent))
        assert len(values) >= 2
        assert "/auth/credentials" in result.err
        assert server.manager.password not in result.err
        assert [value for value in values if value in result.err] == []


def test_logout_forgets_the_password(evocall, log_in, sandbox, vault, home):
    """And nothing else: the next login need not say host and user again."""
    log_in(sandbox)
    before = written(home)
    result = evocall("logout")
    assert (result.code, result.out, vault.kept, written(home)) == (0, "", {}, before)
    assert "manager@example.com" in result.err
    assert evocall("whoami").code == 4


@pytest.mark.usefixtures("vault")
def test_logout_without_a_password_says_so(evocall):
    result = evocall("logout")
    assert result.code == 0
    assert "no password" in result.err
