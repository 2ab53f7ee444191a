"""`evocall sandbox`: what it says of its numbers is what they do."""

import os
import re
import subprocess
import sys
from contextlib import closing

import pytest

from evocall.model import Credential, DialRequest, Profile
from evocall.sandbox.faults import FAULTS
from evocall.service import Service

LINE = re.compile(r"^  (0\d{3})  (.+)$")


@pytest.fixture(scope="module")
def listed():
    """The numbers and their fates, as the command prints them."""
    command, env = [sys.executable, "-m", "evocall", "sandbox"], {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        lines = list(iter(process.stdout.readline, "Paste this into another shell:\n"))
        process.terminate()
    assert "Numbers +1 814 555 01xx choose what happens; all others ring and are answered\n" in lines
    return dict(found.groups() for line in lines if (found := LINE.match(line)))


@pytest.fixture
def placed(sandbox):
    """Sends one request for a call to a number, and returns what came of it."""
    login = Credential(sandbox.manager.username, sandbox.manager.password, "the test")
    flow = sandbox.flows[0].id
    with closing(Service(Profile("test", sandbox.base_url, login.username, timeout=1.0), login)) as service:
        yield lambda number: service.place(DialRequest(flow, number))


def test_every_number_with_a_fate_of_its_own_is_listed(listed):
    assert [f"0{digits}" for digits in FAULTS] == list(listed)


@pytest.mark.parametrize("digits", FAULTS)
def test_a_number_does_what_is_said_of_it(digits, listed, placed, sandbox):
    """Whether there is a call, how it ends, and what comes back."""
    number, said = f"+1814555{digits:0>4}", listed[f"0{digits}"]
    answer = placed(number)
    seen = f"placed, ends as {sandbox.calls[0].ending}" if sandbox.calls else "no call"
    if not sandbox.calls and placed(number).outcome == "placed":
        seen += " the first time"
    if answer.status == 204:
        seen += "; answer without a body"
    elif answer.status is not None and answer.status >= 300:
        seen += f"; answer {answer.status}"
    elif answer.outcome == "unknown":
        why = {"timeout": "a late answer", "connection_lost": "connection reset", "half_answer": "half an answer"}
        seen += f"; {why[answer.error.code]}"
    assert seen == said


def test_any_other_number_rings_and_is_answered(placed, sandbox):
    assert placed("+18145550100").outcome == "placed"
    assert sandbox.calls[0].ending == "Answered"
