"""evocall in a process of its own, for tests that send it signals."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that takes Ctrl-C even when whoever runs the tests does not; killed when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evocall", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    with process:
        yield process
        process.kill()
