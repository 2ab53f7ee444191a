"""Corners that few users get into: terminals, homes, keyrings, clocks and answers that are not as usual."""

import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import tzdata

from evocall import EvoVoice
from evocall.errors import StillRunning
from evocall.model import Call, Outcome
from evocall.sandbox import Sandbox
from tests.faultserver import FaultServer, answering, free_port, http, resetting, silent
from tests.processes import python, running

NUMBER = "+18145550100"
FLOW = "665f1c0000000000000000a1"
DIAL = ("dial", NUMBER, "--flow", FLOW)


@pytest.fixture
def rows(tmp_path):
    """Writes a table of numbers, and gives the arguments of a batch with it."""

    def write(*numbers):
        path = tmp_path / "rows.csv"
        path.write_text("number\n" + "".join(f"{number}\n" for number in numbers), encoding="utf-8")
        return ("batch", str(path), "--campaign", "spring", "--flow", FLOW, "--pace", "100", "--yes")

    return write


class Terminal:
    """A command at a terminal of its own; `seen` is all that stands on it."""

    def __init__(self, *arguments, columns=80):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        names = ("PATH", "HOME", "EVOCALL_HOME", "PYTHON_KEYRING_BACKEND")
        env = {"TERM": "xterm", **{name: os.environ[name] for name in names}}
        command = [sys.executable, "-m", "evocall", *arguments]
        # In a session of its own nobody's terminal is asked but this one.
        self._process = subprocess.Popen(
            command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.seen = ""

    def read(self, until=None):
        """Read until the words stand there, or to the end."""
        while until is None or until not in self.seen:
            try:
                more = os.read(self._ours, 65536)
            except OSError:  # the end of a pty on Linux
                more = b""
            if not more:
                break
            self.seen += re.sub(r"\x1b\[[0-9;]*m", "", more.decode())

    def type(self, text):
        os.write(self._ours, text.encode())

    def end(self):
        """The exit code."""
        self.read()
        os.close(self._ours)
        return self._process.wait(60)


# at a terminal


def test_login_asks_at_a_terminal_for_what_is_missing(sandbox, home):
    """The password is not shown while it is typed. There is no keyring here, so it is kept nowhere."""
    terminal = Terminal("login", "--base-url", sandbox.base_url)
    terminal.read(until="Username: ")
    terminal.type(f"{sandbox.manager.username}\n")
    terminal.read(until=f"Password of {sandbox.manager.username}: ")
    terminal.type(f"{sandbox.manager.password}\n")
    assert terminal.end() == 4
    assert "The login works" in terminal.seen
    assert sandbox.manager.password not in terminal.seen
    assert f'username = "{sandbox.manager.username}"' in (home / "evocall" / "config.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "question"), [("login", "Username: "), ("batch", "Dial?")])
def test_a_question_at_a_terminal_may_be_left_unanswered(rows, signed_in, config, command, question):
    """Ctrl-D is no answer, and nothing is done."""
    path = config(
        f'[profiles.default]\nbase_url = "{signed_in.base_url}"\npassword_command = "echo rings-nobody"\n'
        + 'username = "manager@example.com"\n' * (command == "batch")
    )
    before = path.read_bytes()
    terminal = Terminal(*(rows(NUMBER)[:-1] if command == "batch" else ("login",)))
    terminal.read(until=question)
    terminal.type("\x04")
    assert terminal.end() == 130
    assert "evocall: interrupted." in terminal.seen
    assert (signed_in.dials(), path.read_bytes()) == ([], before)


def test_on_the_narrowest_terminal_a_number_is_still_whole(evocall, signed_in):
    """When all that can be spared is gone, the rest is folded, and not cut."""
    evocall(*DIAL)
    terminal = Terminal("history", columns=36)
    assert terminal.end() == 0
    lines = terminal.seen.splitlines()
    assert max(map(len, lines)) <= 36
    assert (NUMBER in terminal.seen, "placed" in terminal.seen, FLOW in terminal.seen) == (True, True, False)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("dial", "--help"), ("completion", "bash")])
