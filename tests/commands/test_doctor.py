"""`evocall doctor`: one line a check, for everything that a call needs."""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from evocall import postgres as engine
from evocall.sandbox import Sandbox
from tests.faultserver import FaultServer, Visit, answering, free_port, http, silent
from tests.test_disks import mount

NAMES = [
    *("config", "journal", "time_zones", "credential", "proxy", "dns", "tcp", "tls", "clock"),
    *("sign_in", "role", "flow", "caller_id"),
]
LINE = re.compile(r"(ok|warn|FAIL|skip) +([a-z]+(?: [a-z]+)*?) {2,}(\S.*)")
Checks = dict[str, tuple[str, str]]


def checks_of(out: str) -> Checks:
    """Word and text of each line, by the name of its check."""
    return {name: (word, text) for word, name, text in LINE.findall(out)}


def failing(out: str) -> list[str]:
    """The names of the checks that failed."""
    return [name for name, (word, _) in checks_of(out).items() if word == "FAIL"]


@pytest.fixture
def sign_in_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An environment that signs in to an address as the sandbox's Manager."""

    def sign_in(base_url: str) -> None:
        monkeypatch.setenv("EVOCALL_BASE_URL", base_url)
        monkeypatch.setenv("EVOCALL_USERNAME", "manager@example.com")
        monkeypatch.setenv("EVOCALL_PASSWORD", "rings-nobody")
        monkeypatch.setenv("EVOCALL_FLOW", "welcome")

    return sign_in


# what is shown


def test_all_is_well_in_the_sandbox(evocall):
    """A line for each check, in the order in which a call needs them."""
    result = evocall("doctor", "--sandbox")
    assert (result.code, result.err) == (0, "")
    assert list(checks_of(result.out)) == [name.replace("_", " ") for name in NAMES]
    words = {word for word, _ in checks_of(result.out).values()}
    assert words == {"ok", "skip"}
    assert "\x1b" not in result.out


def test_a_login_that_works_is_looked_at_and_nothing_is_dialled(evocall, signed_in):
    result = evocall("doctor")
    assert result.code == 0, result.out
    checks = checks_of(result.out)
    assert checks["credential"][1].endswith("with the password from EVOCALL_PASSWORD in the environment")
    assert checks["sign in"] == ("ok", "accepted as manager@example.com, by Basic")
    assert checks["role"] == ("ok", "Manager: may dial")
    assert checks["tls"] == ("skip", "plain http, as 127.0.0.1 is this machine")
    assert signed_in.dials() == []


def test_json_has_the_documented_keys(evocall, signed_in):
    result = evocall("doctor", "--json")
    document = json.loads(result.out)
    assert set(document) == {"schema", "profile", "base_url", "checks", "error"}
    assert (document["schema"], document["profile"], document["error"]) == (1, "default", None)
    assert document["base_url"] == signed_in.base_url
    assert [check["name"] for check in document["checks"]] == NAMES
    assert {tuple(check) for check in document["checks"]} == {("name", "status", "message", "hint")}
    assert {check["status"] for check in document["checks"]} == {"ok", "skipped"}


def test_json_has_the_error_of_the_first_failure(evocall, signed_in, monkeypatch):
    """Whose exit code is the one of the command; the checks after it are there too."""
    monkeypatch.setenv("EVOCALL_PASSWORD", "guessed")
    monkeypatch.setenv("EVOCALL_CALLER_ID", "+18145550123")
    result = evocall("doctor", "--json")
    document = json.loads(result.out)
    assert (result.code, result.err) == (4, "")
    assert (document["error"]["code"], document["error"]["exit_code"]) == ("wrong_login", 4)
    assert [check["status"] for check in document["checks"]][-4:] == ["failed", "skipped", "skipped", "skipped"]


def test_a_failure_is_shown_once_with_what_to_do(evocall, signed_in, monkeypatch):
    monkeypatch.setenv("EVOCALL_PASSWORD", "guessed")
    result = evocall("doctor")
    assert (result.code, result.err) == (4, "")
    assert failing(result.out) == ["sign in"]
    assert result.out.count("\nhint: evocall login --profile default\n") == 1
    for name in ("role", "flow", "caller id"):
        assert checks_of(result.out)[name] == ("skip", "not looked at, since sign in failed")


