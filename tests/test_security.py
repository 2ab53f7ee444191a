"""What SECURITY.md claims, where no other test shows it already; and that each of its claims has a test."""

import ast
import base64
import contextlib
import gzip
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from typer.main import get_command

import evocall
from evocall import cli, service
from evocall.model import Credential, DialRequest, Profile
from evocall.sandbox import Account, Sandbox
from evocall.service import Service
from tests.faultserver import FaultServer, Visit, answering, http, silent

ROOT = Path(__file__).parents[1]
PACKAGE = Path(evocall.__file__).parent
MIB = 1024 * 1024
PASSWORD = "correct horse"
DIAL = ("dial", "+18145550100", "--flow", "welcome")
DIAL_ID = ("dial", "+18145550100", "--flow", "665f1c0000000000000000aa")
HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e"


# the document


def claims() -> list[tuple[str, list[str]]]:
    """The bullets of SECURITY.md above its limits, each with the tests that it names."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What it does not protect against")[0]
    bullets = re.findall(r"^\* (.+?)(?=^\* |^#|^$|\Z)", text, re.MULTILINE | re.DOTALL)
    return [(" ".join(bullet.split()), re.findall(r"`(tests/[\w/]+\.py::\w+)`", bullet)) for bullet in bullets]


def test_every_claim_ends_with_a_test_that_exists():
    found = claims()
    assert len(found) > 20
    for claim, tests in found:
        assert re.search(r"\((`tests/[\w/]+\.py::\w+`(, )?)+\)$", claim), claim
        for test in tests:
            file, _, name = test.partition("::")
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test


def test_every_test_of_this_file_is_behind_a_claim():
    """What is worth a test here is worth telling."""
    here = re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    named = {test.rpartition("::")[2] for _, tests in claims() for test in tests}
    assert set(here) - named == {
        test_every_claim_ends_with_a_test_that_exists.__name__,
        test_every_test_of_this_file_is_behind_a_claim.__name__,
    }


# what is stored


def test_whatever_is_written_is_for_its_owner_only(evocall, signed_in, home, tmp_path):
    """Under a umask that hides nothing: settings, journal, leases, pace, names for TAB, results."""
    rows, results = tmp_path / "rows.csv", tmp_path / "results.csv"
    rows.write_text("number\n+18145550100\n")
    before = os.umask(0)
    try:
        evocall("profile", "set", "region", "US")
        evocall("flows")
        evocall("batch", str(rows), "--campaign", "c", "--flow", "welcome", "--yes", "--results", str(results))
    finally:
        os.umask(before)
    written = [home / "evocall", *(home / "evocall").rglob("*"), results]
    assert {"config.toml", "journal.db", "pace", "names", "running", "results.csv"} <= {path.name for path in written}
    modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in written}
    assert modes == {str(path): 0o700 if path.is_dir() else 0o600 for path in written}


def test_what_was_purged_is_in_no_file_any_more(evocall, signed_in, home, change):
    """Deleting a row of a database can leave its bytes in the file; these are other people's numbers."""
    evocall(*DIAL, "--once", "a-key-to-forget")
    change("requested_at = requested_at - 2 * 86400000")

    def remains():
        files = [file.read_bytes() for file in (home / "evocall").rglob("*") if file.is_file()]
        return [mark for mark in (b"+18145550100", b"a-key-to-forget") if any(mark in content for content in files)]

    assert remains() == [b"+18145550100", b"a-key-to-forget"]
    assert evocall("history", "purge", "--older-than", "1d").code == 0
    assert remains() == []


