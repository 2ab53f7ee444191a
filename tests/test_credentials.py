"""Where the password comes from, in which order, and what is said when it does not come."""

import json
import shlex
import sys
import threading
from dataclasses import replace

import keyring
import keyring.errors
import pytest

from evocall import credentials, keychain
from evocall.errors import AuthError, ConfigError, ExitCode
from evocall.model import Profile

PASSWORD = "pä:s€ wörd 🔑 "
PROFILE = Profile("production", username="ops@example.com")
STORED = ("evocall evovoice.io", "ops@example.com")


def printing(output):
    """A password_command that prints these bytes."""
    return shlex.join([sys.executable, "-c", f"import sys; sys.stdout.buffer.write({output!r})"])


def broken(profile, environ=None):
    """What is said about a source that is set and cannot be used."""
    with pytest.raises(ConfigError) as raised:
        credentials.find(profile, environ or {})
    assert raised.value.exit_code == ExitCode.CONFIG
    return raised.value


@pytest.fixture
def password_file(tmp_path):
    """A file with the password, for its owner's eyes only, and a profile that names it."""
    path = tmp_path / "secret"
    path.write_text(f"{PASSWORD}\nsecond line\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_the_first_source_that_is_set_wins(vault, password_file):
    """Environment, command, file, keyring: each in turn, when those before it are taken away."""
    vault.kept[STORED] = "from the keyring"
    in_turn = [(PROFILE, {}), (replace(PROFILE, password_file=str(password_file)), {})]
    in_turn.append((replace(in_turn[1][0], password_command=printing(b"from the command")), {}))
    in_turn.append((in_turn[2][0], {"EVOCALL_PASSWORD": "from the environment"}))
    found = [credentials.find(profile, environ) for profile, environ in in_turn]
    assert [login.password for login in found] == [
        "from the keyring",
        PASSWORD,
        "from the command",
        "from the environment",
    ]
    assert [login.source for login in found] == [
        f"the keyring ({type(vault).__module__}.Vault)",
        f"password_file {password_file}",
        "password_command of profile 'production'",
        "EVOCALL_PASSWORD in the environment",
    ]


def test_an_empty_variable_is_no_password(vault):
    vault.kept[STORED] = "from the keyring"
    assert credentials.find(PROFILE, {"EVOCALL_PASSWORD": ""}).password == "from the keyring"


def test_a_broken_source_is_never_skipped_for_the_next(vault):
    """The next one may hold the password of another login."""
    vault.kept[STORED] = "from the keyring"
    assert broken(replace(PROFILE, password_command="false")).code == "password_command"


def test_without_a_username_there_is_no_login():
    with pytest.raises(AuthError) as raised:
        credentials.find(Profile("production"), {"EVOCALL_PASSWORD": "x"})
    assert (raised.value.exit_code, raised.value.code) == (ExitCode.AUTH, "no_credential")
    assert "evocall login --profile production" in raised.value.hint


@pytest.mark.usefixtures("vault")
def test_without_a_password_all_sources_are_named():
    """Whose password is missing, and each way to give it."""
    with pytest.raises(AuthError) as raised:
        credentials.find(PROFILE, {})
    assert (raised.value.exit_code, raised.value.code) == (ExitCode.AUTH, "no_credential")
    assert "ops@example.com at https://evovoice.io" in raised.value.message
    for source in ("EVOCALL_PASSWORD", "password_command", "password_file", "evocall login"):
        assert source in raised.value.hint


def test_a_password_stays_out_of_every_repr(password_file):
    """A traceback or a log line with the login in it does not give it away."""
    login = credentials.find(replace(PROFILE, password_file=str(password_file)), {})
    assert PASSWORD.strip() not in f"{login!r} {login} {login.source}"


@pytest.mark.parametrize(
    ("output", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\nurl: https://evovoice.io\n", "secret"),
        (b"  two words \n", "  two words "),
        (PASSWORD.encode() + b"\n", PASSWORD),
        ("a\u2028b\x85c\x0cd\n".encode(), "a\u2028b\x85c\x0cd"),
    ],
)
def test_the_first_line_of_the_command_is_the_password(output, password):
    """As bytes in UTF-8, ended by a line feed and by nothing else, so that it is what a password_file would hold."""
    assert credentials.find(replace(PROFILE, password_command=printing(output)), {}).password == password


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("false", "ended with status 1: it said nothing"),
        ("sh -c 'echo one >&2; echo gpg: no secret key >&2; exit 3'", "ended with status 3: gpg: no secret key"),
        ("sh -c 'kill -9 $$'", "ended with status -9"),
        ("true", "printed nothing"),
        ("echo", "printed nothing"),
        ("sh -c 'echo; echo secret'", "printed nothing"),
        ("no-such-command-here --x", "No such file or directory: 'no-such-command-here'"),
        ("pass show 'evo", "No closing quotation"),
        ("/", "Permission denied"),
        (" ", "password_command"),
    ],
)
def test_a_command_that_gives_no_password_is_an_error(command, why):
    """An empty first line is not a password either; the hint repeats the command, to be tried by hand."""
    error = broken(replace(PROFILE, password_command=command))
    assert error.code == "password_command"
    assert why in error.message
    assert command in error.hint