def test_verbose_shows_the_exchanges_without_secrets(evocall, signed_in):
    result = evocall("doctor", "--verbose")
    assert result.code == 0
    assert f"> GET {signed_in.base_url}/auth/status" in result.err
    assert "(hidden)" in result.err
    assert signed_in.manager.password not in result.out + result.err


def test_lines_appear_while_the_network_is_still_silent(home):
    """Also when stdout is no terminal."""
    with FaultServer(silent) as server:
        environment = {**os.environ, "EVOCALL_BASE_URL": server.base_url}
        process = subprocess.Popen(
            [sys.executable, "-m", "evocall", "doctor"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.touched.wait(20)
            names = [next(iter(checks_of(process.stdout.readline()))) for _ in range(3)]
            assert names == ["config", "journal", "time zones"]
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()


# config


@pytest.mark.parametrize(
    ("text", "arguments", "environment", "expected"),
    [
        pytest.param("", (), {}, "profile default", id="an empty file"),
        pytest.param("[profiles.a]\n", (), {}, "profile a (the only one)", id="one profile"),
        pytest.param("[profiles.a]\n[profiles.default]\n", (), {}, "profile default (", id="no default"),
        pytest.param(
            'default_profile = "b"\n[profiles.a]\n[profiles.b]\n', (), {}, "profile b (default_profile)", id="default"
        ),
        pytest.param(
            "[profiles.a]\n[profiles.b]\n", (), {"EVOCALL_PROFILE": "b"}, "profile b (EVOCALL_PROFILE)", id="variable"
        ),
        pytest.param(
            "[profiles.a]\n[profiles.b]\n",
            ("--profile", "a"),
            {"EVOCALL_PROFILE": "b"},
            "profile a (--profile)",
            id="option",
        ),
    ],
)
def test_it_says_which_profile_is_used_and_why(
    evocall, config, signed_in, monkeypatch, text, arguments, environment, expected
):
    path = config(text)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    word, said = checks_of(evocall("doctor", *arguments).out)["config"]
    assert word == "ok"
    assert said.startswith(expected)
    assert str(path) in said
    assert "from the environment: EVOCALL_BASE_URL, EVOCALL_USERNAME, EVOCALL_FLOW" in said


def test_without_a_profile_file_it_says_where_one_would_be(evocall, signed_in, home):
    word, said = checks_of(evocall("doctor").out)["config"]
    assert word == "ok"
    assert f"there is no {home / 'evocall' / 'config.toml'}" in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("[profiles.default]\ntimeout = 1\nfloww = 'x'\n", "line 3", id="an unknown key"),
        pytest.param("[profiles.default\n", "not valid TOML", id="no TOML"),
        pytest.param("[profiles.default.guard]\ndeny = 'nowhere.txt'\n", "nowhere.txt", id="no deny list"),
        pytest.param("[profiles.default]\nbase_url = 'http://example.com'\n", "plain http", id="plain http"),
        pytest.param("[profiles.other]\n[profiles.another]\n", "no profile 'default'", id="no such profile"),
    ],
)
def test_a_mistake_in_the_profile_file_is_named_and_the_rest_left_out(evocall, config, text, named):
    """The time zones do not depend on it; the journal does, since a profile may name one."""
    config(text)
    result = evocall("doctor", "--json")
    document = json.loads(result.out)
    statuses = {check["name"]: check["status"] for check in document["checks"]}
    assert (result.code, document["error"]["exit_code"]) == (10, 10)
    assert named in document["checks"][0]["message"]
    assert statuses.pop("config") == "failed"
    assert statuses.pop("time_zones") == "ok"
    assert set(statuses.values()) == {"skipped"}


# journal


def test_a_database_whose_clock_is_another_one_is_a_warning(evocall, signed_in, postgres, monkeypatch):
    """Its own is right here, so the question for the time is what is shifted."""
    url = postgres.database()
    monkeypatch.setenv("EVOCALL_JOURNAL", url)
    assert f"ok    journal      {url} can be written\n" in evocall("doctor").out
    monkeypatch.setattr(engine, "NOW", f"{engine.NOW} + 60000")
    result = evocall("doctor")
    assert f"warn  journal      {url} can be written, its clock is +60 s from this host's" in result.out
    assert "NTP" in result.out