def test_nobody_who_reads_is_no_failure(home, arguments):
    """As `| head -1` does under `set -o pipefail`; exit 1 would be a defect."""
    nobody, ours = os.pipe()
    os.close(nobody)
    done = subprocess.run(
        [sys.executable, "-m", "evocall", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=ours,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(ours)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ["evocall dial --profile ", "evocall dial "], ids=["profiles", "contacts"])
def test_tab_at_a_broken_profile_file_offers_nothing_and_says_nothing(spawn, home, config, words):
    config("profiles = 1\n")
    count = str(len(words.split()))
    environment = {"COMP_WORDS": words, "COMP_CWORD": count, "_EVOCALL_COMPLETE": "complete_bash"}
    done = spawn(env={"EVOCALL_HOME": str(home / "evocall"), **environment})
    assert (done.stdout.strip(), done.stderr) == ("", "")


# numbers


@pytest.mark.parametrize("sign", ["~", "～"])  # noqa: RUF001 - the wide one is what is typed in Japan
def test_what_stands_behind_a_tilde_is_an_extension(evocall, sign):
    """Never more digits of the number, and never left out without a word."""
    result = evocall("dial", f"{NUMBER}{sign}123", "--flow", FLOW, "--dry-run")
    assert (result.code, f"understood as {NUMBER}, extension 123" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("18144043093", "Write +18144043093 if that begins with the country code"), ("2105550100", "hint: Say --region")],
)
def test_a_country_code_is_suggested_only_where_there_is_one(evocall, typed, hint):
    """Nobody has the country code 210."""
    result = evocall("dial", typed, "--flow", FLOW, "--dry-run")
    assert (result.code, hint in result.err) == (2, True)


# the callee's clock


@pytest.fixture
def zone_data(tmp_path):
    """An environment whose only time zones are these, as on a system with older zone files than phonenumbers knows."""

    def only(*names):
        directory, shadow = tmp_path / "zoneinfo", tmp_path / "shadow"
        (shadow / "tzdata").mkdir(parents=True)
        (shadow / "tzdata" / "__init__.py").touch()
        directory.mkdir()
        for name in names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(tzdata.__file__).parent / "zoneinfo" / name, directory / name)
        return {"PYTHONTZPATH": str(directory), "PYTHONPATH": str(shadow)}

    return only


def test_hours_are_not_guessed_where_no_zone_of_the_number_is_known(spawn, home, zone_data):
    env = {"EVOCALL_HOME": str(home / "evocall"), **zone_data()}
    done = spawn(*DIAL, "--dry-run", "--between", "00:00-23:59", env=env)
    assert (done.returncode, "its time zone is not known" in done.stderr) == (3, True)
    assert spawn(*DIAL, "--dry-run", env=env).returncode == 0


def test_hours_are_not_guessed_where_one_zone_of_the_number_is_not_known(spawn, home, zone_data):
    """A toll-free number may ring in Honolulu at night while it is day in New York, whose clock alone is known."""
    env = {"EVOCALL_HOME": str(home / "evocall"), **zone_data("America/New_York")}
    done = spawn("dial", "+18002255288", "--flow", FLOW, "--dry-run", "--between", "00:00-23:59", env=env)
    assert done.returncode == 3, done.stdout


# homes and profile files


def test_a_home_of_somebody_who_does_not_exist_is_said(evocall, signed_in, monkeypatch):
    monkeypatch.setenv("EVOCALL_HOME", "~no-such-user/evocall")
    result = evocall(*DIAL)
    assert (result.code, "EVOCALL_HOME" in result.err, signed_in.requests) == (10, True, [])


@pytest.mark.parametrize("text", ["profiles = 1\n", "[profiles]\nwork = 1\n"])
def test_a_file_whose_profiles_are_no_tables_is_not_changed(evocall, config, text):
    """The mistake that is there is named; nothing is written over it."""
    path = config(text)
    result = evocall("profile", "set", "flow", "alert", "--profile", "work")
    assert (result.code, "profiles" in result.err, path.read_text(encoding="utf-8")) == (10, True, text)


def test_a_value_that_is_no_text_leaves_the_file_as_it_is(evocall, config):
    """A shell passes on whatever bytes it is given."""
    path = config('[profiles.default]\nflow = "alert"\n')
    result = evocall("profile", "set", "flow", "\udcff")
    assert (result.code, "defect" in result.err) == (10, False)
    assert path.read_text(encoding="utf-8") == '[profiles.default]\nflow = "alert"\n'
    assert {entry.name for entry in path.parent.iterdir()} == {"config.toml", "config.lock"}


def test_a_comment_behind_a_value_with_a_hash_in_it_stays(evocall, config):
    path = config('[profiles.default]\nflow = "queue #1"  # the first one\n')
    assert evocall("profile", "set", "flow", "queue #2").code == 0
    assert path.read_text(encoding="utf-8") == '[profiles.default]\nflow = "queue #2"  # the first one\n'


# keyrings

FRESH = """
gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1
exec "$@"
"""


