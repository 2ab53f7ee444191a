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
    try:
        code = _run()
    except KeyboardInterrupt:  # before there was anything to tell, or once more after all was told
        code = INTERRUPTED
    os._exit(code)


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