def test_a_journal_in_a_read_only_directory_is_a_failure(evocall, signed_in, tmp_path, monkeypatch, missing):
    """Nobody could dial with it; the network is looked at nevertheless."""
    root = tmp_path / "disk"
    root.mkdir()
    refusal = mount("-t", "tmpfs", "-o", "ro,size=64k", "evocall-test", str(root))
    if refusal is not None:
        missing(f"needs to mount a small disk, as root on Linux: {refusal}")
    monkeypatch.setenv("EVOCALL_HOME", str(root))
    try:
        result = evocall("doctor")
    finally:
        subprocess.run(["umount", str(root)], check=True)
    assert (result.code, failing(result.out)) == (10, ["journal"])
    assert f"{root / 'journal.db'} cannot be used" in checks_of(result.out)["journal"][1]
    assert "hint: The directory must be writable" in result.out
    assert checks_of(result.out)["sign in"][0] == "ok"


def test_a_journal_that_was_read_only_after_it_was_made_is_a_failure(
    evocall, signed_in, tmp_path, monkeypatch, missing
):
    """It opens, and only writing shows it."""
    root = tmp_path / "disk"
    root.mkdir()
    refusal = mount("-t", "tmpfs", "-o", "size=512k", "evocall-test", str(root))
    if refusal is not None:
        missing(f"needs to mount a small disk, as root on Linux: {refusal}")
    monkeypatch.setenv("EVOCALL_HOME", str(root))
    try:
        assert evocall("doctor").code == 0
        mount("-o", "remount,ro", str(root))
        result = evocall("doctor")
    finally:
        subprocess.run(["umount", str(root)], check=True)
    assert (result.code, failing(result.out)) == (10, ["journal"])


def test_a_damaged_journal_is_a_failure(evocall, signed_in, home):
    path = home / "evocall" / "journal.db"
    path.parent.mkdir()
    path.write_bytes(b"no journal" * 1000)
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (10, ["journal"])
    assert "hint: Move it away" in result.out


def test_trying_the_journal_out_leaves_no_call_behind(evocall, signed_in, home):
    assert evocall("doctor").code == 0
    assert json.loads(evocall("history", "--json").out) == []
    assert list((home / "evocall" / "running").iterdir()) == []


# credential


