"""The shipped completion scripts, and TAB in real shells."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

SHIPPED = Path(__file__).parents[1] / "completions"
FILES = {"bash": "evocall.bash", "zsh": "_evocall", "fish": "evocall.fish", "powershell": "evocall.ps1"}
PROFILES = """
[profiles.production]
username = "ops@example.com"

[profiles.production.flows]
alert = "665f1c0000000000000000aa"
allclear = "665f1c0000000000000000bb"

[profiles.production.contacts]
oncall = "+18145550100"
office = "+18145550101"
"""
TYPED = [
    pytest.param("evocall di", {"dial"}, id="command"),
    pytest.param("evocall dial --fl", {"--flow"}, id="option"),
    pytest.param("evocall dial --profile pro", {"production"}, id="profile"),
    pytest.param("evocall dial --flow al", {"alert", "allclear"}, id="flow alias"),
    pytest.param("evocall dial o", {"oncall", "office"}, id="contact"),
    pytest.param("evocall dial --allow sat", {"satellite"}, id="number class"),
]
# compadd is wrapped to write down what it offers; the widget says when it has ended.
ZSH = """
fpath=({directory} $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {{
  local -a offered
  builtin compadd -O offered "$@"
  print -rl -- $offered >>{result}
  builtin compadd "$@"
}}
completing() {{
  _main_complete
  print -r -- OFFERED >/dev/tty
}}
zle -C completing complete-word completing
bindkey '^I' completing
{more}
print -r -- READY
"""


@pytest.fixture
def shell(missing, home: Path, config, tmp_path: Path) -> Callable[[str, list[str]], str]:
    """Runs a shell that finds evocall, a home and profiles, and gives what it prints."""
    config(PROFILES)
    programs = tmp_path / "bin"
    programs.mkdir()
    evocall = programs / "evocall"
    evocall.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m evocall "$@"\n')
    evocall.chmod(0o755)

    def run(name: str, arguments: list[str]) -> str:
        program = which(name)
        if program is None:
            missing(f"{name} is not installed: apt install {name}")
        done = subprocess.run(
            [str(program), *arguments],
            env={
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(home),
                "EVOCALL_HOME": str(home / "evocall"),
                "TERM": "dumb",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.mark.parametrize(("name", "file"), FILES.items())
def test_a_shipped_script_is_the_one_that_is_printed(evocall, name, file):
    """Byte for byte, so that neither goes stale."""
    assert (SHIPPED / file).read_bytes().decode() == evocall("completion", name).out


@pytest.mark.parametrize(("typed", "expected"), TYPED)
def test_tab_in_bash(shell, typed, expected):
    """The function that bash was told to ask fills COMPREPLY."""
    script = f"""
    source {shlex.quote(str(SHIPPED / FILES["bash"]))}
    COMP_WORDS=({typed})
    COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    registered=$(complete -p evocall)
    [[ $registered =~ -F\\ ([a-z_]+) ]]
    "${{BASH_REMATCH[1]}}" evocall
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert set(shell("bash", ["--norc", "-c", script]).split()) == expected


@pytest.fixture
def first_tab_in_zsh(shell, tmp_path: Path) -> Callable[..., set[str]]:
    """What the first TAB of an interactive zsh offers after that has been typed."""

    def press(typed: str, more: str = "") -> set[str]:
        offered, setup = tmp_path / "offered", tmp_path / "setup.zsh"
        offered.touch()
        names = {"directory": shlex.quote(str(SHIPPED)), "result": shlex.quote(str(offered))}
        setup.write_text(ZSH.format(**names, more=more))
        script = f"""
        zmodload zsh/zpty
        zpty inner zsh -f -i
        zpty -w inner source {shlex.quote(str(setup))}
        zpty -r inner seen '*READY*'
        zpty -n -w inner {shlex.quote(typed)}$'\\t'
        zpty -r inner seen '*OFFERED*'
        zpty -d inner
        """
        shell("zsh", ["-f", "-c", script])
        return {line.partition(":")[0] for line in offered.read_text().split()}

    return press


@pytest.mark.parametrize(("typed", "expected"), TYPED)
def test_tab_in_zsh(first_tab_in_zsh, typed, expected):
    """With the script sourced after compinit."""
    assert first_tab_in_zsh(typed, f"source {shlex.quote(str(SHIPPED / FILES['zsh']))}") == expected


def test_the_first_tab_in_zsh_completes_already(first_tab_in_zsh):
    """With the script found through $fpath, as the help says and as the package installs it."""
    assert first_tab_in_zsh("evocall di") == {"dial"}


@pytest.mark.parametrize(("typed", "expected"), TYPED)
def test_tab_in_fish(shell, typed, expected):
    """`complete -C` answers as TAB would: a candidate and a description a line."""
    script = f"source {shlex.quote(str(SHIPPED / FILES['fish']))}; complete -C {shlex.quote(typed)}"
    lines = shell("fish", ["--no-config", "-c", script]).splitlines()
    assert {line.partition("\t")[0] for line in lines} == expected
