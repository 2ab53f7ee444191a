"""`evocall completion`: the scripts, each in the language of its shell."""

import shutil
import subprocess

import pytest


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o default -F _evocall_completion evocall"),
        ("zsh", "#compdef evocall"),
        ("fish", "complete --command evocall"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName evocall"),
    ],
)
def test_prints_a_script_for_the_shell(evocall, shell, line):
    """That registers itself for evocall, and asks evocall on TAB."""
    result = evocall("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert line in result.out
    assert "_EVOCALL_COMPLETE" in result.out
    assert result.out.endswith("\n")


@pytest.mark.parametrize("arguments", [["tcsh"], []])
def test_another_shell_is_a_usage_error(evocall, arguments):
    result = evocall("completion", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "evocall completion --help" in result.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_itself_accepts_the_script(evocall, shell, missing):
    program = shutil.which(shell)
    if program is None:
        missing(f"{shell} is not installed")
    checked = subprocess.run(
        [program, "-n", "/dev/stdin"],
        input=evocall("completion", shell).out,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_tab_in_bash_completes_commands_and_contacts(spawn, config, home):
    """What the script of bash asks for when TAB is pressed."""
    config('[profiles.a.contacts]\noncall = "+18145550100"\n')
    environ = {"EVOCALL_HOME": str(home / "evocall"), "_EVOCALL_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    assert spawn(env={**environ, "COMP_WORDS": "evocall comp"}).stdout.split() == ["completion"]
    contacts = spawn(env={**environ, "COMP_WORDS": "evocall dial on", "COMP_CWORD": "2"})
    assert contacts.stdout.split() == ["oncall"]
