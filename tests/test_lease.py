"""A lease is the sign of life of a process, and dies with it."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evocall import lease
from evocall.lease import Lease, exclusive, is_alive

HOLDER = """
import contextlib, os, signal, subprocess, sys
from pathlib import Path
from evocall.lease import Lease
signal.signal(signal.SIGTERM, signal.SIG_DFL)
held = Lease(Path(sys.argv[1]))
if "child" in sys.argv:
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False, stdout=subprocess.DEVNULL)
if "fork" in sys.argv and (child := os.fork()) == 0:
    if "end" in sys.argv:
        with contextlib.suppress(OSError):
            held.release()
        os._exit(0)
elif "end" in sys.argv:
    os.waitpid(child, 0)
if "fork" not in sys.argv or "end" in sys.argv or child == 0:
    print(held.holder, flush=True)
sys.stdin.read(1)
"""


@contextmanager
def holder_elsewhere(directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that holds a lease until its standard input ends, and the lease's name."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def running(tmp_path):
    return tmp_path / "running"


def test_a_held_lease_is_alive_until_it_is_released(running):
    held = Lease(running)
    assert is_alive(running, held.holder)
    held.release()
    assert not is_alive(running, held.holder)
    assert list(running.iterdir()) == []


def test_looking_at_a_living_holder_does_not_bury_it(running):
    """Else every second look at a running call would call it dead."""
    held = Lease(running)
    assert [is_alive(running, held.holder) for _ in range(5)] == [True] * 5
    held.release()


def test_a_name_that_nobody_took_is_not_alive(running):
    assert not is_alive(running, "0123456789abcdef")


def test_each_holder_has_a_lease_of_its_own(running):
    held = [Lease(running) for _ in range(10)]
    assert len({lease.holder for lease in held}) == 10
    held[0].release()
    assert [is_alive(running, lease.holder) for lease in held] == [False] + [True] * 9
    for lease_left in held[1:]:
        lease_left.release()


def test_only_the_owner_can_read_leases(running):
    held = Lease(running)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (running, *running.iterdir())]
    assert modes == [0o700, 0o600]
    held.release()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_lease_dies_with_its_process(running, how):
    """However it ends, without a chance to clean up; the file it left is cleared away."""
    with holder_elsewhere(running) as (process, holder):
        assert is_alive(running, holder)
        process.send_signal(how)
        process.wait()
        assert not is_alive(running, holder)
    assert list(running.iterdir()) == []


def test_a_child_that_outlives_the_holder_does_not_keep_the_lease(running):
    """A password_command may leave an agent behind; the call of the dead process is not in flight for that."""
    with holder_elsewhere(running, "child") as (process, holder):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not is_alive(running, holder)


def test_a_fork_that_outlives_the_holder_does_not_keep_the_lease(running):
    """As a worker of multiprocessing does, when the program that made it is killed while it dials."""
    with holder_elsewhere(running, "fork") as (process, name):
        assert is_alive(running, name)
        process.kill()
        process.wait(60)
        assert not is_alive(running, name)


def test_a_fork_that_ends_does_not_take_the_lease_with_it(running):
    with holder_elsewhere(running, "fork", "end") as (_, name):
        assert is_alive(running, name)


def test_two_that_look_at_once_do_not_take_each_other_for_the_holder(running):
    """The other looker's lock on a dead process's file is no sign of life."""
    held = Lease(running)
    held.abandon()
    looking = os.open(running / held.holder, os.O_RDWR)
    lease._lock(looking, shared=True, wait=False)
    assert not is_alive(running, held.holder)
    os.close(looking)


def test_only_one_at_a_time_holds_an_exclusive_lock(tmp_path):
    """The second waits for the first, and both get their turn."""
    order, trying = [], threading.Event()

    def second():
        trying.set()
        with exclusive(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / "lock"):
        thread.start()
        trying.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_an_exclusive_lock_is_given_back_when_its_block_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "lock"):
        raise ZeroDivisionError
    with exclusive(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
