"""Makes docs/batch.svg from a real run in a real terminal: `python docs/picture.py`. Needs tmux."""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS, LINES = 110, 16
NUMBERS = [f"+1814555{n:04d}" for n in (*range(200, 260), 151, 140, *range(260, 340))]
COMMAND = "evocall batch patients.csv --campaign spring --flow reminder --sandbox --pace 20 --yes"
LATE_ENOUGH = re.compile(r"1[01]\d/142")


def tmux(*arguments: str, env: dict[str, str] | None = None) -> str:
    """One tmux command on a server of our own."""
    return subprocess.run(
        ["tmux", "-L", "evocall", *arguments], env=env, capture_output=True, text=True, check=True
    ).stdout


def main() -> None:
    """Run the batch, photograph it on its way, and draw what the terminal showed."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "patients.csv").write_text("number\n" + "\n".join(NUMBERS) + "\n", encoding="utf-8")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": directory, "EVOCALL_HOME": directory, "TERM": "xterm-256color", "PS1": "$ "}
        tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", directory, "bash --norc", env=env)
        tmux("send-keys", f"clear; {COMMAND}", "Enter")
        screen = ""
        while not LATE_ENOUGH.search(re.sub(r"\x1b\[[0-9;]*m", "", screen)):
            time.sleep(0.05)
            screen = tmux("capture-pane", "-p", "-e")
        tmux("kill-server")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}"), Text.from_ansi(screen.rstrip()), sep="\n")
    console.save_svg(str(HERE / "batch.svg"), title="evocall batch")


if __name__ == "__main__":
    main()
