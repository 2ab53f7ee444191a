"""Start-up as ratios in one run: `python benchmarks/startup.py`.

Each command is run in turn with its floor, so that whatever else the machine does hits both; the table shows the
median of the runs and the ratio of the medians. With gnome-keyring and dbus-run-session installed, a dial with the
password from a real Secret Service is measured too.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evocall.sandbox import Sandbox

RUNS = 25
EVOCALL = [str(Path(sys.executable).with_name("evocall"))]
NUMBER = "+18145550100"
TAB_FLOOR = "import typer"
DIAL_FLOOR = "import typer, requests, phonenumbers"
UNLOCK = "echo -n pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec "


def seconds(command: list[str], env: dict[str, str]) -> float:
    """How long the command takes; it must succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{command} failed: {done.stderr.decode()}")
    return taken


def compare(name: str, command: list[str], env: dict[str, str], floor: str) -> None:
    """Print one row: the command beside its floor."""
    bare = [sys.executable, "-c", floor]
    seconds(command, env)
    pairs = [(seconds(bare, env), seconds(command, env)) for _ in range(RUNS)]
    low, high = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:38} {high * 1000:7.0f} ms {low * 1000:7.0f} ms {high / low:6.2f}   python -c {floor!r}")


def main() -> None:
    """Print the table."""
    if "--inside" in sys.argv:
        in_secret_service(sys.argv[-1])
        return
    print(f"{'median of ' + str(RUNS):38} {'takes':>10} {'floor':>10} {'ratio':>6}")
    with Sandbox() as server, tempfile.TemporaryDirectory() as home:
        env = {
            "PATH": os.environ["PATH"],
            "EVOCALL_HOME": home,
            "HOME": home,
            "EVOCALL_BASE_URL": server.base_url,
            "EVOCALL_USERNAME": server.manager.username,
        }
        tab = {**env, "COMP_WORDS": "evocall dial --fl", "COMP_CWORD": "2", "_EVOCALL_COMPLETE": "complete_bash"}
        compare("TAB", EVOCALL, tab, TAB_FLOOR)
        dial = [*EVOCALL, "dial", NUMBER, "--flow", "welcome"]
        with_password = {**env, "EVOCALL_PASSWORD": server.manager.password}
        compare("--version", [*EVOCALL, "--version"], env, TAB_FLOOR)
        compare("--help", [*EVOCALL, "--help"], env, TAB_FLOOR)
        compare("dial --dry-run", [*dial, "--dry-run"], env, DIAL_FLOOR)
        compare("dial, password from the environment", dial, with_password, DIAL_FLOOR)
        if shutil.which("gnome-keyring-daemon") and shutil.which("dbus-run-session"):
            inside = f"{UNLOCK} {sys.executable} {__file__} --inside '{server.manager.password}'"
            subprocess.run(
                ["dbus-run-session", "--", "bash", "-c", inside],
                env={**env, "XDG_RUNTIME_DIR": home},
                check=True,
                stderr=subprocess.DEVNULL,
            )


def in_secret_service(password: str) -> None:
    """Within a session bus whose keyring is unlocked: log in, then measure a dial."""
    env = dict(os.environ)
    subprocess.run([*EVOCALL, "login", "--password-stdin"], env=env, input=password.encode(), check=True)
    dial = [*EVOCALL, "dial", NUMBER, "--flow", "welcome"]
    compare("dial, password from Secret Service", dial, env, DIAL_FLOOR)


if __name__ == "__main__":
    main()
