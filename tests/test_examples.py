"""The examples of every help page, run as they stand by a reader who has a login, profiles and a call."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evocall import cli
from evocall.sandbox import Account, Sandbox

READER = Account("ops@example.com", "a password", ("Manager",))
SESSION = "6743a0b1c2d3e4f5a6b7c8d9"
CONFIG = """
default_profile = "default"
[profiles.default]
[profiles.production]
[profiles.staging]
"""


def pages() -> Iterator[str]:
    """The docstring of each command, which is its help."""
    every = cli.build()
    groups = [group.typer_instance for group in every.registered_groups]
    for app in (every, *groups):
        yield from (command.callback.__doc__ for command in app.registered_commands)
    yield from (group.registered_callback.callback.__doc__ for group in groups if group.registered_callback)


EXAMPLES = sorted(
    {line.strip() for page in pages() for line in page.splitlines() if re.match(r"\s+(pass|evocall) ", line)}
)
FOR_EVER = [example for example in EXAMPLES if example.startswith("evocall sandbox")]
ASKS = "evocall login --username ops@example.com"  # for the password; tests/test_pages.py gives it


@pytest.fixture
def reader(home, config, tmp_path):
    """The environment, with a file of patients, three profiles, and a call that still rings."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (
        ("evocall", f'exec {sys.executable} -m evocall "$@"'),
        ("pass", f'[ "$*" = "show evo" ] && echo "{READER.password}"'),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    (tmp_path / "patients.csv").write_text("number\n+18145550100\n+18145550101\n", encoding="utf-8")
    (tmp_path / "ringing.py").write_text(
        "import keyring.backend\n"
        "class Keyring(keyring.backend.KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, username): return 'a password'\n"
        "    def set_password(self, service, username, password): pass\n"
        "    def delete_password(self, service, username): pass\n",
        encoding="utf-8",
    )
    config(CONFIG)

    def known(info):
        return {**info, "id": SESSION}

    with Sandbox(accounts=[READER], talk_for=3600, reshape=known) as server:
        env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(home),
            "EVOCALL_HOME": str(home / "evocall"),
            "EVOCALL_BASE_URL": server.base_url,
            "EVOCALL_USERNAME": READER.username,
            "EVOCALL_PASSWORD": READER.password,
            "PYTHONPATH": str(tmp_path),
            "PYTHON_KEYRING_BACKEND": "ringing.Keyring",
        }
        subprocess.run([tools / "evocall", "dial", "+18145550100", "--flow", "alert", "--quiet"], env=env, check=True)
        placed = server.calls[0]
        server._calls._by_id[SESSION] = placed
        placed.id = SESSION
        (home / ".local" / "state").mkdir(parents=True)
        (home / ".local" / "state" / "evocall").symlink_to(home / "evocall")
        shutil.copy(home / "evocall" / "journal.db", tmp_path)
        yield env


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example not in {*FOR_EVER, ASKS}])
def test_an_example_of_the_help_works_as_it_stands(example, reader, tmp_path: Path, request):
    if "postgresql:" in example:
        server = request.getfixturevalue("postgres")
        server.database("evocall")
        reader |= server.as_db_example_com()
    done = subprocess.run(
        ["/bin/sh", "-c", example], env=reader, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", FOR_EVER)
def test_a_sandbox_runs_until_it_is_interrupted(example, reader, tmp_path: Path):
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {example}"], env=reader, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith("Sandbox at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_every_command_has_examples():
    """A glance at the list above: 22 commands, two each, some in common."""
    assert len(EXAMPLES) >= 40
