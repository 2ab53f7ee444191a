"""What a command costs from its start to its end, beside the bare imports of its libraries, curl and HTTPie."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import timing
from place import EVOCALL, NUMBER, Place
from table import Row, timed

TAB = "import typer"
HELP = "import typer.rich_utils"
DRY_RUN = "import typer, phonenumbers"
DIAL = "import typer, requests, phonenumbers"
KEYRING = f"{DIAL}, keyring, secretstorage"
CURL, HTTPIE = "curl, the same POST", "HTTPie, the same POST"
COMPLETION = {"COMP_WORDS": "evocall dial --fl", "COMP_CWORD": "2", "_EVOCALL_COMPLETE": "complete_bash"}
UNLOCK = ["gnome-keyring-daemon", "--unlock", "--components=secrets"]
Command = tuple[list[str], Mapping[str, str]]


def rows(place: Place) -> Iterator[Row]:
    """Each command beside its floor, and a dial beside the programs that can send the same request."""
    env = place.env("startup")
    dial = [EVOCALL, "dial", NUMBER]
    commands: dict[str, tuple[str, Command]] = {
        "evocall --version": (TAB, ([EVOCALL, "--version"], env)),
        "evocall --help": (HELP, ([EVOCALL, "--help"], env)),
        "TAB after dial --fl": (TAB, ([EVOCALL], {**env, **COMPLETION})),
        "dial --dry-run": (DRY_RUN, ([*dial, "--dry-run"], env)),
        "dial": (DIAL, (dial, env)),
        "dial, flow by name": (DIAL, ([*dial, "--flow", place.service.flow_name], env)),
    }
    others = dict(_others(place, env))
    with _secret_service(place) as unlocked:
        if unlocked:
            commands["dial, password from Secret Service"] = (KEYRING, (dial, unlocked))
        floors = {floor: ([sys.executable, "-c", floor], env) for floor, _ in commands.values()}
        everything = {**floors, **{name: command for name, (_, command) in commands.items()}, **others}
        runs = {name: partial(timing.run, *command) for name, command in everything.items()}
        timing.in_turn(runs, 1)  # writes byte code, makes the journal
        costs = timing.in_turn(runs, place.scale.rounds)
    for name, (floor, _) in commands.items():
        yield timed(name, costs[name], floor, costs[floor])
        if name == "dial":
            for other in others:
                yield timed(name, costs[name], other, costs[other])


def _others(place: Place, env: Mapping[str, str]) -> Iterator[tuple[str, Command]]:
    service = place.service
    if place.httpie:
        quiet = place.env("httpie")
        # It would otherwise start a second process that asks for updates.
        Path(quiet["HOME"], "config.json").write_text(json.dumps({"disable_update_warnings": True}), encoding="utf-8")
        login = ["--auth", f"{service.username}:{service.password}"]
        fields = [f"flowId={service.flow_id}", f"numberToDial={NUMBER}"]
        post = [*place.httpie, "--ignore-stdin", "--check-status", *login, "POST", service.address, *fields]
        yield HTTPIE, (post, {**quiet, "HTTPIE_CONFIG_DIR": quiet["HOME"]})
    else:
        place.left_out.append("HTTPie: pip install httpie, or --httpie PATH")
    if place.curl:
        yield CURL, (place.curl_post(NUMBER), env)
    else:
        place.left_out.append("curl: apt install curl")


@contextmanager
def _secret_service(place: Place) -> Iterator[dict[str, str] | None]:
    """The environment of somebody who has logged in, on a session bus with an unlocked keyring; None without them."""
    daemon, ring = shutil.which("dbus-daemon"), shutil.which(UNLOCK[0])
    if daemon is None or ring is None:
        place.left_out.append("Secret Service: apt install dbus gnome-keyring")
        yield None
        return
    env = place.env("keyring")
    env["XDG_RUNTIME_DIR"] = env["HOME"]
    bus = subprocess.Popen(
        [daemon, "--session", "--nofork", "--print-address=1"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert bus.stdout is not None
    try:
        env["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        subprocess.run([ring, *UNLOCK[1:]], env=env, input=b"pw", stdout=subprocess.DEVNULL, check=True)
        password = env.pop("EVOCALL_PASSWORD").encode()
        subprocess.run([EVOCALL, "login", "--quiet", "--password-stdin"], env=env, input=password, check=True)
        yield env
    finally:
        bus.terminate()  # the keyring goes with it
        bus.communicate()
