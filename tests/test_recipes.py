"""The recipes of docs/scripts.md and docs/hosts.md, run word for word against a sandbox."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from evocall.errors import ExitCode
from evocall.sandbox import Sandbox
from tests import postgresql

DOCS = Path(__file__).parents[1] / "docs"


def recipe(language: str, mark: str, page: str = "scripts.md") -> str:
    """The one block of that language on the page with the mark in it."""
    text = (DOCS / page).read_text(encoding="utf-8")
    [block] = [block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if mark in block]
    return block


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory for PATH with evocall in it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    script(directory / "evocall", f'exec {sys.executable} -m evocall "$@"')
    return directory


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def run(command: str, tools: Path, home: Path, server: Sandbox, **more: str) -> subprocess.CompletedProcess[str]:
    """What cron or a shell would run, with nothing in the environment but what a profile cannot say."""
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "EVOCALL_HOME": str(home / "evocall"),
        "EVOCALL_BASE_URL": server.base_url,
        "EVOCALL_USERNAME": server.manager.username,
        "EVOCALL_PASSWORD": server.manager.password,
        **more,
    }
    environment = {name: value for name, value in environment.items() if value}
    return subprocess.run(
        ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_failing_backup_rings_once_a_day(tools, home, sandbox):
    """However often the job runs; the backup program of the recipe does not exist here, so it fails."""
    command = recipe("sh", "backup")
    first = run(command, tools, home, sandbox)
    second = run(command, tools, home, sandbox)
    assert (0, 0) == (first.returncode, second.returncode)
    assert "already placed" in second.stdout
    assert len(sandbox.dials("+18145550100")) == 1


def test_the_crontab_line_prints_nothing_when_all_is_well(tools, home, sandbox):
    """cron turns a backslash and % into %, and mails whatever is printed."""
    [line] = [line for line in recipe("crontab", "reminder").splitlines() if line.startswith("0 9 ")]
    command = line.split(None, 5)[5].replace(r"\%", "%")
    for _ in range(2):
        done = run(command, tools, home, sandbox)
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert len(sandbox.dials()) == 1


def test_the_systemd_unit_gets_its_password_from_systemd(tools, home, sandbox, config, tmp_path):
    """Its ExecStart is run with what LoadCredential= would set; systemd itself does not run here."""
    unit = recipe("systemd", "LoadCredential")
    assert "LoadCredential=evo:" in unit
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "evo").write_text(sandbox.manager.password + "\n", encoding="utf-8")
    (credentials / "evo").chmod(0o400)
    config('[profiles.default]\npassword_file = "$CREDENTIALS_DIRECTORY/evo"\n')
    [command] = re.findall(r"^ExecStart=/usr/local/bin/(.*)$", unit, re.MULTILINE)
    command = command.replace("%n", "backup.service").replace("%b", "b00t")
    done = run(command, tools, home, sandbox, EVOCALL_PASSWORD="", CREDENTIALS_DIRECTORY=str(credentials))
    assert done.returncode == 0, done.stderr
    assert len(sandbox.dials()) == 1


def test_pass_gives_the_password(tools, home, sandbox, config, missing, tmp_path):
    """With a real pass and a real GnuPG key."""
    if not (shutil.which("pass") and shutil.which("gpg")):
        missing("apt-get install pass gnupg")
    keys = tmp_path / "g"
    keys.mkdir(mode=0o700)
    password_store = {"GNUPGHOME": str(keys), "PASSWORD_STORE_DIR": str(tmp_path / "store"), "HOME": str(home)}
    prepare = (
        "gpg --batch --quiet --passphrase '' --quick-generate-key ops default default never && "
        "pass init ops >/dev/null && "
        f"printf '%s\\n' '{sandbox.manager.password}' | pass insert --multiline evo >/dev/null"
    )
    done = run(prepare, tools, home, sandbox, **password_store)
    assert done.returncode == 0, done.stderr
    block = recipe("toml", "pass show").replace("ops@example.com", sandbox.manager.username)
    config(block)
    done = run(
        "evocall dial +18145550100 --flow alert --profile production",
        tools,
        home,
        sandbox,
        EVOCALL_PASSWORD="",
        EVOCALL_USERNAME="",
        **password_store,
    )
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], env={**os.environ, **password_store}, check=False)
    assert done.returncode == 0, done.stderr


def test_1password_gives_the_password(tools, home, sandbox, config):
    """Its `op` is not free software, so a script stands in that answers to exactly the recipe's words."""
    block = recipe("toml", "op read")
    command = tomllib.loads(block)["profiles"]["staging"]["password_command"]
    assert command == "op read op://ops/evo/password"
    script(tools / "op", f'[ "$*" = "read op://ops/evo/password" ] && echo {sandbox.manager.password}')
    config(block.replace("ops@example.com", sandbox.manager.username))
    done = run("evocall dial +18145550100 --flow alert -p staging", tools, home, sandbox, EVOCALL_PASSWORD="")
    assert done.returncode == 0, done.stderr


