"""The pictures of the README show what their commands print now."""

import html
import importlib.util
import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest

from evocall import output
from evocall.sandbox import Sandbox

DOCS = Path(__file__).parents[1] / "docs"
LETTER = 12.2  # the width of one in an SVG
MASKS = [  # what differs from one run to the next
    (r"\b[0-9a-f]{24}\b", "<id>"),
    (r"127\.0\.0\.1:\d+", "<host>"),
    (r"\d\d\d\d-\d\d-\d\d \d\d:\d\d", "<time>"),
    (r"\b\d?\d:\d\d(:\d\d)?(?!\d)", "<time>"),
    (r"from \+\d+", "from <number>"),
    (r"--pace \d+|\b\d+ a second", "<pace>"),
    (r"^[━╸╺ ]+\d+/142 ", "<bar> "),
    (r"\b\d+ placed", "<many> placed"),
    (r"[\d.]+/s", "<rate>"),
]


def drawing():
    """The program that draws the pictures."""
    spec = importlib.util.spec_from_file_location("picture", DOCS / "picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(name):
    """The lines of a picture, the command first."""
    lines = {}
    svg = (DOCS / f"{name}.svg").read_text(encoding="utf-8")
    for x, y, text in re.findall(r'<text class="\S+-r\d+" x="(\S+)" y="(\S+)"[^>]*>([^<]*)</text>', svg):
        before = lines.get(y, "").ljust(round(float(x) / LETTER))
        lines[y] = before + html.unescape(text).replace("\xa0", " ").removesuffix("\n")
    return masked("\n".join(lines.values()))


def masked(text):
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return [line.rstrip() for line in text.splitlines()]


@pytest.fixture
def printed(evocall, monkeypatch, tmp_path):
    """What a picture's command prints for a terminal, in a hurry: short calls, and many of them a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(drawing().COLUMNS))
    monkeypatch.setattr(output, "_is_terminal", lambda stream: stream in {sys.stdout, sys.stderr})
    monkeypatch.setattr("evocall.sandbox.Sandbox", partial(Sandbox, answer_after=0.1, talk_for=0.1))

    def run(picture):
        result = evocall(*shlex.split(picture.command.replace("--pace 20", "--pace 500"))[1:])
        return masked(f"$ {picture.command}\n{result.err}{result.out}")

    return run


def test_every_picture_of_the_readme_is_looked_at_here():
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    names = [picture.name for picture in drawing().PICTURES]
    assert names == re.findall(r"\]\(docs/(\w+)\.svg\)", readme) == ["dial", "batch"]


def test_the_picture_of_a_dial_shows_what_it_prints(printed):
    """When this fails: python docs/picture.py."""
    [dial, _] = drawing().PICTURES
    assert drawn("dial") == printed(dial)


def test_the_picture_of_a_batch_shows_what_it_prints(printed, tmp_path):
    """Up to its bar, which the picture shows on its way. When this fails: python docs/picture.py."""
    picture = drawing()
    picture.table(tmp_path)
    [_, batch] = picture.PICTURES
    shown = drawn("batch")
    assert shown[-1].startswith("<bar> <many> placed, 1 not placed, 1 unknown")
    assert shown == printed(batch)[: len(shown)]
