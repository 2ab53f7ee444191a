"""Where it is measured: a directory of its own, the programs that are compared, and how large everything is."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from service import Service

EVOCALL = str(Path(sys.executable).with_name("evocall"))
NUMBER = "+18145550100"


@dataclass(frozen=True)
class Scale:
    """How often, how many: rounds of each command, calls of a campaign and its repetitions, paced calls, rows."""

    rounds: int = 25
    calls: int = 2000
    repetitions: int = 3
    paced: int = 60
    rows: int = 1_000_000


QUICK = Scale(rounds=5, calls=300, repetitions=1, paced=20, rows=20_000)


@dataclass
class Place:
    """One run of the benchmarks; `left_out` collects what could not be measured, and why."""

    directory: Path
    service: Service
    scale: Scale
    httpie: list[str] | None
    curl: str | None = field(default_factory=lambda: shutil.which("curl"))
    left_out: list[str] = field(default_factory=list)

    def env(self, home: str, **more: str) -> dict[str, str]:
        """The whole environment of a measured command: a home of that name, and a login at the sandbox."""
        path = self.directory / home
        path.mkdir(mode=0o700, exist_ok=True)
        return {
            "LC_ALL": "C.UTF-8",
            "HOME": str(path),
            "EVOCALL_HOME": str(path),
            "EVOCALL_BASE_URL": self.service.base_url,
            "EVOCALL_USERNAME": self.service.username,
            "EVOCALL_PASSWORD": self.service.password,
            "EVOCALL_FLOW": self.service.flow_id,
            **more,
        }

    def numbers(self, count: int) -> Path:
        """A file of so many valid numbers, all different, under the heading `number`."""
        path = self.directory / f"{count}.csv"
        if not path.exists():
            with path.open("w", encoding="utf-8") as file:
                file.write("number,name\n")
                file.writelines(f"{phone_number(n)},Person {n}\n" for n in range(count))
        return path

    def curl_post(self, number: str) -> list[str]:
        """The command that places a call with curl."""
        login = f"{self.service.username}:{self.service.password}"
        header = "Content-Type: application/json"
        what = ["--user", login, "--header", header, "--data", self.service.body(number), self.service.address]
        return [self.curl or "curl", "--silent", "--show-error", "--fail", *what]


def phone_number(n: int) -> str:
    """The n-th valid number."""
    return f"+1{212 + n // 5_000_000}{2_000_000 + n % 5_000_000}"


def httpie(given: str | None) -> list[str] | None:
    """How HTTPie is run: the program or the interpreter that was given, else that of this interpreter or of PATH."""
    if given is None and find_spec("httpie"):
        given = sys.executable
    program = given or shutil.which("http")
    if program is None:
        return None
    return [program, "-m", "httpie"] if Path(program).name.startswith("python") else [program]


def versions(place: Place) -> list[str]:
    """Of all that takes part."""
    libraries = [f"{name} {metadata.version(name)}" for name in ("typer", "requests", "phonenumbers", "keyring")]
    programs = [[EVOCALL]] + ([[place.curl]] if place.curl else [])
    said = [_said([*program, "--version"]).partition(" (")[0] for program in programs]
    return [*said, *([f"HTTPie {_said([*place.httpie, '--version'])}"] if place.httpie else []), *libraries]


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def machine() -> str:
    """Processor, cores, system and Python of this machine."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    processor = names[0].partition(":")[2].strip() if names else os.uname().machine
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{processor}, {os.cpu_count()} cores, {os.uname().sysname} {os.uname().release}, Python {python}"
