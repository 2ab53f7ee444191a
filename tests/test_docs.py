"""README, CHANGELOG, completions and the program say the same."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import evocall
from evocall import __version__, cli
from evocall.errors import ExitCode

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands_of(group: Any, *above: str) -> Iterator[tuple[str, ...]]:
    """All commands below a group of the app, and the groups among them that are commands, too."""
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None or command.invoke_without_command:
            yield (*above, name)
        if inner is not None:
            yield from commands_of(command, *above, name)


COMMANDS = set(commands_of(get_command(cli.build())))


def help_of(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "evocall", *command, "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def listed(page: str) -> set[str]:
    """The commands that a help page lists."""
    return set(re.findall(r"^│ ([a-z]+) {2,}", page.partition("Commands")[2], re.MULTILINE))


def test_the_help_lists_every_command():
    """The tests below look at each of them."""
    assert listed(help_of()) == {command[0] for command in COMMANDS} == set(cli.COMMANDS)
    groups = {command[0] for command in COMMANDS if len(command) > 1}
    assert groups
    for group in groups:
        assert listed(help_of(group)) == {command[1] for command in COMMANDS if command[0] == group and command[1:]}


def test_the_readme_names_every_command():
    table = README.partition("## Commands")[2].partition("## Exit codes")[0]
    for name in {command[0] for command in COMMANDS}:
        assert re.search(rf"`(evocall )?{name}\b", table), name


@pytest.mark.parametrize("command", sorted(COMMANDS), ids=" ".join)
def test_the_examples_of_each_help_page_are_real_options(command):
    """Two examples each, and every option in them is one that the command has."""
    page = help_of(*command)
    examples = [line.strip() for line in page.splitlines() if re.match(r"^\s*(pass show .*\| )?evocall ", line)]
    assert len(examples) == 2
    for option in re.findall(r"--[a-z-]+", " ".join(examples)):
        assert re.search(rf"│ .*{option}\b", page), option


def test_every_option_that_the_readme_shows_for_dial_exists():
    page = help_of("dial")
    table = README.partition("| option of `dial` | does |")[2].partition("Emergency")[0]
    documented = set(re.findall(r"`(--[a-z-]+)", table))
    assert documented
    for option in documented:
        assert f"{option} " in page, option
    in_help = set(re.findall(r"│ +(--[a-z-]+)", page)) - {"--help", "--profile"}
    assert in_help <= documented


def test_the_readme_lists_every_exit_code():
    rows = re.findall(r"^\| (\d+) \| ([a-z_]+) \|", README.partition("## Exit codes")[2], re.MULTILINE)
    assert [(int(code.value), code.name.lower()) for code in ExitCode] == [(int(n), name) for n, name in rows]


def test_the_readme_lists_every_environment_variable():
    """Those of the help pages and of the code, and no others."""
    documented = set(
        re.findall(r"`(EVOCALL_[A-Z_]+)`", README.partition("## Environment")[2].partition("## Sandbox")[0])
    )
    source = "".join(path.read_text(encoding="utf-8") for path in Path(evocall.__file__).parent.rglob("*.py"))
    assert set(re.findall(r"\bEVOCALL_[A-Z_]+", source)) - {"_EVOCALL_COMPLETE"} == documented


def test_the_newest_changelog_entry_is_this_version():
    versions = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == __version__


def test_ci_runs_the_test_command_of_the_readme(missing):
    """CI greps the README for it; two matches or none would be a different promise."""
    script = ROOT / ".ci" / "run"
    if not script.exists():
        missing("a source checkout with .ci/run")
    pattern = r"^python3 -m venv .*pytest$"
    assert pattern in script.read_text(encoding="utf-8")
    assert len(re.findall(pattern, README, re.MULTILINE)) == 1


def test_the_profile_file_of_the_readme_is_valid(config, evocall):
    """As it stands, comments included."""
    block = README.partition("## Profile file")[2].partition("```toml\n")[2].partition("```")[0]
    config(block)
    result = evocall("profile", "show", "production", "--json")
    assert result.code == 0, result.err
    assert '"max_per_number_per_day": 3' in result.out


def test_the_reference_is_what_the_help_says():
    """When this fails: python docs/reference.py."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference.page()
