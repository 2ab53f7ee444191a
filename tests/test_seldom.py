"""What seldom happens to a user, and is answered with a sentence all the same."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from evocall import AuthError, EvoVoice, credentials, service
from evocall.sandbox import Sandbox

DIAL = ("dial", "+18145550100", "--flow", "welcome")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*DIAL, "--once", " "), "empty key"),
        (("batch", "-", "--campaign", " ", "--yes"), "empty name"),
        (("dial", "tel:+18145550100;isub=1", "--flow", "welcome"), ";isub="),
        ((*DIAL, "--allow", "space"), "not a number class"),
        ((*DIAL[:2], "--dry-run"), "No flow was named"),
    ],
)
def test_what_cannot_be_meant_is_said(evocall, arguments, words):
    result = evocall(*arguments)
    assert (result.code, words in result.err) == (2, True)


def test_a_quiet_check_says_only_what_is_wrong(evocall):
    result = evocall("check", "+18145550100", "+1814", "--quiet")
    assert (result.code, result.out) == (2, "")
    assert "+1814" in result.err
    assert "+18145550100" not in result.err


def test_a_password_command_that_does_not_end_is_ended(evocall, config, monkeypatch, sandbox):
    monkeypatch.setattr(credentials, "COMMAND_PATIENCE", 0.1)
    config(f'[profiles.default]\nbase_url = "{sandbox.base_url}"\nusername = "x"\npassword_command = "sleep 60"\n')
    result = evocall(*DIAL)
    assert (result.code, "still running" in result.err, sandbox.dials()) == (10, True, [])


def test_a_profile_file_that_cannot_be_written_is_left_as_it_is(evocall, config, home):
    """Here its directory is a file of somebody else."""
    (home / "evocall").write_text("mine", encoding="utf-8")
    result = evocall("profile", "set", "flow", "alert")
    assert result.code == 10
    assert (home / "evocall").read_text(encoding="utf-8") == "mine"


def test_a_file_of_results_without_a_place_is_refused(evocall, signed_in, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("number\n+18145550100\n", encoding="utf-8")
    missing = tmp_path / "no" / "results.csv"
    arguments = ("batch", str(rows), "--campaign", "c", "--pace", "100", "--yes", "--results", str(missing))
    result = evocall(*arguments)
    assert (result.code, str(missing.parent) in result.err) == (2, True)
    assert signed_in.dials() == []


def test_a_batch_without_standard_input_has_no_rows(home):
    done = subprocess.run(
        [sys.executable, "-m", "evocall", "batch", "-", "--campaign", "c", "--yes"],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        preexec_fn=lambda: os.close(0),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "Standard input is closed" in done.stderr) == (2, True)


def test_a_defect_is_placed_in_our_own_files(evocall, signed_in, monkeypatch):
    """Also for whoever keeps libraries in a directory that is named like ours."""
    place = {}
    code = compile("def fail(_): raise RuntimeError", "/home/ops/evocall/.venv/site-packages/library.py", "exec")
    exec(code, place)
    monkeypatch.setattr(service, "basic", place["fail"])
    result = evocall("dial", "+18145550100", "--flow", "id:f")
    assert (result.code, "service.py:" in result.err, "library.py" in result.err) == (1, True, False)


def test_a_pipe_that_breaks_within_a_command_is_no_success(sandbox, home):
    """As one to a keyring may: only a help that nobody reads may end with exit 0."""
    program = """
import errno
from evocall import cli, credentials

def fail(profile):
    raise BrokenPipeError(errno.EPIPE, "Broken pipe")

