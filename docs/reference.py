"""Writes docs/reference.md from the app, with Typer's own tool: `python docs/reference.py`."""

import html
import subprocess
import sys
from pathlib import Path

from evocall.cli import build

HERE = Path(__file__).parent
app = build()
NOTE = "<!-- Made by docs/reference.py from the help texts. -->\n\n"


def page() -> str:
    """The reference as it should be."""
    tool = [sys.executable, "-m", "typer", __file__, "utils", "docs", "--name", "evocall", "--title", "Reference"]
    made = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    return NOTE + html.unescape(made).rstrip() + "\n"


if __name__ == "__main__":
    (HERE / "reference.md").write_text(page(), encoding="utf-8")
