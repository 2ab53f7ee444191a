"""Makes the pictures of the README from real runs in a real terminal: `python docs/picture.py`. Needs tmux."""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 110
NUMBERS = [f"+1814555{n:04d}" for n in (*range(200, 260), 151, 140, *range(260, 340))]
PATIENCE = 60.0  # seconds until a screen shows what it should
PROMPT = r"(?m)^\S*[$#]$"


@dataclass(frozen=True)
class Picture:
    """A command, and what its screen shows at the moment that is worth a picture."""

    name: str
    command: str
    moment: str
    lines: int


PICTURES = (
    Picture("dial", "evocall dial +18145550100 --flow welcome --sandbox --wait", r"Call ended: Answered\s+\S*[$#]", 14),
    Picture(
        "batch",
        "evocall batch patients.csv --campaign spring --flow reminder --sandbox --pace 20 --yes",
        r"1[01]\d/142",
        16,
    ),
)


def tmux(home: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """One tmux command on the server that has its socket in this home."""
    return subprocess.run(
        ["tmux", "-S", f"{home}/tmux", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def terminal(picture: Picture, home: str) -> Iterator[None]:
    """A shell that waits for commands, and that has none running when it is ended."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": home, "EVOCALL_HOME": home, "HISTFILE": "", "TERM": "xterm-256color", "PS1": "$ "}
    size = ("-x", str(COLUMNS), "-y", str(picture.lines))
    tmux(home, "new-session", "-d", *size, "-c", home, "bash --norc", env=env)
    try:
        seen(home, PROMPT)
        yield
        tmux(home, "send-keys", "C-c")
        seen(home, PROMPT + r"\s*\Z")
    finally:
        tmux(home, "kill-server")


def seen(home: str, moment: str) -> str:
    """What the terminal of this home shows, colours included, as soon as its text has that in it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        screen = tmux(home, "capture-pane", "-p", "-e")
        if re.search(moment, re.sub(r"\x1b\[[0-9;]*m", "", screen)):
            return screen
        if time.monotonic() > deadline:
            raise TimeoutError(f"{moment} is not on the screen:\n{screen}")
        time.sleep(0.05)


def taken(picture: Picture, home: str) -> str:
    """What the terminal shows at that moment, colours included."""
    with terminal(picture, home):
        tmux(home, "send-keys", f"clear; {picture.command}", "Enter")
        screen = seen(home, picture.moment)
    return re.sub(r"\n\S*[$#]$", "", screen.rstrip())


def table(directory: Path) -> None:
    """The file that the batch of the picture reads."""
    (directory / "patients.csv").write_text("number\n" + "\n".join(NUMBERS) + "\n", encoding="utf-8")


def main() -> None:
    """Run each command, photograph it, and draw what the terminal showed."""
    for picture in PICTURES:
        with tempfile.TemporaryDirectory() as directory:
            table(Path(directory))
            screen = taken(picture, directory)
        console = Console(record=True, width=COLUMNS, file=io.StringIO())
        console.print(Text(f"$ {picture.command}"), Text.from_ansi(screen), sep="\n")
        console.save_svg(str(HERE / f"{picture.name}.svg"), title=f"evocall {picture.name}")


if __name__ == "__main__":
    main()
