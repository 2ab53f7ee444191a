"""One pace for all processes of a profile: never faster than asked, never slower than need be."""

from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evocall.pacing import FilePace

PACES = st.floats(0.2, 200)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pace" / "default"


@pytest.fixture
def pace(path, clock):
    """Opens the pace, as a process does."""
    opened = []

    def make(per_second):
        opened.append(FilePace(path, per_second, clock))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


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


any_paths = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@any_paths
@given(per_second=PACES, delays=st.lists(st.floats(0, 3) | st.floats(0, 0.01), min_size=1, max_size=150))
def test_no_second_has_more_calls_than_the_pace(tmp_path_factory, per_second, delays):
    """Whatever holds the calls up in between."""
    clock = Clock()
    pace = FilePace(tmp_path_factory.mktemp("pace") / "any", per_second, clock)
    assert most_in_a_second(starts(pace, clock, delays)) <= ceil(per_second)
    pace.close()


@pytest.mark.parametrize("per_second", [0.5, 1, 3, 50])
def test_there_is_no_burst_after_a_stall(pace, clock, per_second):
    """Time that nobody used is lost."""
    one = pace(per_second)
    starts(one, clock, [0] * 5)
    clock.now += 3600
    assert most_in_a_second(starts(one, clock, [0] * 200)) <= ceil(per_second)


@pytest.mark.parametrize("per_second", [0.5, 1, 7, 100])
def test_many_calls_take_the_time_that_the_pace_says(pace, clock, per_second):
    """Within 2 %, although each call comes a little late for its slot's beginning."""
    begun = starts(pace(per_second), clock, [0.3 / per_second] * 1000)
    assert (begun[-1] - begun[0]) == pytest.approx(999 / per_second, rel=0.02)


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


def test_each_profile_has_its_own_pace(tmp_path, clock):
    paces = [FilePace(tmp_path / name, 1, clock) for name in ("a", "b")]
    assert [clock.now] * 2 == [pace.take() for pace in paces]
    for pace in paces:
        pace.close()


def test_what_is_left_from_before_a_restart_holds_nobody(pace, path, clock):
    """The clock has begun anew, and was far ahead."""
    pace(1).hold(500)
    text = path.read_text(encoding="ascii")
    path.write_text(f"00000000-1111-2222-3333-444444444444 {text.split()[1]}", encoding="ascii")
    assert clock.now == pace(1).take()


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


@pytest.mark.parametrize("damage", [b"\0" * 40, b"\xff" * 300, b"a " * 4000])
def test_a_file_of_noise_holds_nobody(pace, path, clock, damage):
    """Whatever was written over it."""
    path.parent.mkdir()
    path.write_bytes(damage)
    assert clock.now == pace(1).take()
    assert clock.now < pace(1).take() <= clock.now + 1.02