def test_no_password_says_where_it_may_come_from(evocall, sandbox, monkeypatch):
    """The service is looked at all the same, without a login."""
    monkeypatch.setenv("EVOCALL_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (4, ["credential"])
    assert checks_of(result.out)["clock"][0] == "ok"
    assert checks_of(result.out)["sign in"] == ("skip", "not looked at, since credential failed")
    [hint] = [line for line in result.out.splitlines() if line.startswith("hint: ")]
    for source in ("EVOCALL_PASSWORD", "password_command", "password_file", "evocall login"):
        assert source in hint
    if sys.platform == "linux":
        assert "no D-Bus session here, as under cron" in hint
    assert all("authorization" not in dict(request.headers) for request in sandbox.requests)


def test_with_a_bus_the_missing_keyring_is_not_blamed_on_it(evocall, sandbox, monkeypatch):
    monkeypatch.setenv("EVOCALL_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    assert "D-Bus" not in evocall("doctor").out


def test_no_login_at_all_is_an_auth_error(evocall, sandbox, monkeypatch):
    monkeypatch.setenv("EVOCALL_BASE_URL", sandbox.base_url)
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (4, ["credential"])
    assert "hint: evocall login --profile default" in result.out


@pytest.mark.parametrize("source", ["password_command", "password_file"])
def test_the_source_of_the_password_is_named_and_the_password_is_not(evocall, config, sandbox, tmp_path, source):
    secret = tmp_path / "secret"
    secret.write_text(f"{sandbox.manager.password}\n")
    secret.chmod(0o600)
    value = f"cat {secret}" if source == "password_command" else secret
    config(
        f'[profiles.ops]\nbase_url = "{sandbox.base_url}"\nusername = "{sandbox.manager.username}"\n'
        f'{source} = "{value}"\n'
    )
    result = evocall("doctor", "--verbose")
    assert result.code == 0, result.out
    assert source in checks_of(result.out)["credential"][1]
    assert sandbox.manager.password not in result.out + result.err


def test_a_broken_source_is_a_configuration_error(evocall, config, sandbox):
    config(
        f'[profiles.ops]\nbase_url = "{sandbox.base_url}"\nusername = "ops@example.com"\npassword_command = "false"\n'
    )
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (10, ["credential"])
    assert "password_command of profile 'ops' ended with status 1" in result.out


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the keyring is there without a session")
def test_a_password_from_the_keyring_comes_with_a_word_about_cron(evocall, signed_in, vault, monkeypatch):
    """What works at the desk will not work at night."""
    monkeypatch.delenv("EVOCALL_PASSWORD")
    host = signed_in.base_url.removeprefix("http://")
    vault.set_password(f"evocall {host}", signed_in.manager.username, signed_in.manager.password)
    result = evocall("doctor")
    assert result.code == 0, result.out
    assert "the keyring (" in checks_of(result.out)["credential"][1]
    assert "hint: A cron job does not reach the keyring" in result.out


# DNS and TCP


def test_a_name_that_does_not_resolve_is_a_network_failure(evocall, sign_in_to):
    sign_in_to("https://evovoice.invalid")
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (8, ["dns"])
    for name in ("tcp", "tls", "clock", "sign in"):
        assert checks_of(result.out)[name] == ("skip", "not looked at, since dns failed")


def test_a_port_where_nobody_listens_is_a_network_failure(evocall, sign_in_to):
    sign_in_to(f"http://127.0.0.1:{free_port()}")
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (8, ["tcp"])
    assert "the connection was refused" in checks_of(result.out)["tcp"][1]


def test_the_exit_code_is_that_of_the_first_failure(evocall, monkeypatch):
    """Both are shown."""
    monkeypatch.setenv("EVOCALL_BASE_URL", f"http://127.0.0.1:{free_port()}")
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (4, ["credential", "tcp"])


def test_the_loopback_of_ipv6_is_reached_too(evocall, sign_in_to, missing):
    try:
        server = Sandbox(host="::1")
    except OSError:
        missing("IPv6 on the loopback interface")
    with server:
        sign_in_to(server.base_url)
        result = evocall("doctor")
    assert result.code == 0, result.out
    assert checks_of(result.out)["tcp"][1].startswith("connected to ::1, port")


# TLS


def serving(authority: trustme.CA, *names: str, days: float = 90) -> ssl.SSLContext:
    """A server's side of TLS, by a certificate for these names and that many days."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    end = datetime.now(UTC) + timedelta(days=days)
    authority.issue_cert(*names, not_after=end, organization_name="Evo").configure_cert(context)
    return context


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A company's own certificate authority, which evocall is told to trust."""
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return authority


def test_a_good_certificate_is_shown_with_its_issuer_and_its_days(evocall, authority, sign_in_to):
    with Sandbox(tls=serving(authority, "127.0.0.1")) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    word, text = checks_of(result.out)["tls"]
    assert (result.code, word) == (0, "ok")
    assert re.fullmatch(r"TLSv1\.\d, certificate by trustme \S+, good for 89 more days", text)


def test_a_certificate_that_ends_soon_is_a_warning(evocall, authority, sign_in_to):
    """Nothing has failed yet."""
    with Sandbox(tls=serving(authority, "127.0.0.1", days=5)) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    word, text = checks_of(result.out)["tls"]
    assert (result.code, word) == (0, "warn")
    assert "good for 4 more days" in text
    assert "hint: Whoever runs the service should renew it before " in result.out


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda _: serving(trustme.CA(), "127.0.0.1"), "issuer certificate", id="another authority"),
        pytest.param(lambda ours: serving(ours, "127.0.0.1", days=-1), "expired", id="expired"),
        pytest.param(lambda ours: serving(ours, "evovoice.example"), "mismatch", id="another name"),
    ],
)
def test_a_wrong_certificate_is_a_network_failure_and_no_login_is_sent(evocall, authority, sign_in_to, make, reason):
    with FaultServer(silent, tls=make(authority)) as server:
        sign_in_to(server.base_url)
        result = evocall("doctor")
    assert (result.code, failing(result.out), server.requests) == (8, ["tls"], [])
    assert reason in checks_of(result.out)["tls"][1]
    assert "REQUESTS_CA_BUNDLE" in result.out
    assert checks_of(result.out)["sign in"] == ("skip", "not looked at, since tls failed")


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_a_bundle_of_no_use_is_a_configuration_error(evocall, authority, sign_in_to, monkeypatch, tmp_path, content):
    """Missing, or without a certificate in it."""
    path = tmp_path / "other.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with Sandbox(tls=serving(authority, "127.0.0.1")) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    assert (result.code, failing(result.out)) == (10, ["tls"])
    assert str(path) in checks_of(result.out)["tls"][1]