@pytest.mark.parametrize("command", [DIAL, ("whoami",)])
def test_a_keyring_that_nobody_has_set_up_yet_opens_no_dialog(missing, home, sandbox, command):
    """As on a new desktop: nothing can be stored there, and nobody is asked to choose a password for it."""
    for program in ("dbus-run-session", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed: apt install dbus gnome-keyring")
    pytest.importorskip("secretstorage", reason="keyring's Secret Service backend is not for this system")
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    done = subprocess.run(
        ["dbus-run-session", "--", "bash", "-c", FRESH, "bash", sys.executable, "-m", "evocall", *command],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "EVOCALL_HOME": str(home / "evocall"),
            "EVOCALL_BASE_URL": sandbox.base_url,
            "EVOCALL_USERNAME": sandbox.manager.username,
            "XDG_RUNTIME_DIR": str(runtime),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, sandbox.requests) == (4, [])
    assert ("EVOCALL_PASSWORD" in done.stderr, "rompt" in done.stderr) == (True, False)


# the way to the service


def test_a_service_on_localhost_is_this_machine(evocall, signed_in, monkeypatch):
    """Plain http may go there, and no proxy is asked."""
    monkeypatch.setenv("EVOCALL_BASE_URL", signed_in.base_url.replace("127.0.0.1", "LocalHost"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert (evocall(*DIAL).code, len(signed_in.dials())) == (0, 1)


@pytest.fixture
def mounted(missing):
    """What to put before a command so that it sees what a line of shell mounts, and nobody else does."""

    def before(line):
        command = ["unshare", "--mount", "sh", "-c", f'{line} && exec "$@"', "sh"]
        if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
            missing("needs root and util-linux's unshare, to give a command mounts of its own")
        return command

    return before


def test_doctor_does_not_wait_for_a_name_server_that_is_silent(mounted, monkeypatch, tmp_path):
    """It would be minutes; the looks that need an address are left out."""
    settings = tmp_path / "resolv.conf"
    settings.write_text("nameserver 127.0.0.77\noptions timeout:30 attempts:5\n", encoding="utf-8")
    before = mounted(f"mount --bind {shlex.quote(str(settings))} /etc/resolv.conf")
    for name, value in (("BASE_URL", "https://evovoice.example"), ("USERNAME", "ops"), ("PASSWORD", "secret")):
        monkeypatch.setenv(f"EVOCALL_{name}", value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server:
        name_server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        name_server.bind(("127.0.0.77", 53))
        done = subprocess.run(
            [*before, sys.executable, "-m", "evocall", "doctor"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 8, done.stderr
    assert "its name was not resolved within 5 seconds" in done.stdout
    assert re.search(r"^skip +tcp", done.stdout, re.MULTILINE)


def test_a_proxy_that_does_not_speak_tls_is_blamed_although_it_takes_connections(evocall, monkeypatch):
    """Its address was written with https, like those of the hosts behind it."""

    def plain(visit):
        visit.peek()
        visit.send(http("400 Bad Request"))

    for key, value in (("BASE_URL", "https://evovoice.example"), ("USERNAME", "ops"), ("PASSWORD", "secret")):
        monkeypatch.setenv(f"EVOCALL_{key}", value)
    with FaultServer(plain) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
        result = evocall("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.out)["checks"]}
    assert (result.code, checks["tcp"]["status"], checks["clock"]["status"]) == (8, "ok", "failed")
    assert checks["clock"]["message"].startswith(
        "evovoice.example could not be reached: the proxy did not let us through"
    )
    assert "HTTPS_PROXY" in checks["clock"]["hint"]


# answers


def test_an_answer_that_is_nested_beyond_reason_is_kept_as_text(evocall, signed_in, started):
    """It may have been a yes, so the call is unknown, and the journal can still be read."""
    body = b'{"id": ' + b"[" * 150 + b"]" * 150 + b"}"
    server = started(FaultServer(answering(http("200 OK", body))))
    assert (evocall(*DIAL).code, len(server.posts)) == (9, 1)
    [call] = json.loads(evocall("history", "--json").out)
    assert (call["outcome"], call["response"]) == ("unknown", body.decode())


def test_a_move_to_an_address_that_is_none_is_said(evocall, signed_in, started):
    """It is no page to sign in at, and nobody follows it."""
    server = started(FaultServer(answering(http("301 Moved Permanently", b"", "Location: http://[elsewhere/login"))))
    result = evocall(*DIAL)
    assert (result.code, "has moved to http://[elsewhere/login" in result.err, len(server.posts)) == (10, True, 1)


def test_ctrl_c_while_a_session_is_begun_has_dialled_nothing(signed_in, started, config):
    """Where only cookies sign in, the first request is not the dial."""
    config('[profiles.default]\nsign_in = "cookies"\n')
    server = started(FaultServer(silent))
    with running(*DIAL, "--json") as process:
        assert server.touched.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["outcome"]) == (130, "not_placed")
    assert "no call was placed" in err
    assert [request.head.split()[1] for request in server.posts] == [b"/auth/credentials"]


# calls in doubt


def test_a_key_in_doubt_is_settled_by_its_next_use_also_when_the_flow_is_named(evocall, signed_in, monkeypatch):
    """The answer to the first dial was lost; the second finds the call at the service, and dials nothing."""
    with FaultServer(resetting) as lost:
        monkeypatch.setenv("EVOCALL_BASE_URL", lost.base_url)
        assert evocall(*DIAL, "--once", "reminder").code == 9
        assert len(lost.posts) == 1
    with Sandbox(port=lost.port) as found:
        call = found.place_elsewhere(NUMBER)
        result = evocall("dial", NUMBER, "--flow", "welcome", "--once", "reminder", "--json")
        document = json.loads(result.out)
        assert (result.code, document["outcome"], document["session_id"]) == (0, "already_placed", call.id)
        assert found.dials() == []


def test_reconcile_leaves_a_call_alone_whose_outcome_is_known(evocall, signed_in):
    evocall(*DIAL)
    asked = len(signed_in.requests)
    result = evocall("reconcile", "0001")
    assert (result.code, result.out, len(signed_in.requests)) == (0, "", asked)
    assert "none of these calls has an unknown outcome" in result.err


def test_a_call_without_a_time_is_never_taken_for_a_live_one(signed_in):
    """A program may have kept only the number; another call to it, live at this moment, is not this one."""
    signed_in.place_elsewhere(NUMBER)
    with EvoVoice() as evo, pytest.raises(StillRunning) as caught:
        evo.follow(Call(Outcome.PLACED, NUMBER), timeout=0.1)
    assert (caught.value.call.session_id, caught.value.call.ending) == (None, None)


# campaigns


def test_two_campaigns_keep_one_pace_also_where_a_start_of_the_machine_has_no_name(mounted, signed_in, rows):
    """As elsewhere than on Linux: the second begins when the slot of the first is over, two seconds later."""
    before = mounted("mount -t tmpfs evocall-test /proc/sys/kernel/random")
    for name in ("spring", "autumn"):
        arguments = (*rows(NUMBER), "--pace", "0.5", "--campaign", name)
        subprocess.run(
            [*before, sys.executable, "-m", "evocall", *arguments], capture_output=True, check=True, timeout=60
        )
    first, second = (dial.at for dial in signed_in.dials())
    assert second - first > 1


def test_show_names_the_campaign_of_a_call(evocall, signed_in, rows):
    assert evocall(*rows(NUMBER)).code == 0
    assert re.search(r"^campaign +spring$", evocall("show", "0001").out, re.MULTILINE)


def test_a_number_that_must_not_be_called_is_refused_in_the_results(evocall, signed_in, rows, tmp_path):
    results = tmp_path / "results.jsonl"
    arguments = rows(NUMBER, "+19005550100")
    assert evocall(*arguments, "--skip-invalid", "--results", str(results)).code == 14
    placed, refused = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    assert (placed["outcome"], refused["outcome"], refused["error_code"]) == ("placed", "refused", "class_premium")
    assert len(signed_in.dials()) == 1


def test_results_whose_name_no_disk_takes_stop_the_batch_before_the_first_call(evocall, signed_in, rows, tmp_path):
    """The file is written under a longer name at first."""
    result = evocall(*rows(NUMBER), "--results", str(tmp_path / f"{'r' * 248}.csv"))
    assert (result.code, signed_in.dials()) == (2, [])


ANSWERS = {"placed": http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}'), "not_placed": http("400 Bad Request")}


@pytest.fixture(params=ANSWERS)
def outcome(request):
    """What comes of the one call of a batch."""
    return request.param


@pytest.fixture
def taken(signed_in, started, rows, evocall, tmp_path, outcome):
    """A batch that has run while somebody else wrote a file where its results should go."""
    results = tmp_path / "results.csv"

    def meanwhile(visit):
        visit.read()
        results.write_text("theirs", encoding="utf-8")
        visit.send(ANSWERS[outcome])

    server = started(FaultServer(meanwhile))
    result = evocall(*rows(NUMBER), "--json", "--results", str(results))
    assert len(server.posts) == 1
    return result


def test_results_are_not_written_over_a_file_that_came_meanwhile(taken, tmp_path):
    """And no half of them is left behind."""
    assert f"{tmp_path / 'results.csv'} cannot be written: File exists" in taken.err
    assert (tmp_path / "results.csv").read_text(encoding="utf-8") == "theirs"
    assert {path.name for path in tmp_path.iterdir()} == {"home", "results.csv", "rows.csv"}


def test_results_that_cannot_be_written_do_not_hide_what_became_of_the_calls(taken, outcome):
    """Exit 2 would say that none was placed; the summary is there as without that file."""
    assert taken.code != 2
    assert json.loads(taken.out)["outcomes"][outcome] == 1


def test_results_whose_directory_goes_away_meanwhile_are_said_to_be_missing(
    signed_in, started, rows, evocall, tmp_path
):
    """The calls are in the journal all the same."""
    directory = tmp_path / "results"
    directory.mkdir()

    def meanwhile(visit):
        visit.read()
        directory.rmdir()
        visit.send(ANSWERS["placed"])

    started(FaultServer(meanwhile))
    result = evocall(*rows(NUMBER), "--results", str(directory / "results.csv"))
    assert (result.code == 0, "results.csv cannot be written: No such file" in result.err) == (False, True)
    [call] = json.loads(evocall("history", "--json").out)
    assert call["outcome"] == "placed"


# the sandbox


def test_the_sandbox_prints_all_that_another_shell_needs_and_ends_with_ctrl_c(evocall, monkeypatch, home):
    with running("sandbox") as process:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("export EVOCALL_FLOW="):
                break
        for name, value in re.findall(r"^export (\w+)=(.*)$", "".join(printed), re.MULTILINE):
            monkeypatch.setenv(name, value)
        assert evocall("dial", NUMBER).code == 0
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert evocall("whoami").code == 8


INTERRUPTED_AT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{number})

sys.meta_path.insert(0, Finder())
from evocall.__main__ import main
main()
"""


NOTHING_DONE = "evocall: interrupted before anything was done.\n"


@pytest.mark.parametrize(
    ("command", "module", "number", "said"),
    [
        (("dial", NUMBER), "evocall.cli", "SIGINT", ""),
        (("dial", NUMBER), "typer", "SIGINT", ""),
        (("dial", NUMBER, "--json"), "evocall.commands.dial", "SIGINT", NOTHING_DONE),
        (("dial", NUMBER, "--json"), "evocall.commands.dial", "SIGTERM", NOTHING_DONE),
        (("check", NUMBER), "evocall.commands.check", "SIGINT", NOTHING_DONE),
        (("--help",), "evocall.commands.doctor", "SIGINT", NOTHING_DONE),
    ],
)
@pytest.mark.usefixtures("home")
def test_an_interruption_while_evocall_is_still_being_loaded_shows_no_traceback(command, module, number, said):
    """As soon as there is anything that can speak it says so, and a script sees 130 in any case."""
    with python("-c", INTERRUPTED_AT.format(module=module, number=number), *command) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, said)
    if out:
        document = json.loads(out)
        assert (document["outcome"], document["error"]["code"]) == ("not_placed", "interrupted")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("batch", "{table}", "--campaign", "c", "--flow", "welcome", "--sandbox"), "no terminal to ask at"),
        (("login",), "Username is missing, and there is no terminal to ask at"),
        (("login", "--username", "a", "--password-stdin"), "Standard input is closed"),
        (("batch", "-", "--campaign", "c", "--flow", "welcome", "--sandbox", "--yes"), "Standard input is closed"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_closed_standard_input_is_no_terminal(tmp_path, command, message):
    """As a job of some schedulers has it."""
    (tmp_path / "calls.csv").write_text(f"number\n{NUMBER}\n", encoding="utf-8")
    words = [word.format(table=tmp_path / "calls.csv") for word in command]
    line = " ".join(map(shlex.quote, [sys.executable, "-m", "evocall", *words]))
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {line} <&-"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("variable", ["EVOCALL_PASSWORD", "EVOCALL_USERNAME", "EVOCALL_BASE_URL"])
def test_a_variable_in_another_encoding_is_named(evocall, signed_in, monkeypatch, variable):
    """As a crontab saved in Latin-1 has it."""
    monkeypatch.setenv(variable, os.fsdecode(b"caf\xe9"))
    result = evocall("dial", NUMBER, "--flow", FLOW, "--json")
    document = json.loads(result.out)
    assert (result.code, document["outcome"], document["error"]["code"]) == (10, "not_placed", "not_utf8")
    assert (variable in result.err, signed_in.dials()) == (True, [])
