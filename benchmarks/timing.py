"""Commands run in turn, round after round, so that whatever else the machine does hits all of them alike."""

import mmap
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

MEBIBYTE = 1024 * 1024 if sys.platform == "darwin" else 1024  # in the units of wait4
SECONDS = struct.Struct("d")


@dataclass(frozen=True)
class Cost:
    """What one run took: wall-clock seconds, and the most that was resident at a time, in MiB."""

    seconds: float
    memory: float = 0


def run(argv: Sequence[str], env: Mapping[str, str], *, stdin: str = os.devnull, ends: Container[int] = (0,)) -> Cost:
    """Run a command in this environment and no other. Raises SystemExit with what it said unless it ends as expected.

    The memory is that of the largest process among the command and those that it waited for.
    """
    with tempfile.TemporaryFile() as said, mmap.mmap(-1, SECONDS.size) as begun:
        # Forked, not spawned: a spawned command counts the memory of this whole process as its own.
        child = os.fork()
        if child == 0:
            _become(argv, env, stdin, said.fileno(), begun)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - SECONDS.unpack(begun)[0]
        code = os.waitstatus_to_exitcode(status)
        if code not in ends:
            said.seek(0)
            raise SystemExit(f"{' '.join(argv)} ended with {code}:\n{said.read().decode()}")
    return Cost(seconds, usage.ru_maxrss / MEBIBYTE)


def _become(argv: Sequence[str], env: Mapping[str, str], stdin: str, said: int, begun: mmap.mmap) -> NoReturn:
    """Turn this process into the command, and write down when."""
    try:
        for stream, file in enumerate((os.open(stdin, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY), said)):
            os.dup2(file, stream)
        begun[:] = SECONDS.pack(time.perf_counter())
        os.execve(argv[0], [*argv], env)
    finally:
        os._exit(127)


def in_turn(runs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The median cost of each, from so many rounds in which each is run once."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for n in range(rounds):
        if sys.stderr.isatty():
            print(f"\r\x1b[Kround {n + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        for name, one in runs.items():
            costs[name].append(one())
    return {
        name: Cost(median([cost.seconds for cost in measured]), median([cost.memory for cost in measured]))
        for name, measured in costs.items()
    }


def median(values: Sequence[float]) -> float:
    """The value in the middle; of an even number of values the upper one."""
    return sorted(values)[len(values) // 2]
