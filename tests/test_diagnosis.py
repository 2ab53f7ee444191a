"""Checks that come one by one, end in time whatever the other side does, and know what the time zone data lacks."""

import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evocall import paths
from evocall.diagnosis import Check, Diagnosis, Status
from evocall.model import Credential, Profile
from tests.faultserver import FaultServer, NeverAccepting, Visit, closing, silent

LOGIN = Credential("ops@example.com", "correct horse", "the test")
IMPATIENT = 0.3


def diagnosis_of(base_url: str) -> Diagnosis:
    """The checks for a login at that address, by somebody in a hurry."""
    profile = Profile("test", base_url, LOGIN.username)
    return Diagnosis(lambda: (profile, lambda: LOGIN), patience=IMPATIENT)


def checked(base_url: str) -> dict[str, Check]:
    """What became of all of them, by name."""
    return {check.name: check for check in diagnosis_of(base_url).checks()}


def failed(checks: dict[str, Check]) -> list[str]:
    """The names of those that failed."""
    return [name for name, check in checks.items() if check.status is Status.FAILED]


def test_each_check_is_told_before_the_next_one_begins():
    """A person sees how far it is, and a slow network spoils nothing that was found before."""
    with FaultServer(closing) as server:
        checks = diagnosis_of(server.base_url).checks()
        assert next(checks).name == "config"
        assert not paths.journal_file().exists()
        assert next(checks).name == "journal"
        assert paths.journal_file().exists()
        assert [next(checks).name for _ in range(4)] == ["time_zones", "credential", "proxy", "dns"]
        assert server.connections == 0
        checks.close()


# nothing hangs


def test_a_connection_that_is_never_completed_is_given_up():
    with NeverAccepting() as server:
        checks = checked(server.base_url)
    assert failed(checks) == ["tcp"]
    assert "in time" in checks["tcp"].message
    assert checks["tcp"].error.exit_code == 8


def greeting_silently(visit: Visit) -> None:
    """Takes the TLS greeting and never answers."""
    visit.peek()
    visit.stay_silent()


def test_a_handshake_that_is_never_answered_is_given_up():
    with FaultServer(greeting_silently) as server:
        checks = checked(server.base_url.replace("http", "https"))
    assert failed(checks) == ["tls"]
    assert "in time" in checks["tls"].message
    assert checks["clock"].status is Status.SKIPPED


def test_a_request_that_is_never_answered_is_given_up():
    """And no login is sent to a server that does not answer."""
    with FaultServer(silent) as server:
        checks = checked(server.base_url)
    assert failed(checks) == ["clock"]
    assert "no answer came within 0.3 seconds" in checks["clock"].message
    assert checks["sign_in"].message == "not looked at, since clock failed"
    [request] = server.requests
    assert "authorization" not in request.headers


def test_a_proxy_that_trickles_its_answer_is_given_up(monkeypatch):
    """Byte after byte comes in time, and all of them together do not."""

    def trickle(visit: Visit) -> None:
        visit.read()
        visit.trickle(b"HTTP/1.1 200 OK\r\nX-Patience: " + 1000 * b".")

    with FaultServer(trickle) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        checks = checked("https://evovoice.example")
    assert failed(checks) == ["tls"]
    assert "in time" in checks["tls"].message


# time zones


@pytest.fixture
def zone_files(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Makes the system's zone files a directory with nothing in it but those, which are damaged."""

    def damaged(*names: str) -> None:
        for name in names:
            path = tmp_path / "zoneinfo" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no zone file")
        zoneinfo.reset_tzpath(to=[str(tmp_path / "zoneinfo")])

    yield damaged
    zoneinfo.reset_tzpath()


def test_without_zone_files_of_the_system_those_of_python_do(zone_files):
    zone_files()
    check = checked("http://127.0.0.1:9")["time_zones"]
    assert (check.status, check.message) == (Status.OK, "from Python's package tzdata")


def test_zone_files_that_cannot_be_read_are_a_failure(zone_files):
    """With them nobody's hours are known, whatever else works."""
    zone_files("America/New_York")
    check = checked("http://127.0.0.1:9")["time_zones"]
    assert (check.status, check.error.exit_code) == (Status.FAILED, 10)
    assert "America/New_York" in check.message
    assert "tzdata" in check.hint


def test_a_zone_that_only_some_numbers_need_is_a_warning(zone_files):
    zone_files("America/Adak")
    check = checked("http://127.0.0.1:9")["time_zones"]
    assert check.status is Status.WARNING
    assert "without America/Adak" in check.message
