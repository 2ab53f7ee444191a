"""The app: the list of commands, and `main`, the only door where errors become exit codes."""

import errno
import os
import signal
import sys
from collections.abc import Iterable
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import Annotated, NoReturn

import typer
from typer.completion import completion_init  # type: ignore[attr-defined] # not named in its __all__

from evocall import __version__
from evocall.errors import EvocallError, ExitCode, Interrupted, UsageError

COMMANDS = (  # in the order of the help
    "dial",
    "batch",
    "check",
    "flows",
    "numbers",
    "show",
    "reconcile",
    "hangup",
    "login",
    "logout",
    "whoami",
    "doctor",
    "sandbox",
    "completion",
    "profile",
    "history",
    "journal",
)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
CALLING = {"dial"}
DOING = {"dial", "batch", "hangup", "login", "logout", "reconcile", "profile"}  # what they did is what counts


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evocall {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    pass


def build(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The app with these commands. Each costs its import and the building of its options, so one that runs is alone."""
    app = typer.Typer(
        name="evocall",
        help="Place outgoing phone calls through Evo Voice.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_root)
    for name in names:
        module = import_module(f"evocall.commands.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app)
        else:
            app.command()(getattr(module, name))
    return app


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a receipt is no failure where its letters are not known
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "_EVOCALL_COMPLETE" in os.environ:
        completion_init()
    try:
        code = _run(arguments)
        _report_lost_output(arguments)
    except EvocallError as error:
        _report(error, arguments)
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - the last door: whatever comes here is a defect, and no traceback passes
        from evocall.output import unwritable

        full = isinstance(error, OSError) and error.errno in FULL
        trouble = unwritable(error) if full else _defect(error)
        _report(trouble, arguments)
        code = trouble.exit_code
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        app = build(_command(arguments) or COMMANDS)
    except KeyboardInterrupt:
        raise Interrupted("interrupted before anything was done.") from None
    try:
        code = app(arguments, prog_name="evocall", standalone_mode=False)
    except typer.TyperException as error:
        if not error.format_message():  # the help has been shown already
            return ExitCode.USAGE
        hint = " ".join(["evocall", *_command(arguments), "--help"])
        raise UsageError(error.format_message(), hint=hint) from error
    except typer.Abort:
        raise Interrupted("interrupted.") from None
    except SystemExit as left:
        broken = left.__context__  # Typer ends with exit 1 when a pipe is broken
        if not isinstance(broken, BrokenPipeError):
            raise
        if any(frame.filename != __file__ for frame in _frames(broken)):
            raise broken from None
        return ExitCode.OK  # it was a help that nobody reads
    if code == ExitCode.INTERRUPTED:
        raise Interrupted("interrupted.")
    return code or 0


def _report_lost_output(arguments: list[str]) -> None:
    """Raise ConfigError when a command that has nothing to do but to tell something could not; others warn."""
    if "evocall.output" not in sys.modules:
        return
    from evocall.output import Screen, lost, refuse_loss, unwritable

    if not DOING.intersection(_command(arguments)):
        refuse_loss()
    elif lost:
        Screen().problem(f"warning: {unwritable(lost[0])}")


def _command(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments[:1] if argument in COMMANDS]


def _defect(error: Exception) -> EvocallError:
    """The error for a defect: what to report, without the values that a traceback might show."""
    where = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in _frames(error)[-4:])
    return EvocallError(
        f"this is a defect in evocall {__version__}: {type(error).__name__} at {where or 'start'}.",
        hint="Please report it with this line and the command; evocall history shows whether a call was attempted.",
    )


def _frames(error: BaseException) -> list[FrameSummary]:
    """Where in evocall's own files it came up, outermost first."""
    return [frame for frame in extract_tb(error.__traceback__) if Path(__file__).parent in Path(frame.filename).parents]


def _report(error: EvocallError, arguments: list[str]) -> None:
    from evocall.output import Screen

    screen = Screen(as_json="--json" in arguments)
    screen.failure(error, calling=bool(CALLING.intersection(_command(arguments))))