def test_a_stored_password_is_for_one_host(evocall, vault, monkeypatch):
    """Whoever changes the address in the profile, or in the environment, gets none."""
    account = Account("ops@example.com", PASSWORD)
    with Sandbox(accounts=[account]) as ours, Sandbox(accounts=[account]) as theirs:
        vault.kept = {(f"evocall {ours.base_url.removeprefix('http://')}", account.username): PASSWORD}
        monkeypatch.setenv("EVOCALL_USERNAME", account.username)
        monkeypatch.setenv("EVOCALL_BASE_URL", ours.base_url)
        assert evocall("whoami").code == 0
        monkeypatch.setenv("EVOCALL_BASE_URL", theirs.base_url)
        assert evocall("whoami").code == 4
        assert theirs.requests == []


# where secrets may not be


def options_of(command, path=()):
    """Every option of every command, with the path to it."""
    for name, sub in getattr(command, "commands", {}).items():
        yield from options_of(sub, (*path, name))
    for parameter in command.params:
        yield path, parameter


def test_no_command_takes_a_password_as_an_argument():
    """Arguments are seen by everybody on the machine, and kept in the shell's history."""
    every = options_of(get_command(cli.build()))
    secret = [(path, p) for path, p in every if re.search("pass|secret|token", p.name or "")]
    assert [(path, p.name, p.is_flag) for path, p in secret] == [(("login",), "password_stdin", True)]


COMMANDS = [
    DIAL,
    ("dial", "+18145550100", "--flow", "welcome", "--dry-run"),
    ("dial", "+18145550141", "--flow", "welcome"),
    ("dial", "+18145550151", "--flow", "welcome"),
    ("dial", "+18145550163", "--flow", "welcome"),
    ("whoami",),
    ("flows",),
    ("numbers",),
    ("show", "0001"),
    ("reconcile",),
    ("history",),
    ("profile", "show"),
    ("check", "+18145550100"),
]


@pytest.mark.parametrize("password", [PASSWORD, "wrong horse"])
@pytest.mark.parametrize("sign_in", ["basic", "cookies"])
def test_the_password_is_in_no_output(evocall, config, monkeypatch, sign_in, password):
    """Whatever the command, whatever comes of it, in words, in JSON and in all detail; nor is a session's cookie."""
    config(f'[profiles.a]\nsign_in = "{sign_in}"\nusername = "ops@example.com"\n')
    with Sandbox(accounts=[Account("ops@example.com", PASSWORD)], basic=sign_in == "basic") as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        monkeypatch.setenv("EVOCALL_PASSWORD", password)
        shown = ""
        for command in COMMANDS:
            for more in ((), ("--json",), ("--verbose",)):
                result = evocall(*command, *more)
                shown += result.out + result.err
        assert server.requests
        cookies = {
            c for request in server.requests for c in re.findall(r"=([0-9a-f]{20})", request.header("cookie") or "")
        }
    login = base64.b64encode(f"ops@example.com:{password}".encode()).decode()
    assert [secret for secret in (password, login, *cookies) if secret in shown] == []


def test_a_defect_shows_neither_a_value_nor_a_traceback(evocall, signed_in, monkeypatch):
    """The message of an exception that nobody foresaw may hold anything, a password too."""

    def fail(credential):
        raise RuntimeError(f"what about {credential.password}?")

    monkeypatch.setattr(service, "basic", fail)
    for more in ((), ("--json",), ("--verbose",)):
        result = evocall(*DIAL, *more)
        assert result.code == 1
        assert "RuntimeError" in result.err
        assert "Traceback" not in result.out + result.err
        assert signed_in.manager.password not in result.out + result.err


# the network


