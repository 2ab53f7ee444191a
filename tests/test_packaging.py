"""What pip and pipx install: the command, completion scripts, types, and what CI makes of an audit."""

import json
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
INSTALLED = distribution("evocall")
# Where bash-completion, zsh and fish look below share/, and pipx for what it links.
COMPLETIONS = {
    "share/bash-completion/completions/evocall": "evocall.bash",
    "share/zsh/site-functions/_evocall": "_evocall",
    "share/fish/vendor_completions.d/evocall.fish": "evocall.fish",
}


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)


def test_the_installed_command_says_which_version_is_installed():
    """The script that is put on the PATH, not `python -m`."""
    [script] = Path(sysconfig.get_path("scripts")).glob("evocall*")
    done = run(script, "--version")
    assert (0, f"evocall {INSTALLED.version}\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("place", "script"), COMPLETIONS.items())
def test_completion_scripts_are_installed_where_shells_look(place, script):
    """When this fails after a change of completions/, install again."""
    [installed] = [file.locate() for file in INSTALLED.files or [] if file.as_posix().endswith(place)]
    assert (ROOT / "completions" / script).read_bytes() == Path(installed).read_bytes()


def test_a_program_that_imports_it_is_type_checked(tmp_path):
    """So py.typed is there: without it mypy believes whatever the program says."""
    program = tmp_path / "program.py"
    program.write_text("from evocall.errors import ExitCode\n\ncode: str = ExitCode.OK\n", encoding="utf-8")
    done = run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path, program)
    assert 'expression has type "ExitCode", variable has type "str"' in done.stdout, done.stdout + done.stderr


def test_every_dependency_has_a_lower_bound():
    """CI installs the lowest that is allowed; without a bound that would be the first version ever."""
    requirements = [Requirement(line) for line in INSTALLED.requires or []]
    assert requirements
    assert [str(r) for r in requirements if not any(bound.operator == ">=" for bound in r.specifier)] == []


@pytest.fixture
def audit(tmp_path):
    """The exit code and output of CI's step for such a report of pip-audit."""

    def judge(report: str) -> tuple[int, str]:
        path = tmp_path / "audit.json"
        path.write_text(report, encoding="utf-8")
        done = run(sys.executable, ROOT / ".ci" / "audit.py", path)
        assert done.stderr == ""
        return done.returncode, done.stdout

    return judge


def report(*packages: dict[str, object]) -> str:
    return json.dumps({"dependencies": [{"version": "1.0", **package} for package in packages], "fixes": []})


def test_a_known_vulnerability_fails_an_audit(audit):
    flaw = {"id": "PYSEC-2026-1", "fix_versions": ["1.1", "2.0"], "aliases": [], "description": "bad"}
    code, said = audit(report({"name": "rich", "vulns": [flaw]}, {"name": "typer", "vulns": []}))
    assert code == 1
    assert "rich 1.0: PYSEC-2026-1, fixed in 1.1, 2.0\n" in said
    assert "audited: 2 of 2 packages, 1 known vulnerabilities" in said


def test_packages_without_vulnerabilities_pass_an_audit(audit):
    """evocall itself is in the report, too, and of no interest."""
    ours = {"name": "evocall", "skip_reason": "not found on PyPI"}
    assert (0, "audited: 1 of 1 packages, 0 known vulnerabilities\n") == audit(
        report({"name": "rich", "vulns": []}, ours)
    )


@pytest.mark.parametrize(
    "reported", ["", report({"name": "rich", "skip_reason": "not found"})], ids=["no connection", "no answer"]
)
def test_an_audit_without_a_database_is_a_warning(audit, reported):
    """Whoever cannot reach the database is not to blame, and must not read that all is well."""
    code, said = audit(reported)
    assert code == 0
    assert said.startswith("WARNING: ")
