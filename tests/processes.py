"""evocall, or a program that uses it, in a process of its own, for tests that send it signals."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


def running(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """A command; see `python`."""
    return python("-m", "evocall", *arguments)


@contextmanager
def python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python that takes Ctrl-C even when whoever runs the tests does not; killed when the block is left."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    with process:
        yield process
        process.kill()
