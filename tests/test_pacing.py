"""One pace for all processes of a profile: never faster than asked, never slower than need be."""

import time
from contextlib import ExitStack, closing
from itertools import count
from math import ceil, inf
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evocall import common_pace
from evocall import postgres as database
from evocall.pacing import LONGEST_HOLD, FilePace

PACES = st.floats(0.2, 200)
ENGINES = ["file", "postgresql"]


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ServersClock(Clock):
    """The same, and a server's clock that is right when this one says 0 at `zero`: it counts whole microseconds."""

    zero = 1_777_982_400

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, seconds: float) -> None:
        self._now = seconds
        common_pace.NOW = f"{round((self.zero + seconds) * common_pace.SECOND)}::BIGINT"


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def clock(engine, monkeypatch):
    if engine == "file":
        return Clock()
    monkeypatch.setattr(common_pace, "NOW", common_pace.NOW)
    clock = ServersClock()
    monkeypatch.setattr(common_pace, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    return clock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pace" / "default"


@pytest.fixture
def processes(engine, path, clock, request):
    """Opens the pace of an account, each time as another process does."""
    with ExitStack() as stack:
        if engine == "postgresql":
            url = request.getfixturevalue("postgres").database()

        def make(account, per_second):
            if engine == "file":
                path.parent.mkdir(exist_ok=True)
                return stack.enter_context(closing(FilePace(path.with_name(account), per_second, clock)))
            opened = stack.enter_context(closing(database.Database(url)))
            return stack.enter_context(closing(opened.pace(account, per_second)))

        yield make


@pytest.fixture
def pace(processes):
    """Opens the pace of the one account."""
    return lambda per_second: processes("default", per_second)


def starts(pace, clock, delays):
    """When calls start that wait for their slots, each asked for so long after the last one began."""
    moments = []
    for delay in delays:
        clock.now += delay
        clock.now = max(clock.now, pace.take())
        moments.append(clock.now)
    return moments


def most_in_a_second(moments):
    """The largest number of moments within any one second."""
    return max(sum(begin <= moment < begin + 1 for moment in moments) for begin in moments)


def test_no_second_has_more_calls_than_the_pace(processes, clock, engine):
    """Whatever holds the calls up in between."""
    accounts = map(str, count())

    @settings(max_examples=150 if engine == "file" else 60, deadline=None)
    @given(per_second=PACES, delays=st.lists(st.floats(0, 3) | st.floats(0, 0.01), min_size=1, max_size=150))
    def check(per_second, delays):
        pace = processes(next(accounts), per_second)
        assert most_in_a_second(starts(pace, clock, delays)) <= ceil(per_second)

    check()


@pytest.mark.parametrize("per_second", [0.5, 1, 3, 50])
def test_there_is_no_burst_after_a_stall(pace, clock, per_second):
    """Time that nobody used is lost."""
    one = pace(per_second)
    starts(one, clock, [0] * 5)
    clock.now += 3600
    assert most_in_a_second(starts(one, clock, [0] * 200)) <= ceil(per_second)


@pytest.mark.parametrize("per_second", [0.5, 1, 7, 100])
def test_many_calls_take_the_time_that_the_pace_says(pace, clock, engine, per_second):
    """Within 2 %, although each call comes a little late for its slot's beginning."""
    calls = 1000 if engine == "file" else 200
    begun = starts(pace(per_second), clock, [0.3 / per_second] * calls)
    assert (begun[-1] - begun[0]) == pytest.approx((calls - 1) / per_second, rel=0.02)


def test_the_first_call_starts_at_once(pace, clock):
    assert clock.now == pace(1).take()


def test_a_hold_delays_everybody(pace, clock):
    """Also another process, and from then on the pace is kept."""
    one, other = pace(10), pace(10)
    one.take()
    one.hold(30)
    assert clock.now + 30 == other.take()
    assert one.take() >= clock.now + 30.1


def test_a_short_hold_does_not_shorten_a_long_one(pace, clock):
    one = pace(1)
    one.hold(30)
    one.hold(1)
    assert clock.now + 30 == one.take()


def test_a_hold_does_not_give_taken_slots_away(pace, clock):
    """Those who wait for theirs already were there before."""
    one = pace(1)
    taken = [one.take() for _ in range(5)]
    one.hold(0.5)
    assert one.take() >= taken[-1] + 1


def test_processes_share_one_pace(pace, clock):
    """Slots are dealt out in the order in which they are asked for."""
    both = pace(4), pace(4)
    moments = [both[n % 2].take() for n in range(100)]
    assert moments == sorted(moments)
    assert most_in_a_second(moments) == 4


def test_a_process_that_comes_later_joins_the_queue(pace, clock):
    last = [pace(2).take() for _ in range(10)][-1]
    assert pace(2).take() >= last + 0.5


def test_each_profile_has_its_own_pace(processes, clock):
    paces = [processes(name, 1) for name in ("a", "b")]
    assert [clock.now] * 2 == [pace.take() for pace in paces]


def test_a_hold_is_known_to_all_until_it_is_over(pace, clock):
    """Slots do not look at it, and so whoever waits for one asks again at its beginning."""
    one, other = pace(1), pace(1)
    one.take()
    assert (one.held(), other.held()) == (False, False)
    one.hold(30)
    other.hold(5)
    clock.now += 29.9
    assert (one.held(), other.held()) == (True, True)
    clock.now += 0.2
    assert (one.held(), other.held()) == (False, False)


@pytest.mark.parametrize("seconds", [LONGEST_HOLD, 1e9, 1e300, inf])
def test_nobody_is_held_for_longer_than_a_day(pace, clock, seconds):
    """Whatever a service asks for."""
    one, other = pace(1), pace(1)
    one.hold(seconds)
    assert clock.now + LONGEST_HOLD == other.take()
    clock.now += LONGEST_HOLD - 1
    assert other.held()
    clock.now += 2
    assert not other.held()


in_a_file = pytest.mark.parametrize("engine", ["file"], indirect=True)
in_a_database = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@in_a_database
def test_a_clock_that_is_set_right_holds_nobody_for_longer_than_a_day(pace, clock):
    """The server's clock was a year ahead."""
    pace(1).hold(500)
    clock.zero -= 365 * 24 * 3600
    clock.now += 1
    assert pace(1).take() <= clock.now + LONGEST_HOLD


@in_a_database
def test_hosts_need_no_common_clock(pace, clock):
    """Slots are counted by the server's; each host turns them into moments of its own."""
    assert pace(1).take() == clock.now
    started = clock.now
    clock.zero -= 500_000 - 0.25  # on a host that was started later, a quarter of a second after the first call
    clock.now = 500_000.0 + started
    assert pace(1).take() == pytest.approx(clock.now + 1.01 - 0.25, abs=1e-5)


@in_a_file
def test_what_is_left_from_before_a_restart_holds_nobody(pace, path, clock):
    """The clock has begun anew, and was far ahead."""
    pace(1).hold(500)
    text = path.read_text(encoding="ascii")
    path.write_text(f"00000000-1111-2222-3333-444444444444 {text.split()[1]}", encoding="ascii")
    assert clock.now == pace(1).take()


@in_a_file
@pytest.mark.parametrize(
    "damage", ["", "x", "{boot}", "{boot} ", "{boot} x", "{boot} inf", "{boot} nan", "{boot} 1e300"]
)
def test_a_damaged_file_holds_nobody(pace, path, clock, damage):
    """It costs one slot at most, and is good again afterwards."""
    pace(1).take()
    boot = path.read_text(encoding="ascii").split()[0]
    path.write_text(damage.format(boot=boot), encoding="ascii")
    assert clock.now == pace(1).take()
    assert clock.now < pace(1).take() <= clock.now + 1.02


@in_a_file
@pytest.mark.parametrize("damage", [b"\0" * 40, b"\xff" * 300, b"a " * 4000])
def test_a_file_of_noise_holds_nobody(pace, path, clock, damage):
    """Whatever was written over it."""
    path.parent.mkdir()
    path.write_bytes(damage)
    assert clock.now == pace(1).take()
    assert clock.now < pace(1).take() <= clock.now + 1.02
