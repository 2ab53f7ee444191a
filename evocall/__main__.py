"""`python -m evocall`, and what the `evocall` command runs."""

import contextlib
import gc
import os
import sys


def main() -> None:
    """Run the command line, and leave without tidying up memory that the system takes back anyway."""
    # Collecting garbage while modules load costs a tenth of the start-up; commands that run long turn it on again.
    gc.disable()
    from evocall import cli

    try:
        cli.main()
    except SystemExit as left:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, AttributeError):
                stream.flush()
        os._exit(left.code if isinstance(left.code, int) else left.code is not None)


if __name__ == "__main__":
    main()
