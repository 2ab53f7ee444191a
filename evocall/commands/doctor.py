"""`evocall doctor`."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

from evocall.commands import options

if TYPE_CHECKING:
    from evocall.diagnosis import Check, Chosen
    from evocall.output import Screen

WORDS = {"ok": "ok", "warning": "warn", "failed": "FAIL", "skipped": "skip"}
STYLES = {"ok": "green", "warning": "bold yellow", "failed": "bold red", "skipped": "dim"}


def doctor(
    profile: options.ProfileOption = None,
    sandbox: options.SandboxOption = False,
    json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Look at everything that a call needs, one line each; dials nothing.

    Exits with 0 when nothing failed, else with the code that a dial would have ended with.

    Examples:

      evocall doctor

      evocall doctor --sandbox --json
    """
    from evocall.diagnosis import Diagnosis
    from evocall.flight import watchman
    from evocall.output import Screen, trace
    from evocall.target import target
    from evocall.wording import SCHEMA

    screen = Screen(as_json=json)
    watchman.listen_to_signals()
    with ExitStack() as stack:

        def choose() -> "Chosen":
            there = stack.enter_context(target(profile, sandbox=sandbox))
            return there.profile, there.credential

        diagnosis = Diagnosis(choose, name=profile, sandbox=sandbox, trace=trace if verbose else None, tell=screen.note)
        checks = []
        for check in diagnosis.checks():
            checks.append(check)
            _show(screen, check)
    error = next((check.error for check in checks if check.error), None)
    if json:
        screen.document(
            {
                "schema": SCHEMA,
                "profile": diagnosis.profile and diagnosis.profile.name,
                "base_url": diagnosis.profile and diagnosis.profile.base_url,
                "checks": [check.document() for check in checks],
                "error": error and error.document(),
            }
        )
    if error is not None:
        raise typer.Exit(error.exit_code)


def _show(screen: "Screen", check: "Check") -> None:
    """One line, as soon as it is known; with `--json` it comes at the end."""
    if screen.as_json:
        return
    label = f"{WORDS[check.status]:4}  {check.name.replace('_', ' '):10}"
    hint = [("hint:", check.hint)] if check.hint else []
    screen.lines([(label, check.message), *hint], STYLES[check.status])
