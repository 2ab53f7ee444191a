"""Makes the pictures of the README from real runs in a real terminal: `python docs/picture.py`. Needs tmux."""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 110
NUMBERS = [f"+1814555{n:04d}" for n in (*range(200, 260), 151, 140, *range(260, 340))]


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


def tmux(*arguments: str, env: dict[str, str] | None = None) -> str:
    """One tmux command on a server of our own."""
    return subprocess.run(
        ["tmux", "-L", "evocall", *arguments], env=env, capture_output=True, text=True, check=True
    ).stdout


def taken(picture: Picture, directory: Path) -> str:
    """What the terminal shows at that moment, colours included."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    home = str(directory)
    env = {"PATH": path, "HOME": home, "EVOCALL_HOME": home, "TERM": "xterm-256color", "PS1": "$ "}
    size = ("-x", str(COLUMNS), "-y", str(picture.lines))
    tmux("new-session", "-d", *size, "-c", home, "bash --norc", env=env)
    tmux("send-keys", f"clear; {picture.command}", "Enter")
    screen = ""
    while not re.search(picture.moment, re.sub(r"\x1b\[[0-9;]*m", "", screen)):
        time.sleep(0.05)
        screen = tmux("capture-pane", "-p", "-e")
    tmux("kill-server")
    return re.sub(r"\n\S*[$#]$", "", screen.rstrip())


def main() -> None:
    """Run each command, photograph it, and draw what the terminal showed."""
    for picture in PICTURES:
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "patients.csv").write_text("number\n" + "\n".join(NUMBERS) + "\n", encoding="utf-8")
            screen = taken(picture, Path(directory))
        console = Console(record=True, width=COLUMNS, file=io.StringIO())
        console.print(Text(f"$ {picture.command}"), Text.from_ansi(screen), sep="\n")
        console.save_svg(str(HERE / f"{picture.name}.svg"), title=f"evocall {picture.name}")


if __name__ == "__main__":
    main()
