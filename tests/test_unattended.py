"""A dial that nobody watches: no terminal, hardly any environment, never a question."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import evocall as package
from evocall.sandbox import Sandbox

NUMBER = "+18145550100"
FLOW = "665f1c0000000000000000a1"
PATH = {"PATH": "/usr/bin:/bin"}
NOBODY = 65534
NOT_IN_PASSWD = 4_000_000
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def profile(sandbox: Sandbox, tmp_path: Path) -> Callable[[str], Path]:
    """Writes a profile file for the sandbox, with that line for the password, into a directory of its own."""

    def write(password: str) -> Path:
        directory = tmp_path / "evocall"
        directory.mkdir()
        secret = directory / "password"
        secret.write_text(f"{sandbox.manager.password}\n", encoding="utf-8")
        secret.chmod(0o600)
        (directory / "config.toml").write_text(
            f'[profiles.ops]\nbase_url = "{sandbox.base_url}"\nusername = "{sandbox.manager.username}"\n'
            f'flow = "welcome"\n{password}\n',
            encoding="utf-8",
        )
        return directory

    return write


@pytest.fixture
def unattended() -> Callable[..., Done]:
    """Dials in a session without a terminal, with that environment and no other; never waits for more than 20 s."""

    def run(
        env: dict[str, str], *options: str, before: Sequence[str] = (), **how: object
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*before, sys.executable, "-m", "evocall", "dial", NUMBER, "--json", *options],
            env=env | {"PYTHONPATH": str(Path(package.__file__).parents[1])},
            stdin=how.pop("stdin", subprocess.DEVNULL),
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=20,
            check=False,
            **how,
        )

    return run


@pytest.fixture
def read_only(tmp_path: Path, missing) -> Iterator[Path]:
    """A directory in which not even root can write."""
    root = tmp_path / "read-only"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=64k,mode=755", "evocall-test", str(root)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        missing("needs to mount a read-only directory, as root on Linux")
    yield root
    subprocess.run(["umount", str(root)], check=True)


@pytest.fixture
def somebody_else(missing) -> Callable[[int], list[str]]:
    """What to put before a command so that this user runs it, who may read what root may, but write nothing."""
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        missing("needs root and util-linux's setpriv, to run a command as somebody else")
    only_reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return lambda user: ["setpriv", f"--reuid={user}", "--clear-groups", *only_reading]


@pytest.mark.parametrize("password", ['password_file = "password"', 'password_command = "cat {}/password"'])
def test_a_bare_environment_and_a_profile_are_enough(sandbox, profile, unattended, tmp_path, password):
    """No HOME, no terminal, no language: the call is placed, and stderr is empty."""
    directory = profile(password.format(tmp_path / "evocall"))
    done = unattended(PATH | {"EVOCALL_HOME": str(directory)})
    [call] = sandbox.calls
    assert (0, "") == (done.returncode, done.stderr)
    assert call.id == json.loads(done.stdout)["session_id"]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437"])
def test_a_receipt_in_a_language_that_the_output_does_not_know_is_written(sandbox, profile, encoding):
    """The phone rings, so it is no failure when the name of the flow has to be spelled out."""
    directory = profile('password_file = "password"\nflows = { "☎ wäsche" = "665f1c0000000000000000a1" }')
    done = subprocess.run(
        [sys.executable, "-m", "evocall", "dial", NUMBER, "--flow", "☎ wäsche"],
        env=PATH | {"EVOCALL_HOME": str(directory), "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr, len(sandbox.calls)) == (0, b"", 1)
    assert "flow      \\u260e w" in done.stdout.decode(encoding)


def test_a_read_only_home_does_not_matter_when_evocall_has_its_own(sandbox, profile, unattended, read_only):
    """A service without a writable HOME keeps config and journal under EVOCALL_HOME."""
    directory = profile('password_file = "password"')
    done = unattended(PATH | {"HOME": str(read_only), "EVOCALL_HOME": str(directory)}, "--once", "key")
    assert (0, "", 1) == (done.returncode, done.stderr, len(sandbox.calls))
    again = unattended(PATH | {"HOME": str(read_only), "EVOCALL_HOME": str(directory)}, "--once", "key")
    assert "already_placed" == json.loads(again.stdout)["outcome"]


def test_a_read_only_home_without_another_place_stops_the_dial(sandbox, profile, unattended, read_only):
    """There is nowhere to keep the journal, so nothing is dialled, and the hint names EVOCALL_HOME."""
    env = PATH | {"HOME": str(read_only), "EVOCALL_FLOW": FLOW, "EVOCALL_BASE_URL": sandbox.base_url}
    login = {"EVOCALL_USERNAME": sandbox.manager.username, "EVOCALL_PASSWORD": sandbox.manager.password}
    done = unattended(env | login)
    assert (10, "not_placed") == (done.returncode, json.loads(done.stdout)["outcome"])
    assert "EVOCALL_HOME" in done.stderr
    assert [] == sandbox.dials()


@pytest.mark.parametrize("user", [NOBODY, NOT_IN_PASSWD], ids=["nobody", "a user without a name"])
def test_a_user_without_a_home_is_told_to_name_one(sandbox, somebody_else, unattended, tmp_path, user):
    """As in a container: without HOME and EVOCALL_HOME nothing is dialled, and no journal appears where it stands."""
    here = tmp_path / "here"
    here.mkdir()
    os.chown(here, user, user)
    env = PATH | {"EVOCALL_FLOW": FLOW, "EVOCALL_BASE_URL": sandbox.base_url}
    login = {"EVOCALL_USERNAME": sandbox.manager.username, "EVOCALL_PASSWORD": sandbox.manager.password}
    done = unattended(env | login, before=somebody_else(user), cwd=here)
    assert (10, []) == (done.returncode, list(here.iterdir()))
    assert "EVOCALL_HOME" in done.stderr
    assert [] == sandbox.dials()


@pytest.mark.parametrize("env", [{}, {"EVOCALL_USERNAME": "ops@example.com"}], ids=["no login", "no password"])
@pytest.mark.parametrize("backend", [None, "keyring.backends.fail.Keyring"], ids=["any keyring", "no keyring"])
def test_without_a_credential_it_ends_with_exit_4_and_asks_nobody(unattended, home, tmp_path, env, backend):
    """Even when somebody seems to be there: what stands on stdin is not read, and no answer is waited for."""
    chosen = {} if backend is None else {"PYTHON_KEYRING_BACKEND": backend}
    read, write = os.pipe()
    done = unattended(
        PATH | {"HOME": str(home), "EVOCALL_HOME": str(tmp_path / "empty"), "EVOCALL_FLOW": FLOW} | env | chosen,
        stdin=read,
    )
    os.close(write)
    os.close(read)
    document = json.loads(done.stdout)
    assert (4, "not_placed", "no_credential") == (done.returncode, document["outcome"], document["error"]["code"])
    assert "hint: " in done.stderr
    assert "assword:" not in done.stdout + done.stderr


def test_without_a_credential_a_terminal_is_not_asked_either(home, tmp_path, missing):
    """`dial` is for scripts: at a terminal it also ends with exit 4 instead of a prompt."""
    if sys.platform == "win32":
        missing("needs a pseudo-terminal")
    import pty

    ours, theirs = pty.openpty()
    env = PATH | {"HOME": str(home), "EVOCALL_HOME": str(tmp_path / "empty"), "EVOCALL_USERNAME": "ops@example.com"}
    process = subprocess.Popen(
        [sys.executable, "-m", "evocall", "dial", NUMBER, "--flow", FLOW],
        env=env | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    assert 4 == process.wait(20)
    os.close(ours)


@pytest.mark.parametrize(
    ("command", "reason"),
    [("false", "ended with status 1"), ("true", "printed nothing"), ("no-such-command", "could not be run")],
)
def test_a_password_command_that_fails_is_named_with_what_it_did(sandbox, profile, unattended, command, reason):
    """Cron's environment is not the one it was tried in; the message is what stands in the mail."""
    directory = profile(f'password_command = "{command}"')
    done = unattended(PATH | {"EVOCALL_HOME": str(directory)})
    assert (10, "not_placed") == (done.returncode, json.loads(done.stdout)["outcome"])
    assert f"password_command of profile 'ops' {reason}" in done.stderr
    assert command in done.stderr
    assert [] == sandbox.dials()


def test_a_password_command_that_asks_gets_no_answer_and_no_terminal(sandbox, profile, unattended):
    """It reads the end of its input at once instead of waiting for somebody."""
    directory = profile("password_command = \"sh -c 'read -r answer </dev/tty || read -r answer; echo $answer'\"")
    read, write = os.pipe()
    done = unattended(PATH | {"EVOCALL_HOME": str(directory)}, stdin=read)
    os.close(write)
    os.close(read)
    assert (10, []) == (done.returncode, sandbox.dials())
    assert "has an empty first line" in done.stderr or "printed nothing" in done.stderr