# proxies


@pytest.fixture
def far(authority: trustme.CA, name: str, sign_in_to: Callable[[str], None]) -> Iterator[Sandbox]:
    """A trusted TLS sandbox under that name, and an environment that signs in to it."""
    with Sandbox(tls=serving(authority, name)) as sandbox:
        sign_in_to(sandbox.base_url.replace("127.0.0.1", name))
        yield sandbox


def tunnel(visit: Visit) -> None:
    """A proxy that says yes to CONNECT and passes bytes on to that port of this machine, both ways."""
    port = int(visit.read().head.split(b" ")[1].rpartition(b":")[2])
    with socket.create_connection(("127.0.0.1", port)) as onward:
        visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        visit.join(onward)


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_is_named_and_gone_through(evocall, far, monkeypatch, scheme):
    """DNS and TCP are those of the proxy, the certificate is that of the service."""
    with FaultServer(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}127.0.0.1:{proxy.port}")
        result = evocall("doctor")
    checks = checks_of(result.out)
    assert result.code == 0, result.out
    assert checks["proxy"] == ("ok", f"{proxy.base_url}, from HTTPS_PROXY")
    assert checks["tcp"] == ("ok", f"connected to 127.0.0.1, port {proxy.port}")
    assert "good for 89 more days" in checks["tls"][1]
    assert checks["sign in"][0] == "ok"
    assert {request.head.split(b" ")[0] for request in proxy.requests} == {b"CONNECT"}