def test_a_command_that_prints_no_text_is_an_error():
    """Latin-1 from an old password store would be another password in UTF-8; its bytes are not shown."""
    error = broken(replace(PROFILE, password_command=printing(b"hunter2\xe4\n")))
    assert error.code == "password_command"
    assert "hunter2" not in error.message


def test_a_command_cannot_ask(spawn, config, home):
    """Its standard input is empty, whatever ours holds, so that a cron job fails instead of waiting for a person."""
    command = shlex.join([sys.executable, "-c", "print(input())"])
    config(f"[profiles.default]\nusername = 'ops@example.com'\npassword_command = {json.dumps(command)}\n")
    done = spawn("whoami", env={"EVOCALL_HOME": str(home / "evocall")}, stdin="what a person types\n")
    assert (done.returncode, "EOFError" in done.stderr) == (10, True), done.stderr


def test_a_command_is_not_a_shell_line():
    """What looks like shell syntax is an argument; `sh -c` is there for those who want a shell."""
    assert credentials.find(replace(PROFILE, password_command="echo $HOME; echo x"), {}).password == "$HOME; echo x"


@pytest.mark.parametrize("command", ["whoami", "batch", "doctor", "dial"])
def test_a_command_of_ours_asks_once(command, evocall, config, sandbox, tmp_path):
    """Whoever types a PIN for it, or confirms it on a key, does so once."""
    asked, rows = tmp_path / "asked", tmp_path / "rows.csv"
    rows.write_text("number\n+18145550100\n", encoding="utf-8")
    script = tmp_path / "ask"
    script.write_text(f"#!/bin/sh\necho asked >> {asked}\necho {sandbox.manager.password}\n", encoding="utf-8")
    script.chmod(0o700)
    config(
        f'[profiles.default]\nbase_url = "{sandbox.base_url}"\nusername = "{sandbox.manager.username}"\n'
        f'flow = "welcome"\npassword_command = "{script}"\n'
    )
    options = {"batch": (str(rows), "--campaign", "c", "--yes"), "dial": ("+18145550100",)}
    assert evocall(command, *options.get(command, ())).code == 0
    assert asked.read_text(encoding="utf-8").split() == ["asked"]


@pytest.mark.parametrize("written", ["$PLACE/secret", "${PLACE}/secret", "secret", "./secret", "~/secret"])
def test_a_password_file_is_found(written, password_file, monkeypatch):
    """Through a variable, as systemd's credentials are, at home, or beside the profile file."""
    monkeypatch.setenv("HOME", str(password_file.parent))
    profile = replace(PROFILE, password_file=written, directory=password_file.parent)
    assert credentials.find(profile, {"PLACE": str(password_file.parent)}).password == PASSWORD


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b"secret\nsecond\n"])
def test_the_first_line_of_the_file_is_the_password(content, password_file):
    password_file.write_bytes(content)
    assert credentials.find(replace(PROFILE, password_file=str(password_file)), {}).password == "secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_a_password_file_that_others_can_read_is_refused(mode, password_file):
    """With the command that mends it; the password itself is not shown."""
    password_file.chmod(mode)
    error = broken(replace(PROFILE, password_file=str(password_file)))
    assert f"{password_file} can be read by others (mode {mode:04o})" in error.message
    assert error.hint == f"chmod 600 {password_file}"
    assert PASSWORD.strip() not in error.message


