"""How fast a campaign dials when nothing holds it back, beside a bare loop of requests and beside curl."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count

import timing
from place import EVOCALL, Place
from table import Row, duration
from timing import Cost

AT_A_TIME = 8
LOOP = """
import csv, os, sys, requests
from concurrent.futures import ThreadPoolExecutor
from threading import local
here = local()
def dial(number):
    if not hasattr(here, "session"):
        here.session = requests.Session()
        here.session.auth = (os.environ["EVOCALL_USERNAME"], os.environ["EVOCALL_PASSWORD"])
    body = {"flowId": os.environ["EVOCALL_FLOW"], "numberToDial": number}
    here.session.post(os.environ["EVOCALL_BASE_URL"] + "/sessions/outgoing", json=body, timeout=60).raise_for_status()
with ThreadPoolExecutor(int(sys.argv[2])) as pool:
    list(pool.map(dial, [row["number"] for row in csv.DictReader(open(sys.argv[1], newline=""))]))
"""


def rows(place: Place) -> Iterator[Row]:
    """The journal is written by evocall only: the others would not know after a crash whom they have rung."""
    env, calls = place.env("campaign"), place.scale.calls
    file = place.numbers(calls)
    loop = [sys.executable, "-c", LOOP, str(file), str(AT_A_TIME)]
    others = {f"bare loop of requests, {AT_A_TIME} threads": lambda: timing.run(loop, env), **_curl(place, env)}
    costs = timing.in_turn({"ours": _batch(str(file), env), **others}, place.scale.repetitions)

    def rate(cost: Cost) -> str:
        return f"{duration(cost.seconds)}, {calls / cost.seconds:.0f}/s"

    ours = costs.pop("ours")
    for name, cost in costs.items():
        yield Row(
            f"batch, {calls:,} calls, {AT_A_TIME} at a time",
            rate(ours),
            name,
            rate(cost),
            ours.seconds / cost.seconds,
            ours.memory,
            cost.memory,
        )


def _batch(file: str, env: Mapping[str, str]) -> Callable[[], Cost]:
    """Each time another campaign, since rows that were placed are not dialled again."""
    names = count()

    def run() -> Cost:
        how = ["--pace", "100000", "--concurrency", str(AT_A_TIME), "--yes", "--quiet"]
        return timing.run([EVOCALL, "batch", file, "--campaign", f"speed {next(names)}", *how], env)

    return run


def _curl(place: Place, env: Mapping[str, str]) -> dict[str, Callable[[], Cost]]:
    xargs = shutil.which("xargs")
    if place.curl is None or xargs is None:
        place.left_out.append("xargs and curl: apt install findutils curl")
        return {}
    bare = place.directory / "numbers.txt"
    lines = place.numbers(place.scale.calls).read_text(encoding="utf-8").splitlines()[1:]
    bare.write_text("".join(f"{line.partition(',')[0]}\n" for line in lines), encoding="utf-8")
    command = [xargs, "-P", str(AT_A_TIME), "-I{}", *place.curl_post("{}")]
    return {f"xargs -P {AT_A_TIME} curl": lambda: timing.run(command, env, stdin=str(bare))}