@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONHTTPSVERIFY": "0"},
        {"CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""},
        {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/"},
        {"GIT_SSL_NO_VERIFY": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0", "CURL_INSECURE": "1"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_nothing_turns_the_check_of_certificates_off(evocall, monkeypatch, settings):
    """There is no option for it either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EVOCALL_USERNAME", "ops@example.com")
    monkeypatch.setenv("EVOCALL_PASSWORD", PASSWORD)
    with FaultServer(silent, tls=context) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        assert evocall(*DIAL_ID).code == 8
        assert server.requests == []
    names = {option for _, parameter in options_of(get_command(cli.build())) for option in parameter.opts}
    assert [name for name in names if re.search("insecure|verify|cert|tls|ssl", name)] == []


def test_nobody_is_connected_to_but_the_service(evocall, signed_in, monkeypatch, tmp_path):
    """No look for a newer version, no statistics."""
    rows = tmp_path / "rows.csv"
    rows.write_text("number\n+18145550100\n")
    asked = set()
    connect, resolve = socket.socket.connect, socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", lambda sock, to: (asked.add(to[:2]), connect(sock, to))[1])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **named: (asked.add(host), resolve(host, *more, **named))[1]
    )
    for command in (*COMMANDS[:10], ("batch", str(rows), "--campaign", "c", "--flow", "welcome", "--yes")):
        evocall(*command)
    host, port = "127.0.0.1", int(signed_in.base_url.rpartition(":")[2])
    assert asked == {host, (host, port)}


# a hostile service


def place_at(base_url):
    """One dial."""
    login = Credential("ops@example.com", PASSWORD, "the test")
    there = Service(Profile("test", base_url, login.username, timeout=10.0), login)
    with contextlib.closing(there):
        return there.place(DialRequest("f", "+18145550100"))


@pytest.mark.parametrize("status", ["200 OK", "307 Moved", "302 Found", "400 Bad", "500 Oops"])
def test_an_answer_without_an_end_does_not_fill_the_memory(status):
    """It is left after 5 MiB, whatever else it says; a few more may be under way."""
    sent = []

    def pour(visit: Visit) -> None:
        visit.read()
        visit.send(f"HTTP/1.1 {status}\r\nLocation: https://elsewhere.example/\r\n\r\n".encode())
        for _ in range(64):
            visit.send(b"x" * MIB)
            sent.append(MIB)

    with FaultServer(pour) as server:
        answer = place_at(server.base_url)
    assert answer.outcome != "placed"
    assert sum(sent) < 32 * MIB


def test_a_compressed_answer_does_not_fill_the_memory(home):
    """A few kilobytes that want to be two gigabytes, for a process that may have half of one."""
    resource = pytest.importorskip("resource", reason="limits of memory are a matter of POSIX")
    bomb = gzip.compress(gzip.compress(bytes(16 * MIB)) * 128)
    assert len(bomb) < 64 * 1024
    with FaultServer(answering(http("200 OK", bomb, "Content-Encoding: gzip, gzip"))) as server:
        done = subprocess.run(
            [sys.executable, "-m", "evocall", "whoami", "--json"],
            env={
                "PATH": os.environ["PATH"],
                "EVOCALL_HOME": str(home / "evocall"),
                "EVOCALL_BASE_URL": server.base_url,
                "EVOCALL_USERNAME": "ops@example.com",
                "EVOCALL_PASSWORD": PASSWORD,
            },
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (512 * MIB, 512 * MIB)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (8, "strange_answer"), done.stderr


def test_verbose_shows_the_words_of_the_service_as_text(evocall, signed_in, monkeypatch):
    """Reason, headers and body come from outside as well."""
    body = json.dumps({"id": HOSTILE}, ensure_ascii=False).encode()
    head = f"HTTP/1.1 200 {HOSTILE}\r\nX-Words: {HOSTILE}\r\nContent-Type: application/json\r\n"
    data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with FaultServer(answering(data)) as server:
        monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
        result = evocall(*DIAL_ID, "--verbose")
    assert "X-Words".lower() in result.err.lower()
    assert all(line.isprintable() for line in (result.out + result.err).split("\n"))


UNSAFE = [
    "evil$(touch x)",
    "evil`touch x`",
    "evil\\$(touch x)",
    "evil;touch x",
    "evil|sh",
    "evil&",
    "evil>x",
    "evil'x",
    'evil"x',
    "evil*",
    "evil\x1b[2J",
    "evil\u202e",
    "evil\nevil",
]


@pytest.mark.parametrize("where", ["contacts", "flows", "profiles", "service"])
def test_no_name_that_a_shell_could_take_for_a_command_is_offered_for_tab(
    evocall, spawn, config, home, monkeypatch, where
):
    """Shells evaluate what they are offered, and anybody in the account may have named a flow."""
    names = ["good-name", *UNSAFE]
    table = "".join(f"{json.dumps(name)} = '+18145550100'\n" for name in names)
    if where == "profiles":
        config("".join(f"[profiles.{json.dumps(name)}]\n" for name in names))
    else:
        config(
            f"[profiles.default]\n[profiles.default.{where}]\n{table}" if where != "service" else "[profiles.default]\n"
        )
    env = {"EVOCALL_HOME": str(home / "evocall"), "EVOCALL_USERNAME": "ops@example.com", "EVOCALL_PASSWORD": PASSWORD}
    if where == "service":
        flows = {"items": [{"id": f"{n:024x}", "name": name} for n, name in enumerate(names)], "hasMorePages": False}
        with FaultServer(answering(http("200 OK", json.dumps(flows).encode()))) as server:
            env["EVOCALL_BASE_URL"] = server.base_url
            assert spawn("flows", env=env).returncode == 0
    typed = {"contacts": "evocall dial ", "profiles": "evocall dial --profile "}.get(where, "evocall dial --flow ")
    for shell, more in (
        ("bash", {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()))}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": typed}),
        ("fish", {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ):
        offered = spawn(env={**env, **more, "_EVOCALL_COMPLETE": f"complete_{shell}"}).stdout
        assert "good-name" in offered
        assert "evil" not in offered


# the program


def test_the_password_command_has_no_terminal_to_ask_at(config, home):
    """Neither by standard input nor by /dev/tty, although a person sits there and would type."""
    pty = pytest.importorskip("pty", reason="terminals are a matter of POSIX")
    with Sandbox(accounts=[Account("ops@example.com", PASSWORD)]) as server:
        ask = "sh -c 'read -r typed </dev/tty && echo \"$typed\"'"
        config(
            f"[profiles.default]\nbase_url = {json.dumps(server.base_url)}\nusername = 'ops@example.com'\n"
            f"password_command = {json.dumps(ask)}\n"
        )
        parent, child = pty.openpty()
        terminal = os.ttyname(child)
        os.write(parent, f"here\n{PASSWORD}\n".encode())
        script = f"exec <{terminal} >{terminal}; read -r here </dev/tty; [ $here = here ] || exit 99; "
        done = subprocess.run(
            # A session leader's first terminal becomes its own.
            ["/bin/sh", "-c", f'{script} exec "{sys.executable}" -m evocall whoami'],
            env={"PATH": os.environ["PATH"], "EVOCALL_HOME": str(home / "evocall"), "TERM": "dumb"},
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(child)
        os.close(parent)
        assert (done.returncode, server.requests) == (10, []), done.stderr
    assert "/dev/tty" in done.stderr


RUNNING = {"subprocess", "pty", "multiprocessing", "pickle", "marshal", "shelve", "runpy", "code"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "system",
    "popen",
    "startfile",
    "posix_spawn",
    "execv",
    "execve",
    "execvp",
    "spawnv",
}


def words_of_power(tree):
    """What in a module could start a program or run text as code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from RUNNING & {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            yield from RUNNING & {(node.module or "").partition(".")[0]}
        elif isinstance(node, ast.Call):
            called = node.func
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            owner = getattr(getattr(called, "value", None), "id", None)
            yield from CALLS & {name} if owner in {None, "os"} else ()
            yield from (word.arg for word in node.keywords if word.arg == "shell" and name == "run")


def test_no_program_is_run_but_the_password_command():
    """And no text is ever run as code."""
    found = [
        (file.relative_to(PACKAGE).as_posix(), word)
        for file in sorted(PACKAGE.rglob("*.py"))
        for word in words_of_power(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == [("credentials.py", "subprocess")]