def test_the_command_that_mends_a_mode_can_be_pasted(password_file):
    """Also when the path has a space in it."""
    spaced = password_file.rename(password_file.with_name("my secret"))
    spaced.chmod(0o644)
    assert broken(replace(PROFILE, password_file=str(spaced))).hint == f"chmod 600 '{spaced}'"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_password_file_of_one_s_own_is_read(mode, password_file):
    password_file.chmod(mode)
    assert credentials.find(replace(PROFILE, password_file=str(password_file)), {}).password == PASSWORD


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("$CREDENTIALS_DIRECTORY/evo", "$CREDENTIALS_DIRECTORY is not set here"),
        ("$/evo", "password_file of profile 'production'"),
        ("nowhere", "No such file or directory"),
        (".", "Is a directory"),
        ("~nobody-of-that-name/evo", "~nobody-of-that-name"),
    ],
)
def test_a_password_file_that_cannot_be_found_is_an_error(written, why, tmp_path):
    error = broken(replace(PROFILE, password_file=written, directory=tmp_path))
    assert error.code == "password_file"
    assert why in error.message


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty first line"), (b"\nsecret\n", "empty first line"), (b"secret\xe4\n", "cannot be read")],
)
def test_a_password_file_without_a_password_is_an_error(content, why, password_file):
    password_file.write_bytes(content)
    error = broken(replace(PROFILE, password_file=str(password_file)))
    assert why in error.message
    assert "secret\\xe4" not in error.message


def test_the_keyring_keeps_what_is_stored(vault):
    """Under the host and the user, so that two hosts have two passwords."""
    elsewhere = replace(PROFILE, base_url="https://team.evovoice.io:8443")
    assert keychain.store(PROFILE, PASSWORD) == f"{type(vault).__module__}.Vault"
    keychain.store(elsewhere, "another")
    assert vault.kept == {STORED: PASSWORD, ("evocall team.evovoice.io:8443", "ops@example.com"): "another"}
    assert keychain.fetch(PROFILE).password == PASSWORD


def test_the_keyring_forgets_what_is_stored(vault):
    """And says when there was nothing to forget."""
    vault.kept[STORED] = PASSWORD
    assert keychain.forget(PROFILE) is True
    assert vault.kept == {}
    assert keychain.forget(PROFILE) is False
    assert keychain.fetch(PROFILE) is None


def test_without_a_keyring_there_is_nothing_to_fetch_or_forget():
    """As in a container; that is no error while there are other sources."""
    assert keychain.fetch(PROFILE) is None
    assert keychain.forget(PROFILE) is False


def test_without_a_keyring_nothing_can_be_stored():
    with pytest.raises(AuthError) as raised:
        keychain.store(PROFILE, "hunter2")
    assert (raised.value.exit_code, raised.value.code) == (ExitCode.AUTH, "no_keyring")
    assert "EVOCALL_PASSWORD" in raised.value.hint
    assert "hunter2" not in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (keyring.errors.KeyringLocked("the collection is locked"), "the collection is locked"),
        (RuntimeError("no such interface"), "no such interface"),
        (OSError(), "OSError"),
    ],
)
def test_a_keyring_that_fails_is_an_error_that_says_why(error, why, vault):
    """Backends raise whatever their libraries do."""

    def fail(*_):
        raise error

    vault.get_password = vault.set_password = vault.delete_password = fail
    asked = (lambda: keychain.fetch(PROFILE), lambda: keychain.store(PROFILE, "x"), lambda: keychain.forget(PROFILE))
    for ask in asked:
        with pytest.raises(ConfigError) as raised:
            ask()
        assert raised.value.code == "keyring"
        assert why in raised.value.message
        assert "EVOCALL_PASSWORD" in raised.value.hint


@pytest.mark.parametrize("ask", [keychain.fetch, keychain.forget])
def test_a_keyring_that_never_answers_is_an_error(ask, vault):
    """A dialog may be waiting on a screen that nobody sees; a cron job does not wait with it."""
    closed = threading.Event()
    vault.get_password = vault.delete_password = lambda *_: closed.wait()
    try:
        with pytest.raises(ConfigError) as raised:
            ask(PROFILE, patience=0.05)
    finally:
        closed.set()
    assert raised.value.code == "keyring"
    assert "no answer within 0.05 seconds" in raised.value.message