def test_behind_a_proxy_that_speaks_tls_itself_the_sign_in_is_the_proof(evocall, authority, far, monkeypatch):
    with FaultServer(tunnel, tls=serving(authority, "127.0.0.1")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        result = evocall("doctor")
    assert result.code == 0, result.out
    assert checks_of(result.out)["tls"][0] == "skip"
    assert checks_of(result.out)["sign in"][0] == "ok"


def test_a_proxy_that_refuses_is_a_network_failure(evocall, far, monkeypatch):
    with FaultServer(answering(http("403 Filtered"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        result = evocall("doctor")
    assert (result.code, failing(result.out), far.requests) == (8, ["tls"], [])
    assert "403 Filtered" in checks_of(result.out)["tls"][1]
    assert "hint: Check HTTPS_PROXY and NO_PROXY." in result.out


def test_a_proxy_that_is_not_there_is_a_network_failure(evocall, far, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    result = evocall("doctor")
    assert (result.code, failing(result.out), far.requests) == (8, ["tcp"], [])
    assert checks_of(result.out)["tcp"][1].startswith("The proxy 127.0.0.1, port")


def test_a_name_of_a_proxy_that_does_not_resolve_is_blamed_on_the_proxy(evocall, far, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (8, ["dns"])
    assert checks_of(result.out)["dns"][1].startswith("The proxy proxy.invalid, port 3128, could not be reached")


@pytest.mark.parametrize("address", ["http://:3128", "http://proxy.example:port", "http://[proxy"])
def test_what_is_no_address_of_a_proxy_is_a_configuration_error(evocall, far, monkeypatch, address):
    monkeypatch.setenv("HTTPS_PROXY", address)
    result = evocall("doctor")
    assert (result.code, failing(result.out), far.requests) == (10, ["proxy"], [])


def test_the_password_of_a_proxy_reaches_the_proxy_and_no_line(evocall, far, monkeypatch):
    with FaultServer(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url.replace("//", "//user:open%2Dsesame@"))
        result = evocall("doctor", "--verbose")
    assert result.code == 0, result.out
    assert {request.headers["proxy-authorization"] for request in proxy.requests} == {"Basic dXNlcjpvcGVuLXNlc2FtZQ=="}
    for secret in ("open-sesame", "open%2Dsesame", "dXNlcjpvcGVuLXNlc2FtZQ"):
        assert secret not in result.out + result.err


def test_no_proxy_is_honoured(evocall, far, name, monkeypatch):
    with FaultServer(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        monkeypatch.setenv("NO_PROXY", f"example.com,{name}")
        result = evocall("doctor")
    assert (result.code, proxy.connections) == (0, 0)
    assert checks_of(result.out)["proxy"] == ("ok", f"none, since NO_PROXY has {name}")


def test_this_machine_is_reached_without_a_proxy(evocall, signed_in, monkeypatch):
    with FaultServer(tunnel) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.base_url)
        result = evocall("doctor")
    assert (result.code, proxy.connections) == (0, 0)
    assert checks_of(result.out)["proxy"] == ("ok", "none, since 127.0.0.1 is this machine")


# clock


@pytest.mark.parametrize(("ahead", "side"), [(7200, "behind"), (-7200, "ahead of")])
def test_a_clock_that_is_off_is_a_warning(evocall, sign_in_to, ahead, side):
    """It is ours that is set right, since nobody can set the service's."""
    with Sandbox(clock=lambda: time.time() + ahead) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    word, text = checks_of(result.out)["clock"]
    assert (result.code, word) == (0, "warn")
    assert re.fullmatch(rf"7,[12]\d\d s {side} the service's", text)
    assert "hint: Set the clock of this machine" in result.out


def test_a_few_seconds_are_no_matter(evocall, sign_in_to):
    with Sandbox(clock=lambda: time.time() + 12) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    assert checks_of(result.out)["clock"][0] == "ok"
    assert "s behind the service's" in checks_of(result.out)["clock"][1]


def test_a_service_that_tells_neither_time_nor_roles_is_good_enough(evocall, sign_in_to):
    """What it does not tell is no failure."""
    with FaultServer(answering(http("200 OK", b"{}"))) as server:
        sign_in_to(server.base_url)
        result = evocall("doctor")
    checks = checks_of(result.out)
    assert checks["clock"] == ("skip", "the service does not tell its time")
    assert checks["role"] == ("warn", "the service does not tell our roles")
    assert checks["sign in"][0] == "ok"


# sign-in and role


def test_a_host_that_takes_no_basic_is_told_from_a_wrong_password(evocall, sign_in_to):
    with Sandbox(basic=False) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    assert (result.code, failing(result.out)) == (4, ["sign in"])
    assert "finds out which way of signing in works there" in result.out


def test_a_session_cookie_is_the_other_way(evocall, config, sign_in_to):
    config('[profiles.default]\nsign_in = "cookies"\n')
    with Sandbox(basic=False) as sandbox:
        sign_in_to(sandbox.base_url)
        result = evocall("doctor")
    assert result.code == 0, result.out
    assert checks_of(result.out)["sign in"] == ("ok", "accepted as manager@example.com, with a session cookie")


def test_a_portal_in_between_is_not_taken_for_the_service(evocall, sign_in_to):
    page = http("200 OK", b"<!doctype html><title>Welcome to our hotel</title>", kind="text/html")
    with FaultServer(answering(page)) as server:
        sign_in_to(server.base_url)
        result = evocall("doctor")
    assert (result.code, failing(result.out)) == (8, ["sign in"])
    assert "something that is not Evo Voice's" in checks_of(result.out)["sign in"][1]


def test_what_the_service_says_about_its_trouble_is_shown(evocall, sign_in_to):
    words = b'{"responseStatus": {"errorCode": "Exception", "message": "the database is\\u001b[2J away"}}'
    with FaultServer(answering(http("500 Oops", words))) as server:
        sign_in_to(server.base_url)
        result = evocall("doctor")
    assert (result.code, failing(result.out)) == (8, ["sign in"])
    assert r"It said: Exception: the database is\x1b[2J away" in checks_of(result.out)["sign in"][1]


def test_a_role_that_may_not_dial_is_a_failure_and_the_flow_is_still_looked_at(evocall, signed_in, monkeypatch):
    monkeypatch.setenv("EVOCALL_USERNAME", signed_in.customer.username)
    monkeypatch.setenv("EVOCALL_PASSWORD", signed_in.customer.password)
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (6, ["role"])
    assert "hint: Roles: Customer." in result.out
    assert checks_of(result.out)["flow"][0] == "ok"


# flow and caller ID


@pytest.mark.parametrize(
    ("flow", "text"),
    [
        pytest.param("welcome", "welcome  665f1c0000000000000000a1", id="a name"),
        pytest.param("665f1c0000000000000000aa", "alert  665f1c0000000000000000aa", id="an ID"),
        pytest.param("id:665f1c0000000000000000aa", "alert  665f1c0000000000000000aa", id="an ID with its prefix"),
        pytest.param("night", "night  665f1c0000000000000000aa", id="an alias"),
    ],
)
def test_a_default_flow_that_exists_is_shown_with_its_id(evocall, config, signed_in, monkeypatch, flow, text):
    """From the profile, as from the environment."""
    config(f'[profiles.default]\nflow = "{flow}"\n[profiles.default.flows]\nnight = "665f1c0000000000000000aa"\n')
    monkeypatch.delenv("EVOCALL_FLOW")
    assert checks_of(evocall("doctor").out)["flow"] == ("ok", text)
    monkeypatch.setenv("EVOCALL_FLOW", "survey")
    assert checks_of(evocall("doctor").out)["flow"] == ("ok", "survey  665f1c0000000000000000a3")


@pytest.mark.parametrize(
    ("flow", "code", "said"),
    [
        pytest.param("welcom", 5, "Did you mean 'welcome'?", id="a name that nobody has"),
        pytest.param("000000000000000000000000", 5, "no flow 000000000000000000000000", id="an ID that nobody has"),
        pytest.param("duplicate", 2, "2 flows are called 'duplicate'", id="a name of two"),
        pytest.param("id:../accounts", 5, "no flow ../accounts", id="an ID with a path in it"),
    ],
)
def test_a_default_flow_that_is_not_the_one_is_a_failure(evocall, signed_in, monkeypatch, flow, code, said):
    monkeypatch.setenv("EVOCALL_FLOW", flow)
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (code, ["flow"])
    assert said in checks_of(result.out)["flow"][1]


def test_without_defaults_flow_and_caller_id_are_left_out(evocall, signed_in, monkeypatch):
    """With a word on how to set one."""
    monkeypatch.delenv("EVOCALL_FLOW")
    result = evocall("doctor")
    assert result.code == 0
    assert checks_of(result.out)["flow"] == ("skip", "no default is set")
    assert "evocall profile set flow NAME --profile default" in result.out
    assert checks_of(result.out)["caller id"] == ("skip", "no default is set: the service picks one")


def test_a_caller_id_that_the_account_owns_is_fine(evocall, config, signed_in):
    """Read as for a dial, in the profile's region."""
    config('[profiles.default]\nregion = "US"\ncaller_id = "(814) 555-0190"\n')
    result = evocall("doctor")
    assert result.code == 0, result.out
    assert checks_of(result.out)["caller id"] == ("ok", "+1 814-555-0190 is the account's")


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        pytest.param("+18145550123", 11, "+1 814-555-0123 is not among the account's numbers", id="foreign"),
        pytest.param("+18145550199", 11, "+1 814-555-0199 is not among the account's numbers", id="virtual"),
        pytest.param("+1814", 2, "Caller ID: ", id="no number"),
    ],
)
def test_a_caller_id_that_would_be_refused_is_a_failure(evocall, signed_in, monkeypatch, number, code, said):
    monkeypatch.setenv("EVOCALL_CALLER_ID", number)
    result = evocall("doctor")
    assert (result.code, failing(result.out)) == (code, ["caller id"])
    assert said in checks_of(result.out)["caller id"][1]
