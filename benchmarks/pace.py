"""How exactly a pace is kept, as the service sees it: by one process, and by two of one profile at once."""

import subprocess
from collections.abc import Iterator, Sequence

from place import EVOCALL, Place
from table import Row

PACE = 20  # calls a second


def rows(place: Place) -> Iterator[Row]:
    """The rate from the first call to the last, and the most calls within any second."""
    calls = place.scale.paced
    for processes, who in ((1, "one process"), (2, "two processes")):
        arrivals = _dialled(place, processes, calls // processes)
        rate = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])
        name = f"batch --pace {PACE}, {calls} calls, {who}"
        yield Row(name, f"{rate:.2f}/s", "asked for", f"{PACE}/s", rate / PACE)
        most = most_within_a_second(arrivals)
        yield Row(f"{name}: most within any second", str(most), "asked for", str(PACE), most / PACE)


def _dialled(place: Place, processes: int, calls: int) -> list[float]:
    """When the calls of so many processes reached the service."""
    place.service.arrivals()
    env = place.env(f"pace {processes}")
    batch = [EVOCALL, "batch", str(place.numbers(calls)), "--pace", str(PACE), "--yes", "--quiet", "--campaign"]
    running = [subprocess.Popen([*batch, f"campaign {n}"], env=env) for n in range(processes)]
    for process in running:
        if process.wait() != 0:
            raise SystemExit(f"{' '.join(batch)} failed")
    return place.service.arrivals()


def most_within_a_second(moments: Sequence[float]) -> int:
    """The most of the moments, which are in order, that lie within less than a second."""
    return max(sum(first <= moment < first + 1 for moment in moments) for first in moments)