credentials.find = fail
cli.main(["dial", "+18145550100", "--flow", "welcome"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "EVOCALL_BASE_URL": sandbox.base_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "BrokenPipeError at" in done.stderr, sandbox.dials()) == (1, True, [])


def test_tab_knows_the_keys_of_a_profile(home):
    words = "evocall profile set guard.max"
    environment = {"COMP_WORDS": words, "COMP_CWORD": "3", "_EVOCALL_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "evocall"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["guard.max_per_day", "guard.max_per_number_per_day"]


def test_tab_offers_nothing_from_a_broken_profile_file(home, config):
    config("profiles = 1\n")
    environment = {"COMP_WORDS": "evocall dial --flow ", "COMP_CWORD": "3", "_EVOCALL_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "evocall"],
        env={"PATH": os.environ["PATH"], "EVOCALL_HOME": str(home / "evocall"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_port_that_is_taken_is_named(evocall, sandbox):
    port = sandbox.base_url.rpartition(":")[2]
    result = evocall("sandbox", "--port", port)
    assert (result.code, f"Port {port}" in result.err, "--port 0" in result.err) == (2, True, True)


def test_a_row_of_the_journal_that_cannot_be_read_is_said(evocall, signed_in, change):
    evocall(*DIAL)
    change("response = '{'")
    result = evocall("history")
    assert (result.code, "damaged row" in result.err) == (10, True)


def test_a_campaign_whose_name_is_no_text_dials_nothing(evocall, signed_in, tmp_path):
    """A shell passes on whatever bytes it is given."""
    rows = tmp_path / "rows.csv"
    rows.write_text("number\n+18145550100\n", encoding="utf-8")
    evocall(*DIAL)
    result = evocall("batch", str(rows), "--campaign", "\udcff", "--yes")
    assert (result.code, "defect" in result.err, len(signed_in.dials())) == (10, False, 1)


@pytest.fixture
def forgetful(config, monkeypatch):
    """A service where only cookies sign in, and which is signed in to; tests make it forget them."""
    with Sandbox(basic=False, answer_after=0.1, talk_for=0.1) as server:
        config('[profiles.default]\nsign_in = "cookies"\n')
        for name, value in (("BASE_URL", server.base_url), ("USERNAME", "manager@example.com")):
            monkeypatch.setenv(f"EVOCALL_{name}", value)
        monkeypatch.setenv("EVOCALL_PASSWORD", server.manager.password)
        yield server


def test_a_session_that_runs_out_while_a_call_is_followed_is_begun_anew(forgetful):
    with EvoVoice() as evo:
        call = evo.place("+18145550100", flow="welcome")
        forgetful._sign_ins._sessions.clear()
        assert evo.follow(call).ending.answered


def test_a_session_that_runs_out_between_two_calls_is_begun_anew(forgetful):
    """The refused request is sent again, since it placed nothing."""
    with EvoVoice() as evo:
        evo.place("+18145550100", flow="welcome")
        forgetful._sign_ins._sessions.clear()
        assert evo.place("+18145550101", flow="id:665f1c0000000000000000a1").outcome == "placed"
    assert [call.number for call in forgetful.calls] == ["+18145550100", "+18145550101"]


def test_a_login_that_is_taken_away_between_two_calls_is_not_tried_for_ever(forgetful, monkeypatch):
    """One sign-in more, and that is refused."""
    with EvoVoice() as evo:
        evo.place("+18145550100", flow="welcome")
        forgetful._sign_ins._sessions.clear()
        forgetful._sign_ins._by_name.clear()
        before = len(forgetful.requests)
        with pytest.raises(AuthError):
            evo.place("+18145550101", flow="id:665f1c0000000000000000a1")
    asked = [request.path for request in forgetful.requests[before:]]
    assert asked == ["/sessions/outgoing", "/auth/credentials"]


def test_a_narrow_terminal_gets_the_columns_that_matter(evocall, signed_in, home):
    """Whole numbers and outcomes in 80 columns, a line for each call."""
    for _ in range(2):
        evocall(*DIAL)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run(
        [sys.executable, "-m", "evocall", "history"],
        env={"PATH": os.environ["PATH"], "EVOCALL_HOME": str(home / "evocall"), "TERM": "xterm"},
        stdout=theirs,
        check=True,
        timeout=60,
    )
    os.close(theirs)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 8192).decode())
    os.close(ours)
    lines = shown.splitlines()
    assert [len(lines), max(map(len, lines)) <= 80, shown.count("+18145550100")] == [3, True, 2]