def test_the_loop_tries_again_while_the_service_is_not_there(tools, home, tmp_path):
    """The pause of the loop is when the service comes up, so the second round reaches it."""
    with Sandbox() as gone:
        port = int(gone.base_url.rpartition(":")[2])
    asleep, awake = tmp_path / "asleep", tmp_path / "awake"
    os.mkfifo(asleep)
    os.mkfifo(awake)
    script(tools / "sleep", f'[ "$1" = 60 ] && echo > {asleep} && read _ < {awake}')
    came_up: list[Sandbox] = []

    def come_up() -> None:
        asleep.read_text(encoding="utf-8")
        came_up.append(Sandbox(port=port).start())
        awake.write_text("\n", encoding="utf-8")

    thread = threading.Thread(target=come_up, daemon=True)
    thread.start()
    done = run(recipe("sh", "outage"), tools, home, gone)
    thread.join(30)
    [server] = came_up
    server.stop()
    assert done.returncode == 0, done.stderr
    assert len(server.dials()) == 1


def test_the_loop_stops_when_the_outcome_is_unknown(tools, home, sandbox):
    """Exit 9 is not exit 8: nobody is rung all night."""
    command = recipe("sh", "outage").replace("+18145550100", "+18145550150")
    script(tools / "sleep", "echo slept >&2")
    done = run(command, tools, home, sandbox)
    assert "slept" not in done.stderr
    assert len(sandbox.dials()) == 1


def test_the_crontab_of_two_hosts_rings_everybody_once(tools, sandbox, postgres, tmp_path):
    """Both hosts run both lines, each at the same time as the other."""
    postgres.database("evocall")
    lines = recipe("crontab", "EVOCALL_JOURNAL", "hosts.md").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line.startswith(("EVOCALL_", "PG")))
    assert settings["PGSSLROOTCERT"].startswith("/etc/ssl/certs/")  # psycopg's own OpenSSL finds no others
    commands = [line.split(None, 5)[5].replace(r"\%", "%") for line in lines if line[0].isdigit()]
    table = tmp_path / "patients.csv"
    table.write_text("number\n+18145550101\n+18145550102\n+18145550103\n", encoding="utf-8")
    environment = {**settings, **postgres.as_db_example_com()}

    def on(host: str, command: str) -> subprocess.CompletedProcess[str]:
        return run(command.replace("/srv/patients.csv", str(table)), tools, tmp_path / host, sandbox, **environment)

    with ThreadPoolExecutor() as both:
        for command in commands:
            done = list(both.map(on, ("one", "other"), (command, command)))
            assert [(0, ""), (0, "")] == [(result.returncode, result.stdout) for result in done], done
    rung = sorted(json.loads(dial.body)["numberToDial"] for dial in sandbox.dials())
    assert [f"+1814555010{n}" for n in range(4)] == rung


def test_the_cron_job_of_kubernetes_rings_once_however_often_its_pod_is_started(tools, sandbox, postgres):
    """Its container's command, with the environment that the manifest gives it, and a disk that keeps nothing."""
    postgres.database("evocall")
    job = yaml.safe_load(recipe("yaml", "kind: CronJob", "hosts.md"))["spec"]["jobTemplate"]["spec"]
    [container] = job["template"]["spec"]["containers"]
    assert container["command"] == ["/bin/sh", "-c"]
    secrets = {"database": postgresql.PASSWORD, "password": sandbox.manager.password}
    environment = {
        entry["name"]: entry.get("value") or secrets[entry["valueFrom"]["secretKeyRef"]["key"]]
        for entry in container["env"]
    }
    assert environment["PGSSLROOTCERT"].startswith("/etc/ssl/certs/")
    environment |= postgres.as_db_example_com() | {"EVOCALL_USERNAME": sandbox.manager.username}
    environment["EVOCALL_HOME"] = "/proc/nonexistent"  # which not even root can make
    [command] = container["args"]
    outcomes = []
    for _ in range(2):
        done = run(command, tools, Path("/proc"), sandbox, **environment)
        assert done.returncode == 0, done.stderr
        outcomes.append(json.loads(done.stdout)["outcome"])
    assert outcomes == ["placed", "already_placed"]
    evicted, rule = job["podFailurePolicy"]["rules"]
    assert evicted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    worth_another_try = {ExitCode.RATE_LIMITED, ExitCode.UNAVAILABLE, ExitCode.CONFIG}
    assert set(rule["onExitCodes"]["values"]) == worth_another_try
