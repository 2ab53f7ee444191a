"""A reminder by Debian's cron, minute after minute, and one call a day."""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import evocall as package
from evocall.sandbox import Sandbox

PATIENCE = 150.0  # seconds: two firings and the wait for the first full minute
PRIVATE = """
set -e
mount -t tmpfs evocall-test /run
mount -t tmpfs evocall-test /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
mount --bind "$1" /etc/cron.d
mount --bind /dev/null /etc/crontab
exec cron -f
"""


@pytest.fixture
def cron(tmp_path: Path, missing) -> Iterator[Callable[[str], None]]:
    """Gives a line to a cron that sees no other crontab, in a mount namespace that ends with it."""
    if shutil.which("cron") is None or shutil.which("unshare") is None:
        missing("needs Debian's cron: apt-get install cron")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        missing("needs the right to mount, as root on Linux")
    directory = tmp_path / "cron.d"
    directory.mkdir(mode=0o755)
    started = []

    def start(line: str) -> None:
        crontab = directory / "evocall-test"
        crontab.write_text(f"{line}\n", encoding="utf-8")
        crontab.chmod(0o644)
        started.append(subprocess.Popen(["unshare", "--mount", "sh", "-c", PRIVATE, "sh", str(directory)]))

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.fixture
def reminder(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A home with a profile for the sandbox and its password in a file."""
    directory = tmp_path / "evocall"
    directory.mkdir()
    secret = directory / "password"
    secret.write_text(sandbox.manager.password, encoding="utf-8")
    secret.chmod(0o600)
    (directory / "config.toml").write_text(
        f'[profiles.ops]\nbase_url = "{sandbox.base_url}"\nusername = "{sandbox.manager.username}"\n'
        'password_file = "password"\nflow = "reminder"\n',
        encoding="utf-8",
    )
    return directory


def lines_of(log: Path, count: int) -> list[str]:
    """The lines of the log as soon as there are that many."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.2)
    pytest.fail(f"cron did not run the line {count} times within {PATIENCE:.0f} seconds")


def test_cron_rings_once_a_day_although_it_fires_every_minute(sandbox, cron, reminder, tmp_path):
    """The second firing finds the key of the day used up, and says so with exit 0."""
    log, said = tmp_path / "log", tmp_path / "said"
    dial = f'dial +18145550100 --once "reminder-$(date +\\%F)" >>{shlex.quote(str(said))} 2>&1'
    note = f'echo "$(date +\\%F) $?" >>{shlex.quote(str(log))}'
    root = Path(package.__file__).parents[1]
    command = f"cd {shlex.quote(str(root))} && {shlex.quote(sys.executable)} -m evocall {dial}; code=$?; "
    note = f'echo "$(date +\\%F) $code" >>{shlex.quote(str(log))}'
    cron(f"* * * * * root EVOCALL_HOME={shlex.quote(str(reminder))}; export EVOCALL_HOME; {command}{note}")
    runs = lines_of(log, 2)
    days = {line.split()[0] for line in runs}
    receipts = [line for line in said.read_text(encoding="utf-8").splitlines() if "placed  " in line]
    assert ["0", "0"] == [line.split()[1] for line in runs]
    assert len(days) == len(sandbox.dials())
    assert ["placed", "already placed"][: 3 - len(days)] == [line.partition("  ")[0] for line in receipts][
        : 3 - len(days)
    ]
