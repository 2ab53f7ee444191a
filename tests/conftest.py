"""The command line, a home of its own, a real sandbox, and a keyring in memory."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import keyring
import keyring.backend
import pytest

from evocall import cli, settling
from evocall.model import Credential, Profile
from evocall.sandbox import Sandbox
from evocall.service import Service
from tests import postgresql


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and an environment without anybody's settings, proxies or keyrings."""
    for name in list(os.environ):
        if name.startswith(("EVOCALL_", "XDG_", "DBUS_")) or name.upper().endswith(("_PROXY", "_BUNDLE")):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("EVOCALL_HOME", str(directory / "evocall"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    return directory


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two questions about an unknown outcome; processes of their own do pause."""
    monkeypatch.setattr(settling, "PAUSES", (0.0,))


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Signals as at a terminal, also when whoever runs the tests ignores them, as a shell's `&` and nohup do."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def config(home: Path) -> Callable[[str], Path]:
    """Writes the profile file."""

    def write(text: str) -> Path:
        path = home / "evocall" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def evocall(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """The command line in this process: `evocall("dial", "+18145550100")`."""

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with pytest.raises(SystemExit) as left:
            cli.main(list(arguments))
        for number, handler in handlers.items():
            signal.signal(number, handler)
        captured = capfd.readouterr()
        return Result(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def spawn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in a process of its own, with nothing in the environment but what is given."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evocall", *arguments],
            env={"PATH": os.environ["PATH"], **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A running sandbox."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def signed_in(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A running sandbox, and an environment that signs in to it as its Manager."""
    monkeypatch.setenv("EVOCALL_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("EVOCALL_USERNAME", sandbox.manager.username)
    monkeypatch.setenv("EVOCALL_PASSWORD", sandbox.manager.password)
    monkeypatch.setenv("EVOCALL_FLOW", sandbox.flows[0].id)
    return sandbox


class Vault(keyring.backend.KeyringBackend):
    """A keyring in memory, the one stand-in of this suite."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("nothing stored")


@pytest.fixture
def vault() -> Iterator[Vault]:
    """The keyring of this process."""
    before = keyring.get_keyring()
    backend = Vault()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture
def missing() -> Callable[[str], None]:
    """Skips a test whose Debian package is missing on a newcomer's machine; in CI that is a failure."""

    def missing_part(hint: str) -> None:
        if os.environ.get("CI"):
            pytest.fail(f"missing in CI: {hint}")
        pytest.skip(hint)

    return missing_part


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgresql.Server | None]:
    """One PostgreSQL for all tests of this process, None where there is none."""
    if postgresql.programs() is None:
        yield None
        return
    with postgresql.running() as server:
        yield server


@pytest.fixture
def postgres(postgres_server, missing, monkeypatch) -> postgresql.Server:
    """A running PostgreSQL, whose password is in the environment."""
    if postgres_server is None:
        missing("needs PostgreSQL (Debian: apt install postgresql)")
    monkeypatch.setenv("PGPASSWORD", postgresql.PASSWORD)
    return postgres_server


@pytest.fixture
def change(home):
    """Changes all calls of the journal, or those that a condition lets through."""

    def run(assignment, *values, where="1"):
        with closing(sqlite3.connect(home / "evocall" / "journal.db")) as connection, connection:
            connection.execute(f"UPDATE calls SET {assignment} WHERE {where}", values)

    return run


@pytest.fixture
def started(monkeypatch):
    """Starts a server in the place of the one that is signed in to."""
    with ExitStack() as stack:

        def start(server):
            stack.enter_context(server)
            monkeypatch.setenv("EVOCALL_BASE_URL", server.base_url)
            return server

        yield start


@pytest.fixture
def service_at():
    """The API at an address, signed in as the Manager of the sandbox."""
    opened = []

    def signed_in(base_url, username="manager@example.com"):
        profile = Profile("test", base_url, username)
        opened.append(Service(profile, Credential(username, "rings-nobody", "the test")))
        return opened[-1]

    yield signed_in
    for service in opened:
        service.close()


@pytest.fixture
def service(sandbox, service_at):
    """The API of a sandbox."""
    return service_at(sandbox.base_url)


@pytest.fixture
def name() -> str:
    """A name of this machine that does not say so, since evocall uses no proxy for localhost."""
    found = socket.gethostname()
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(found, None, socket.AF_INET)}
    except OSError:
        addresses = set()
    if not any(str(address).startswith("127.") for address in addresses) or found == "localhost":
        pytest.skip(f"the host name {found!r} does not resolve to a loopback address")
    return found


@pytest.fixture
def dial(evocall):
    """Dials, and returns the exit code and the JSON document."""

    def run(*arguments):
        result = evocall("dial", *arguments, "--json")
        return result.code, json.loads(result.out)

    return run
