"""Campaigns as ratios in one run: `python benchmarks/campaign.py`.

Checking a file of rows against a bare loop of csv and phonenumbers over it, with the memory of each; dialling 2,000
rows at full speed against a bare loop of requests with as many threads.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVOCALL = [str(Path(sys.executable).with_name("evocall"))]
THREADS = 8
BARE_CHECK = """
import csv, sys, phonenumbers
for row in csv.DictReader(open(sys.argv[1], newline="")):
    number = phonenumbers.parse(row["number"], None)
    assert phonenumbers.is_valid_number(number)
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
"""
BARE_DIAL = """
import csv, os, sys, requests
from concurrent.futures import ThreadPoolExecutor
from threading import local
here = local()
def dial(number):
    if not hasattr(here, "session"):
        here.session = requests.Session()
        here.session.auth = (os.environ["EVOCALL_USERNAME"], os.environ["EVOCALL_PASSWORD"])
    body = {"flowId": "welcome", "numberToDial": number}
    here.session.post(os.environ["EVOCALL_BASE_URL"] + "/sessions/outgoing", json=body, timeout=60).raise_for_status()
with ThreadPoolExecutor(int(sys.argv[2])) as pool:
    list(pool.map(dial, [row["number"] for row in csv.DictReader(open(sys.argv[1], newline=""))]))
"""


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds and MiB (the most that was resident) of a command that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed: {said.decode()}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def write_rows(path: Path, count: int) -> None:
    """Valid, fictional-looking numbers, all different."""
    with path.open("w", encoding="utf-8") as file:
        file.write("number,name\n")
        for n in range(count):
            file.write(f"+1{212 + n // 5_000_000}{2_000_000 + n % 5_000_000},Person {n}\n")


def show(name: str, ours: tuple[float, float], bare: tuple[float, float], rows: int) -> None:
    """One row of the table."""
    print(
        f"{name:34} {ours[0]:8.1f} s {bare[0]:8.1f} s {ours[0] / bare[0]:6.2f} "
        f"{ours[1]:7.0f} MiB {bare[1]:7.0f} MiB {rows / ours[0]:9.0f}/s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    print(f"{'':34} {'evocall':>10} {'bare':>10} {'ratio':>6} {'evocall':>11} {'bare':>11} {'rate':>11}")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "rows.csv"
        write_rows(file, rows)
        env = {"PATH": os.environ["PATH"], "HOME": directory, "EVOCALL_HOME": directory, "EVOCALL_FLOW": "welcome"}
        check = [*EVOCALL, "batch", str(file), "--campaign", "check", "--dry-run", "--quiet"]
        bare = [sys.executable, "-c", BARE_CHECK, str(file)]
        show(f"check {rows:,} rows", measured(check, env), measured(bare, env), rows)
        dial(Path(directory), env)


def dial(directory: Path, env: dict[str, str]) -> None:
    """Full speed against a sandbox in a process of its own, journal included, best of three each."""
    server = subprocess.Popen([*EVOCALL, "sandbox"], stdout=subprocess.PIPE, text=True, env=env)
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            env[name] = value
            if name == "EVOCALL_FLOW":
                break
    file = directory / "few.csv"
    write_rows(file, 2000)
    ours, bare = [], []
    for n in range(3):
        batch = [*EVOCALL, "batch", str(file), "--campaign", f"speed {n}", "--pace", "100000", "--yes", "--quiet"]
        ours.append(measured([*batch, "--concurrency", str(THREADS)], env))
        bare.append(measured([sys.executable, "-c", BARE_DIAL, str(file), str(THREADS)], env))
    show("dial 2,000 rows, best of 3", min(ours), min(bare), 2000)
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main()
