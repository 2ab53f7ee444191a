"""`python -m evocall`, and what the `evocall` command runs."""

import contextlib
import gc
import os
import sys

INTERRUPTED = 130  # as `errors.ExitCode` has it, which may not be loaded yet


def main() -> None:
    """Run the command line, and leave without tidying up memory that the system takes back anyway."""
    # Collecting garbage while modules load costs a tenth of the start-up; commands that run long turn it on again.
    gc.disable()
    sys.unraisablehook = unheard
    try:
        code = _run()
    except KeyboardInterrupt:  # before there was anything to tell, or once more after all was told
        code = INTERRUPTED
    os._exit(code)


def unheard(what: "sys.UnraisableHookArgs") -> None:
    """An error in an object that is thrown away, often one that an interruption has left half made: no user's concern.

    Unless it is the interruption itself, which is made once more, a moment later: here it would be lost again.
    """
    if issubclass(what.exc_type, KeyboardInterrupt):
        import _thread
        import threading

        threading.Timer(0.01, _thread.interrupt_main).start()


def _run() -> int:
    from evocall import cli

    try:
        cli.main()
    except SystemExit as left:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, AttributeError):
                stream.flush()
        return left.code if isinstance(left.code, int) else int(left.code is not None)


if __name__ == "__main__":
    main()
