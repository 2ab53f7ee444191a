"""README and docs/: every block of commands is run word for word, page by page, as a reader would paste them."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evocall.sandbox import Account, Sandbox

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
READER = Account("ops@example.com", "a password", ("Manager",))
KEYRING = """
import json, pathlib, keyring.backend
class Keyring(keyring.backend.KeyringBackend):
    priority = 1
    file = pathlib.Path(__file__).with_name("kept.json")
    def get_password(self, service, username):
        kept = json.loads(self.file.read_text()) if self.file.exists() else {}
        return kept.get(f"{service} {username}")
    def set_password(self, service, username, password):
        self.file.write_text(json.dumps({f"{service} {username}": password}))
"""
RUN_BY_OTHERS = {"crontab", "systemd", "yaml"}  # tests/test_recipes.py
NEEDS_DATABASE = {"hosts.md"}
VARIABLE = [
    (r"\b[0-9a-f]{24}\b", "<id>"),
    (r"\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d", "<time>"),
    (r"\d\d:\d\d there", "<clock> there"),
    (r"(?m) at \S+$", " at <host>"),
    (r"signed in to \S+", "signed in to <host>"),
    (r"evocall show \w{4}", "evocall show <call>"),
]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(page.name, text.count("\n", 0, match.start()) + 1, match[1], match[2])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and block.page != "reference.md"]


@pytest.fixture
def reader(home: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a reader whose login is in place, with evocall on the PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    command = tools / "evocall"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m evocall "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    (tools / "python3").symlink_to(sys.executable)
    with Sandbox(answer_after=0.1, talk_for=0.1, accounts=[READER]) as server:
        yield {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(home),
            "EVOCALL_BASE_URL": server.base_url,
            "EVOCALL_USERNAME": READER.username,
            "EVOCALL_PASSWORD": READER.password,
            "COLUMNS": "150",
        }


def shell(text: str, env: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", text], env=env, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_block_has_a_reader_here():
    """So that no block of a new kind stays untried."""
    assert {block.language for block in BLOCKS} <= {"sh", "console", "python", "toml"} | RUN_BY_OTHERS


@pytest.mark.parametrize("page", sorted({block.page for block in of("sh")}))
def test_the_commands_of_a_page_do_what_they_say(page, reader, tmp_path, request):
    """All in one directory, one after the other; a comment says which exit code is meant when it is not 0."""
    if page in NEEDS_DATABASE:
        server = request.getfixturevalue("postgres")
        server.database("evocall")
        reader |= server.as_db_example_com()
    for block in (block for block in of("sh") if block.page == page):
        if block.text.startswith("python3 -m venv"):
            continue  # the next test
        done = shell(block.text, reader, tmp_path)
        meant = re.search(r"# exits with (\d+)$", block.text.rstrip())
        assert done.returncode == int(meant[1] if meant else 0), f"{block}: {done.stderr}"


def test_ci_runs_the_commands_that_install(missing):
    """They need a clean checkout and the network."""
    script = ROOT / ".ci" / "run"
    if not script.exists():
        missing("a source checkout with .ci/run")
    greps = [re.compile(found) for found in re.findall(r"grep -m 1 -E '(\^python3 -m venv .*?)'", script.read_text())]
    for block in of("sh"):
        if block.text.startswith("python3 -m venv"):
            assert any(grep.search(block.text.rstrip()) for grep in greps), block


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_runs(block, reader, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=reader,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_python_is_typed_as_strictly_as_a_reader_may_ask_for(tmp_path):
    """All blocks at once, from outside, since most of the time goes into reading the package."""
    names = [f"example_{n}.py" for n, _ in enumerate(of("python"))]
    for name, block in zip(names, of("python"), strict=True):
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_a_profile_file_is_valid(block, config, evocall):
    config(block.text)
    result = evocall("profile", "list")
    assert result.code == 0, result.err


@pytest.mark.parametrize("block", of("console"), ids=str)
def test_a_transcript_is_what_happens(block, reader, tmp_path):
    """Commands after `$` are typed at a terminal, and what follows is what they print, but for IDs, times and host."""
    (tmp_path / "filekeyring.py").write_text(KEYRING, encoding="utf-8")
    env = {**reader, "PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "filekeyring.Keyring", "TERM": "dumb"}
    del env["EVOCALL_PASSWORD"], env["EVOCALL_USERNAME"]
    printed = ""
    for command in re.findall(r"^\$ (.*)$", block.text, re.MULTILINE):
        printed += f"$ {command}\n{typed(command, env, tmp_path)}"
    assert plain(printed) == plain(block.text)


def typed(command: str, env: dict[str, str], directory: Path) -> str:
    """What a command prints on stdout and at its terminal; whoever is asked for a password gives it."""
    parent, child = pty.openpty()
    terminal = os.ttyname(child)
    process = subprocess.Popen(
        # A session leader's first terminal becomes its own, and passwords are asked for there.
        ["/bin/sh", "-c", f"{{ {command}; }} <{terminal} >{terminal} 2>&1"],
        env=env,
        cwd=directory,
        start_new_session=True,
    )
    seen = b""
    deadline = time.monotonic() + 30
    while process.poll() is None or select.select([parent], [], [], 0)[0]:
        assert time.monotonic() < deadline, seen
        if select.select([parent], [], [], 0.1)[0]:
            seen += os.read(parent, 4096)
        if seen.endswith(b": ") and not termios.tcgetattr(child)[3] & termios.ECHO:
            os.write(parent, READER.password.encode() + b"\n")
            seen = seen.rstrip()
    os.close(child)
    os.close(parent)
    assert process.returncode == 0, seen
    return seen.decode().replace("\r", "")


def plain(text: str) -> str:
    for pattern, name in VARIABLE:
        text = re.sub(pattern, name, text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
