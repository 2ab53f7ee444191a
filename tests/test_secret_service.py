"""The real Secret Service: gnome-keyring on a D-Bus of its own, evocall in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

from evocall.sandbox import Sandbox

NEEDED = ("dbus-run-session", "gnome-keyring-daemon")
UNLOCKED = """
printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
echo "$DBUS_SESSION_BUS_ADDRESS"
cat
"""
LOCK = """
from contextlib import closing
import secretstorage
with closing(secretstorage.dbus_init()) as bus:
    collection = secretstorage.get_default_collection(bus)
    collection.lock()
    print(collection.is_locked())
"""
ITEMS = """
import json
from contextlib import closing
import secretstorage
with closing(secretstorage.dbus_init()) as bus:
    items = secretstorage.get_default_collection(bus).get_all_items()
    print(json.dumps([[item.get_attributes(), item.get_secret().decode()] for item in items]))
"""
DIAL = ("dial", "+18145550100", "--flow", "welcome")
Environment = dict[str, str]


@pytest.fixture
def offline(home: Path) -> Environment:
    """An environment without D-Bus."""
    return {"HOME": str(home), "EVOCALL_HOME": str(home / "evocall")}


@pytest.fixture
def session(missing, home: Path, offline: Environment) -> Iterator[Environment]:
    """An environment with a D-Bus session whose keyring is unlocked."""
    for program in NEEDED:
        if which(program) is None:
            missing(f"{program} is not installed: apt install dbus gnome-keyring")
    pytest.importorskip("secretstorage", reason="keyring's Secret Service backend is not for this system")
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    environment = {**offline, "XDG_RUNTIME_DIR": str(runtime)}
    with subprocess.Popen(
        ["dbus-run-session", "--", "bash", "-c", UNLOCKED],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        # The last line of the script waits for its input to end; then the bus goes, and the keyring with it.
        yield {**environment, "DBUS_SESSION_BUS_ADDRESS": process.stdout.readline().strip()}
        process.stdin.close()


@pytest.fixture
def stored(spawn, session: Environment, sandbox: Sandbox) -> Environment:
    """The same, after a login to the sandbox."""
    done = spawn(
        *("login", "--base-url", sandbox.base_url, "--username", sandbox.manager.username, "--password-stdin"),
        env=session,
        stdin=f"{sandbox.manager.password}\n",
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return session


@pytest.fixture
def python() -> Callable[[str, Environment], str]:
    """What a small program prints in that environment."""

    def run(program: str, environment: Environment) -> str:
        return subprocess.run(
            [sys.executable, "-c", program],
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.PIPE,
            text=True,
            timeout=30,
            check=True,
        ).stdout.strip()

    return run


def test_what_login_stores_dial_finds(spawn, stored, sandbox):
    """Without a prompt, in another process, with nothing in the environment but the bus."""
    done = spawn(*DIAL, "--json", env=stored)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["session_id"] == sandbox.calls[0].id


def test_the_password_is_in_the_keyring_and_in_no_file(python, stored, sandbox, home):
    """One entry for each host and username."""
    [[attributes, secret]] = json.loads(python(ITEMS, stored))
    assert secret == sandbox.manager.password
    assert attributes["service"] == f"evocall {sandbox.base_url.removeprefix('http://')}"
    assert attributes["username"] == sandbox.manager.username
    written = [path.read_bytes() for path in (home / "evocall").rglob("*") if path.is_file()]
    assert written
    assert all(sandbox.manager.password.encode() not in content for content in written)


def test_whoami_names_the_keyring(spawn, stored):
    done = spawn("whoami", "--json", env=stored)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["credential"] == "the keyring (keyring.backends.SecretService.Keyring)"


def test_after_logout_nothing_is_found(spawn, python, stored, sandbox):
    """Exit 4, as before the first login; the hint says where a password may be."""
    assert spawn("logout", env=stored).returncode == 0
    assert json.loads(python(ITEMS, stored)) == []
    done = spawn(*DIAL, env=stored)
    assert (done.returncode, done.stdout, sandbox.calls) == (4, "", [])
    assert "evocall login" in done.stderr


def test_a_second_login_replaces_the_password(spawn, python, stored, sandbox):
    """No second entry, from which the wrong one could be read."""
    done = spawn(
        *("login", "--username", sandbox.customer.username, "--password-stdin"),
        env=stored,
        stdin=f"{sandbox.customer.password}\n",
    )
    assert done.returncode == 0, done.stderr
    again = spawn("login", "--password-stdin", env=stored, stdin=f"{sandbox.customer.password}\n")
    assert again.returncode == 0, again.stderr
    names = sorted(attributes["username"] for attributes, _ in json.loads(python(ITEMS, stored)))
    assert names == sorted({sandbox.customer.username, sandbox.manager.username})


def test_a_refused_login_stores_nothing(spawn, python, session, sandbox):
    done = spawn(
        *("login", "--base-url", sandbox.base_url, "--username", sandbox.manager.username, "--password-stdin"),
        env=session,
        stdin="guessed\n",
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert json.loads(python(ITEMS, session)) == []


@pytest.mark.parametrize("command", [DIAL, ("whoami",), ("logout",)])
def test_a_locked_keyring_is_a_configuration_error(spawn, python, stored, sandbox, command):
    """At once and without a dialog, which nobody could answer; other places for a password are named."""
    before = len(sandbox.requests)
    assert python(LOCK, stored) == "True"
    done = spawn(*command, env=stored)
    assert (done.returncode, done.stdout, len(sandbox.requests)) == (10, "", before)
    assert "it is locked" in done.stderr
    for source in ("EVOCALL_PASSWORD", "password_command", "password_file"):
        assert source in done.stderr


def test_the_environment_goes_before_a_locked_keyring(spawn, python, stored, sandbox):
    """The keyring is not even asked."""
    python(LOCK, stored)
    done = spawn(*DIAL, env={**stored, "EVOCALL_PASSWORD": sandbox.manager.password})
    assert (done.returncode, len(sandbox.calls)) == (0, 1), done.stderr


def test_a_keyring_with_nothing_in_it_is_like_none(spawn, session, sandbox):
    done = spawn(
        *DIAL,
        env={**session, "EVOCALL_BASE_URL": sandbox.base_url, "EVOCALL_USERNAME": sandbox.manager.username},
    )
    assert (done.returncode, done.stdout, sandbox.requests) == (4, "", [])


@pytest.mark.parametrize("bus", [{}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus"}])
def test_without_a_bus_there_is_no_password(spawn, offline, sandbox, bus):
    """As in a container or a cron job: exit 4, and the other places are named."""
    login = {"EVOCALL_BASE_URL": sandbox.base_url, "EVOCALL_USERNAME": sandbox.manager.username}
    done = spawn(*DIAL, env={**offline, **bus, **login})
    assert (done.returncode, done.stdout, sandbox.requests) == (4, "", [])
    assert "EVOCALL_PASSWORD" in done.stderr


def test_without_a_bus_a_login_that_used_one_is_not_found_either(spawn, offline, stored, sandbox):
    """The profile names the backend; a cron job does not reach it."""
    done = spawn(*DIAL, env=offline)
    assert (done.returncode, done.stdout, sandbox.calls) == (4, "", [])
    assert "EVOCALL_PASSWORD" in done.stderr
