"""What is loaded when: each library costs a user time at every start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = [
    "requests",
    "urllib3",
    "rich",
    "keyring",
    "phonenumbers",
    "sqlite3",
    "psycopg",
    "tomllib",
    "tomli_w",
    "platformdirs",
    "http.server",
    "evocall.service",
    "evocall.transport",
    "evocall.phone",
    "evocall.keychain",
    "evocall.journal",
    "evocall.settling",
    "evocall.watching",
    "evocall.catalog",
    "evocall.sandbox",
]
RUN = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from evocall import cli
if sys.argv[1:]:
    cli.main(sys.argv[1:])
"""


def loaded_by(home: Path, *arguments: str, **environment: str) -> set[str]:
    """The modules of a fresh interpreter after such a command, or after the mere import without one."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "EVOCALL_HOME": str(home / "evocall"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [(), ("--version",)])
def test_the_command_line_alone_loads_nothing_heavy(home, arguments):
    """TAB and --version wait for all that is loaded here."""
    loaded = loaded_by(home, *arguments)
    assert ("evocall.commands.dial" in loaded) == bool(arguments)
    assert [name for name in HEAVY if name in loaded] == []


def test_a_dial_loads_no_keyring_no_tables_and_no_server(home, sandbox):
    """With the password in the environment and stdout not a terminal; an ID is not looked up, nor the call followed."""
    loaded = loaded_by(
        home,
        *("dial", "+18145550100", "--flow", sandbox.flows[0].id),
        EVOCALL_BASE_URL=sandbox.base_url,
        EVOCALL_USERNAME=sandbox.manager.username,
        EVOCALL_PASSWORD=sandbox.manager.password,
    )
    assert len(sandbox.calls) == 1
    unneeded = ("keyring", "rich", "psycopg", "http.server", "evocall.sandbox", "evocall.catalog", "evocall.watching")
    assert [name for name in unneeded if name in loaded] == []


def test_a_dry_run_loads_no_network(home):
    """Nothing is sent, so nothing that could send is there."""
    loaded = loaded_by(home, "dial", "+18145550100", "--flow", "welcome", "--dry-run")
    assert [name for name in ("requests", "urllib3", "keyring", "evocall.service") if name in loaded] == []
