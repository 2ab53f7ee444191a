"""Several hosts, each with a home of its own, and one journal in a real PostgreSQL: still no phone rings twice."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from evocall import placing
from evocall.history import Filter
from evocall.journal import Journal
from evocall.model import Credential, Flow, Plan, Profile
from evocall.pacing import MARGIN
from evocall.phone import read
from evocall.postgres import NOW
from evocall.sandbox import Sandbox
from evocall.service import Service
from tests import postgresql
from tests.faultserver import FaultServer, Visit, free_port, http

FLOW = "665f1c0000000000000000a1"
PLACED = http("200 OK", b'{"id": "6743a0b1c2d3e4f5a6b7c8d9"}')
AREAS = [201, 202, 203, *range(205, 211), *range(212, 220), 224, 225, 228, 229, 231, 234, 239, 240, 248, 251, 252, 253]
AREAS += [254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302]
# Fictional numbers whose last digits ask the sandbox for nothing in particular.
NUMBERS = [f"+1{area}555{last:04}" for area in AREAS for last in range(165, 190)]


SHORT_LEASES = """
from evocall import postgres
from evocall.__main__ import main
postgres.LEASE, postgres.SURE, postgres.RENEWAL = 1_000, 0.5, 0.2
main()
"""
COUNT_SLOTS = """
CREATE TABLE slots (free_at BIGINT);
CREATE FUNCTION note_slot() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO slots VALUES (NEW.free_at); RETURN NEW; END $$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE ON paces FOR EACH ROW EXECUTE FUNCTION note_slot()
"""


def hurried(seconds: float) -> tuple[str, str]:
    """An evocall that gives its database up after that time."""
    return "-c", (
        "from evocall import postgres_connection\nfrom evocall.__main__ import main\n"
        f"postgres_connection.PATIENCE = {seconds}\nmain()"
    )


@dataclass
class Host:
    """A machine of its own, as far as evocall can see: another home, the same database and the same service."""

    environment: dict[str, str]
    program: tuple[str, ...] = ("-m", "evocall")

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that runs on it."""
        return subprocess.Popen(
            [sys.executable, *self.program, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture
def url(postgres: postgresql.Server) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture
def hosts(url: str, tmp_path: Path) -> Callable[..., list[Host]]:
    """So many hosts that dial at an address."""

    def make(count: int, base_url: str, password: str = "correct horse") -> list[Host]:
        return [
            Host(
                {
                    "PATH": os.environ["PATH"],
                    "EVOCALL_HOME": str(tmp_path / f"host {n}"),
                    "EVOCALL_JOURNAL": url,
                    "EVOCALL_BASE_URL": base_url,
                    "EVOCALL_USERNAME": "manager@example.com",
                    "EVOCALL_PASSWORD": password,
                    "EVOCALL_FLOW": FLOW,
                    "PGPASSWORD": postgresql.PASSWORD,
                }
            )
            for n in range(count)
        ]

    return make


@pytest.fixture
def three(hosts, sandbox: Sandbox) -> list[Host]:
    """Three hosts that dial at the sandbox."""
    return hosts(3, sandbox.base_url, sandbox.manager.password)


@pytest.fixture
def outcomes(url: str) -> Callable[[], list[tuple[str, str]]]:
    """Number and outcome of each call, the oldest first."""

    def look() -> list[tuple[str, str]]:
        with Journal(url) as journal:
            return [(record.call.number, str(record.call.outcome)) for record in journal.history.calls(Filter())][::-1]

    return look


@pytest.fixture
def let_leases_end(postgres: postgresql.Server, url: str) -> Callable[[], None]:
    """Half a minute later, as far as leases know."""

    def run() -> None:
        with postgres.connected(url.rpartition("/")[2]) as connection:
            connection.execute("UPDATE leases SET ends_at = 0")

    return run


def asked_for(server: Sandbox) -> Counter[str]:
    """How often the service was asked to ring each number."""
    return Counter(json.loads(dial.body)["numberToDial"] for dial in server.dials())


def wait_for_dials(server: Sandbox, count: int, process: subprocess.Popen[str]) -> None:
    """Come back when the service has been asked to dial so often."""
    while len(server.requests) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_sixty_processes_on_three_hosts_with_one_key_place_one_call(three, sandbox, outcomes):
    """All others report the session of that call."""
    arguments = ("dial", "+18145550100", "--once", "reminder", "--json")
    crowd = [host.begin(*arguments) for host in three for _ in range(20)]
    documents = [json.loads(process.communicate(timeout=120)[0]) for process in crowd]
    [call] = sandbox.calls
    assert len(sandbox.dials()) == 1
    assert {process.returncode for process in crowd} == {0}
    assert {document["session_id"] for document in documents} == {call.id}
    assert Counter(document["outcome"] for document in documents) == {"already_placed": 59, "placed": 1}
    assert outcomes() == [("+18145550100", "placed")]


def test_a_campaign_on_three_hosts_that_all_die_once_rings_every_number_once(three, sandbox, outcomes, url, tmp_path):
    """1,000 rows; each host is killed while it dials, and begins anew. The account's pace holds for all of them."""
    per_second = 40
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(["number", *NUMBERS, ""]), encoding="utf-8")
    arguments = ("batch", str(table), "--campaign", "spring", "--yes", "--pace", str(per_second), "--json")
    with Journal(url) as journal:
        pace = journal.pace("default", per_second)
        pace.hold(5)
        first = pace.take()
    with ExitStack() as stack:
        running = [stack.enter_context(host.begin(*arguments)) for host in three]
        for n, host in enumerate(three):
            goal = 150 * (n + 1)
            wait_for_dials(sandbox, goal, running[n])
            running[n].kill()
            running[n].communicate(timeout=60)
            running[n] = stack.enter_context(host.begin(*arguments))
        documents = [json.loads(process.communicate(timeout=240)[0]) for process in running]
    rung, known = asked_for(sandbox), dict(outcomes())
    unknown = {number for number, outcome in known.items() if outcome == "unknown"}
    assert max(rung.values()) == 1
    assert set(known) == set(NUMBERS)
    assert set(known.values()) <= {"placed", "unknown"}
    assert len(unknown) < len(three) * 20
    assert set(NUMBERS) - set(rung) <= unknown
    assert {process.returncode for process in running} == ({14} if unknown else {0})
    assert all(document["outcomes"]["placed"] > 0 for document in documents)
    arrivals = sorted(dial.at for dial in sandbox.dials())
    assert [n for n, at in enumerate(arrivals, 1) if at < first + n * MARGIN / per_second - 0.05] == []


def test_two_hosts_waste_no_slot_of_the_pace_on_each_others_rows(hosts, sandbox, postgres, url, tmp_path):
    """Both walk the same rows, and together they are as fast as one alone: a slot for each row, and hardly one more."""
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(["number", *NUMBERS[:60], ""]), encoding="utf-8")
    pair = hosts(2, sandbox.base_url, sandbox.manager.password)
    assert pair[0].run("history")[0] == 0
    with postgres.connected(url.rpartition("/")[2]) as connection:
        connection.execute(COUNT_SLOTS)
    arguments = ("batch", str(table), "--campaign", "spring", "--yes", "--pace", "10", "--json")
    running = [host.begin(*arguments) for host in pair]
    documents = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    placed = [document["outcomes"]["placed"] for document in documents]
    assert sum(placed) == 60
    # A host that begins a moment later may find a call that was placed before it looked.
    others = [document["outcomes"]["already_placed"] + document["placed_before"] for document in documents]
    assert others == [60 - number for number in placed]
    assert dict.fromkeys(NUMBERS[:60], 1) == asked_for(sandbox)
    with postgres.connected(url.rpartition("/")[2]) as connection:
        [taken] = connection.execute("SELECT COUNT(*) FROM slots").fetchone()
    assert taken < 60 + 10


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_database_that_goes_and_comes_back_costs_a_campaign_nothing(
    three, sandbox, outcomes, postgres, tmp_path, how
):
    """Nobody is rung twice, and all that rang is known."""
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(["number", *NUMBERS[:200], ""]), encoding="utf-8")
    arguments = ("batch", str(table), "--campaign", "spring", "--yes", "--pace", "40", "--json")
    running = [host.begin(*arguments) for host in three]
    wait_for_dials(sandbox, 60, running[0])
    postgres.stop(how)
    postgres.start()
    errors = [process.communicate(timeout=120)[1] for process in running]
    rung, known = asked_for(sandbox), outcomes()
    assert max(rung.values()) == 1
    assert {number for number, outcome in known if outcome == "not_placed"}.isdisjoint(rung)
    assert ([process.returncode for process in running], errors) == ([0, 0, 0], errors)
    assert dict(known) == dict.fromkeys(NUMBERS[:200], "placed")


def test_a_campaign_that_loses_its_database_says_what_it_could_not_record(three, sandbox, outcomes, postgres, tmp_path):
    """Exit 10; what was in flight then is unknown, although its answer was seen."""
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(["number", *NUMBERS[:200], ""]), encoding="utf-8")
    process = three[0].begin("batch", str(table), "--campaign", "spring", "--yes", "--pace", "40", "--quiet")
    wait_for_dials(sandbox, 20, process)
    postgres.stop("immediate")
    err = process.communicate(timeout=120)[1]
    postgres.start()
    unknown = [outcome for _, outcome in outcomes()].count("unknown")
    assert process.returncode == 10
    assert (f"what {unknown} call" in err, "evocall reconcile settles it" in err) == (unknown > 0, unknown > 0), err
    assert max(asked_for(sandbox).values()) == 1


class Cutting:
    """A service that loses the database's connections at the given moment of a POST."""

    def __init__(self, service: Service, *, before: Callable[[], object] | None = None, after=None) -> None:
        self._service, self._before, self._after = service, before, after

    def place(self, request, may_leave):
        if self._before:
            self._before()
        answer = self._service.place(request, may_leave)
        if self._after:
            self._after()
        return answer


@pytest.fixture
def placed_with(url: str, sandbox: Sandbox) -> Iterator[Callable[..., str]]:
    """Places one call with these deeds before and after its POST; the outcome."""
    profile = Profile("default", sandbox.base_url, sandbox.manager.username)
    login = Credential(sandbox.manager.username, sandbox.manager.password, "the test")
    plan = Plan(read("+18145550100", region=None), Flow(FLOW), None, profile, None)

    def place(*, once: str | None = None, **deeds: Callable[[], object]) -> str:
        service = Service(profile, login)
        try:
            with Journal(url) as journal:
                terms = placing.Terms(once)
                return str(placing.place(plan, Cutting(service, **deeds), journal, terms, tell=told.append).outcome)
        finally:
            service.close()

    told: list[str] = []
    return place


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_cut_around_the_post_changes_nothing(placed_with, outcomes, sandbox, postgres, url, moment):
    """Between reserve and send, and between send and resolve: it is made anew, and the outcome recorded."""
    cut = []
    assert placed_with(once="key", **{moment: lambda: cut.append(postgres.cut(url))}) == "placed"
    assert cut[0] >= 1
    assert placed_with(once="key") == "already_placed"
    assert (len(sandbox.dials()), outcomes()) == (1, [("+18145550100", "placed")])


def test_a_database_that_is_gone_after_the_post_leaves_unknown_and_the_user_the_receipt(
    hosts, outcomes, postgres, let_leases_end
):
    """The answer is shown as it came. What could not be written is unknown to all others, never not placed."""

    def stop_then_place(visit: Visit) -> None:
        visit.read()
        postgres.stop("immediate")
        visit.send(PLACED)

    try:
        with FaultServer(stop_then_place) as server:
            [host, other] = hosts(2, server.base_url)
            host.program = hurried(5.0)
            code, out, err = host.run("dial", "+18145550100", "--once", "key", "--json")
    finally:
        postgres.start()
    assert (code, json.loads(out)["outcome"]) == (0, "placed")
    assert "could not be recorded" in err
    let_leases_end()
    assert outcomes() == [("+18145550100", "unknown")]
    with FaultServer(lambda visit: visit.send(PLACED)) as server:
        other.environment["EVOCALL_BASE_URL"] = server.base_url
        assert other.run("dial", "+18145550100", "--once", "key")[0] == 9
        assert server.posts == []


@pytest.mark.parametrize(("answer", "code"), [(PLACED, 0), (http("400 Bad Request", b"{}"), 11)])
def test_a_failover_that_loses_our_row_costs_no_other_host_its_call(hosts, outcomes, postgres, url, answer, code):
    """The other host's call has the number of ours since, and our answer comes late. Its key stays used."""

    def lose_then_answer(visit: Visit) -> None:
        visit.read()
        with postgres.connected(url.rpartition("/")[2]) as connection:
            connection.execute("DELETE FROM calls")
        assert other.run("dial", "+18145550101", "--once", "other")[0] == 0
        visit.send(answer)

    with FaultServer(lose_then_answer, lambda visit: (visit.read(), visit.send(PLACED))) as server:
        one, other = hosts(2, server.base_url)
        result = one.run("dial", "+18145550100", "--once", "one", "--json")
        known = outcomes()
        assert other.run("dial", "+18145550101", "--once", "other")[0] == 0
        assert len(server.posts) == 2
    assert (result[0], json.loads(result[1])["number"]) == (code, "+18145550100")
    assert "could not be recorded" in result[2]
    assert known == [("+18145550101", "placed")]


def test_a_host_that_dies_while_it_dials_leaves_unknown_to_the_one_that_waits(hosts, outcomes, let_leases_end):
    """The other host waits for as long as the lease lasts, and then does not dial."""
    arrived, answer = threading.Event(), threading.Event()

    def hold(visit: Visit) -> None:
        visit.read()
        arrived.set()
        answer.wait(60)

    with FaultServer(hold) as server:
        one, other = hosts(2, server.base_url)
        first = one.begin("dial", "+18145550100", "--once", "key")
        assert arrived.wait(60)
        second = other.begin("dial", "+18145550100", "--once", "key", "--json")
        assert "another process is placing the call" in second.stderr.readline()
        first.kill()
        first.communicate(timeout=60)
        assert second.poll() is None
        let_leases_end()
        out, _ = second.communicate(timeout=60)
        answer.set()
        assert (second.returncode, json.loads(out)["outcome"]) == (9, "unknown")
        assert len(server.posts) == 1
    assert outcomes() == [("+18145550100", "unknown")]


@pytest.mark.parametrize("another_dials", [True, False])
def test_a_process_that_stood_still_sends_nothing_for_a_call_that_was_given_up(
    hosts, outcomes, postgres, url, another_dials
):
    """It had reserved the call and was signing in when its machine was suspended, for longer than its lease."""
    frozen: list[subprocess.Popen[str]] = []

    def lease_has_ended() -> bool:
        with postgres.connected(url.rpartition("/")[2]) as connection:
            return connection.execute(f"SELECT 1 FROM leases WHERE ends_at > {NOW}").fetchone() is None

    def serve(visit: Visit) -> None:
        if b"/auth" in visit.read().head:
            frozen[0].send_signal(signal.SIGSTOP)
            while not lease_has_ended():
                time.sleep(0.02)
            if another_dials:
                assert other.run("dial", "+18145550100", "--once", "key", "--again")[0] == 0
            visit.send(http("200 OK", b'{"userName": "manager"}'))
            frozen[0].send_signal(signal.SIGCONT)
        else:
            visit.send(PLACED)

    with FaultServer(serve) as server:
        one, other = hosts(2, server.base_url)
        home = Path(one.environment["EVOCALL_HOME"])
        home.mkdir()
        (home / "config.toml").write_text('[profiles.default]\nsign_in = "cookies"\n', encoding="utf-8")
        one.program = ("-c", SHORT_LEASES)
        frozen.append(one.begin("dial", "+18145550100", "--once", "key", "--json"))
        out, err = frozen[0].communicate(timeout=60)
        calls = [post for post in server.posts if b"/outgoing" in post.head]
    assert (len(calls), "stood still" in err) == (1, True)
    code, document, known = frozen[0].returncode, json.loads(out), [outcome for _, outcome in outcomes()]
    if another_dials:
        assert (code, document["error"]["code"], known) == (8, "stood_still", ["not_placed", "placed"])
    else:
        assert (code, document["error"], known) == (0, None, ["placed"])


@pytest.mark.parametrize("command", [("dial", "+18145550100"), ("history",), ("doctor",)])
def test_without_the_database_nothing_is_dialled(hosts, sandbox, command):
    """Exit 10, the address in the message, and no request to the service."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    host.environment["EVOCALL_JOURNAL"] = f"postgresql://evocall@127.0.0.1:{free_port()}/journal"
    host.program = hurried(1.0)
    code, out, err = host.run(*command)
    assert (code, sandbox.dials()) == (10, [])
    assert host.environment["EVOCALL_JOURNAL"] in out + err
    assert "Traceback" not in err


def test_a_frozen_database_is_given_up(hosts, sandbox, postgres, url):
    """It accepts connections and answers nothing."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    assert host.run("history")[0] == 0
    postgres.freeze()
    try:
        code, _, err = host.run("dial", "+18145550100")
    finally:
        postgres.thaw()
    assert (code, sandbox.dials()) == (10, [])
    assert "timeout" in err


def test_every_command_works_on_the_common_journal(hosts, sandbox, url):
    """What one host has dialled, the other shows, settles, checks and deletes."""
    one, other = hosts(2, sandbox.base_url, sandbox.manager.password)
    assert one.run("dial", "+18145550100", "--once", "key", "--wait")[0] == 0
    [call] = json.loads(other.run("history", "--json")[1])
    assert (call["outcome"], call["number"]) == ("placed", "+18145550100")
    shown = json.loads(other.run("show", call["call"], "--json")[1])
    assert shown["session"]["id"] == call["session_id"]
    assert other.run("dial", "+18145550100", "--once", "key", "--dry-run", "--json")[0] == 0
    assert other.run("reconcile", "--json")[:2] == (0, "[]\n")
    assert f"{url} can be written" in other.run("doctor")[1]
    assert "0 calls deleted" in other.run("history", "purge", "--older-than", "1d")[2]
    assert len(sandbox.dials()) == 1


def test_a_call_that_one_host_lost_another_settles(hosts, sandbox, let_leases_end):
    """By asking the service, days later and from anywhere."""
    one, other = hosts(2, sandbox.base_url, sandbox.manager.password)
    assert one.run("dial", "+18145550162", "--timeout", "1", "--json")[0] in {0, 9}
    code, out, _ = other.run("reconcile", "--json")
    assert code == 0
    assert {call["outcome"] for call in json.loads(other.run("history", "--json")[1])} == {"placed"}
    assert all(call["outcome"] == "placed" for call in json.loads(out))


def test_a_password_in_the_environment_appears_nowhere(hosts, sandbox, url):
    """Containers get it as part of the URL."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    del host.environment["PGPASSWORD"]
    secret = postgresql.PASSWORD.replace(" ", "%20")
    host.environment["EVOCALL_JOURNAL"] = url.replace("evocall@", f"evocall:{secret}@")
    said = ""
    for command in (
        ("dial", "+18145550100", "--verbose"),
        ("profile", "show"),
        ("profile", "show", "--json"),
        ("doctor", "--verbose"),
        ("history", "--json"),
    ):
        code, out, err = host.run(*command)
        assert code == 0
        said += out + err
    host.environment["EVOCALL_JOURNAL"] = f"postgresql://evocall:{secret}@127.0.0.1:{free_port()}/journal"
    host.program = hurried(1.0)
    for command in (("dial", "+18145550100", "--verbose"), ("doctor", "--json"), ("history",)):
        code, out, err = host.run(*command)
        assert code == 10
        said += out + err
    assert "evocall@127.0.0.1" in said
    assert secret not in said
    assert postgresql.PASSWORD not in said


@pytest.mark.parametrize("way", ["pgpass", "service", "url"])
def test_the_password_comes_as_to_every_libpq_program(hosts, sandbox, postgres, url, tmp_path, way):
    """From ~/.pgpass, from a service file, or written into EVOCALL_JOURNAL."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    del host.environment["PGPASSWORD"]
    name = url.rpartition("/")[2]
    if way == "pgpass":
        (tmp_path / ".pgpass").write_text(f"127.0.0.1:*:{name}:evocall:{postgresql.PASSWORD}\n", encoding="utf-8")
        (tmp_path / ".pgpass").chmod(0o600)
        host.environment["HOME"] = str(tmp_path)
    elif way == "service":
        lines = ["[evocall]", "host=127.0.0.1", f"port={postgres.port}", f"dbname={name}", "user=evocall"]
        lines.append(f"password={postgresql.PASSWORD}")
        (tmp_path / "services").write_text("\n".join([*lines, ""]), encoding="utf-8")
        host.environment |= {
            "PGSERVICEFILE": str(tmp_path / "services"),
            "EVOCALL_JOURNAL": "postgresql:///?service=evocall",
        }
    else:
        secret = postgresql.PASSWORD.replace(" ", "%20")
        host.environment["EVOCALL_JOURNAL"] = url.replace("evocall@", f"evocall:{secret}@")
    assert host.run("dial", "+18145550100")[0] == 0
    with postgres.connected(name) as connection:
        assert connection.execute("SELECT COUNT(*) FROM calls").fetchone() == (1,)


@pytest.mark.parametrize(
    ("server", "authority", "code"),
    [("db.example.com", True, 0), ("db.example.com", False, 10), ("127.0.0.1", True, 10)],
)
def test_tls_is_as_libpq_does_it(hosts, sandbox, postgres, url, tmp_path, server, authority, code):
    """verify-full refuses a certificate of an unknown authority, and one for another name; nothing is dialled then."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    host.environment |= postgres.as_db_example_com()
    if not authority:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        host.environment["PGSSLROOTCERT"] = str(tmp_path / "other.pem")
    name = url.rpartition("/")[2]
    host.environment["EVOCALL_JOURNAL"] = f"postgresql://evocall@{server}/{name}?sslmode=verify-full"
    assert host.run("dial", "+18145550100")[0] == code
    assert len(sandbox.dials()) == (code == 0)


@pytest.fixture
def pgbouncer(postgres: postgresql.Server, missing, tmp_path_factory) -> Iterator[int]:
    """The port of a real PgBouncer in front of the database that lends a connection for one transaction only."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        missing("needs PgBouncer (Debian: apt install pgbouncer)")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="evocall-pgbouncer-") as directory:
        Path(directory).chmod(0o711)
        users = Path(directory) / "users.txt"
        users.write_text(f'"{postgresql.USER}" "{postgresql.PASSWORD}"\n', encoding="utf-8")
        settings = Path(directory) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {users}\n"
            "pool_mode = transaction\ndefault_pool_size = 2\n",
            encoding="utf-8",
        )
        with subprocess.Popen([program, "--quiet", settings], user=postgresql.unprivileged()) as process:
            while process.poll() is None and not _listens(port):
                time.sleep(0.01)
            yield port
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def test_behind_pgbouncer_one_key_is_one_call_too(hosts, sandbox, url, pgbouncer, tmp_path):
    """Transactions of one process may run over different connections to the database there."""
    pair = hosts(2, sandbox.base_url, sandbox.manager.password)
    for host in pair:
        host.environment["EVOCALL_JOURNAL"] = f"postgresql://evocall@127.0.0.1:{pgbouncer}/{url.rpartition('/')[2]}"
    crowd = [host.begin("dial", "+18145550100", "--once", "key", "--json") for host in pair for _ in range(6)]
    documents = [json.loads(process.communicate(timeout=120)[0]) for process in crowd]
    assert Counter(document["outcome"] for document in documents) == {"already_placed": 11, "placed": 1}
    assert len(sandbox.dials()) == 1
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(["number", *NUMBERS[:40], ""]), encoding="utf-8")
    arguments = ("batch", str(table), "--campaign", "spring", "--yes", "--pace", "40", "--quiet")
    running = [host.begin(*arguments) for host in pair]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in running] == [("", 0)] * 2
    assert Counter(asked_for(sandbox).values()) == {1: 41}


def test_behind_pgbouncer_a_schema_is_named_in_the_database(hosts, sandbox, postgres, url, pgbouncer):
    """It lets no options through; the hint says what works instead."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    name = url.rpartition("/")[2]
    through = f"postgresql://evocall@127.0.0.1:{pgbouncer}/{name}"
    host.environment["EVOCALL_JOURNAL"] = f"{through}?options=-csearch_path%3Devocall"
    code, _, err = host.run("dial", "+18145550100")
    assert (code, sandbox.dials()) == (10, [])
    [said] = re.findall(r"ALTER ROLE evocall SET search_path = evocall", err)
    with postgres.connected(name) as connection:
        connection.execute("CREATE SCHEMA evocall")
        connection.execute(said.replace("ROLE evocall", f"ROLE evocall IN DATABASE {name}"))
    host.environment["EVOCALL_JOURNAL"] = through
    assert host.run("dial", "+18145550100")[0] == 0
    with postgres.connected(name) as connection:
        assert connection.execute("SELECT COUNT(*) FROM evocall.calls").fetchone() == (1,)


def test_of_several_servers_the_one_that_can_be_written_to_is_taken(hosts, sandbox, postgres, url):
    """The first one is gone, as after a failover."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    servers = f"127.0.0.1:{free_port()},127.0.0.1:{postgres.port}"
    journal = f"postgresql://evocall@{servers}/{url.rpartition('/')[2]}?target_session_attrs=read-write"
    host.environment["EVOCALL_JOURNAL"] = journal
    assert host.run("dial", "+18145550100")[0] == 0
    with Journal(url) as one:
        assert [str(record.call.outcome) for record in one.history.calls()] == ["placed"]


def test_what_a_database_holds_or_says_is_data(hosts, sandbox, postgres, url):
    """Others may write to it, and no text of theirs commands a terminal."""
    [host] = hosts(1, sandbox.base_url, sandbox.manager.password)
    assert host.run("dial", "+18145550100")[0] == 0
    with postgres.connected(url.rpartition("/")[2]) as connection:
        connection.execute(
            "UPDATE calls SET number = E'\\x1b[31m[red]\\u202e', flow = E'\\x07', session_id = E'\\x1b]0;x'"
        )
        for command in (("history",), ("show", "0001"), ("history", "--json")):
            _, out, err = host.run(*command)
            assert not {"\x1b", "\x07", "\u202e"} & set(out + err), command
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE E'\\x1b[31m'; END $$;"
            "CREATE TRIGGER refused BEFORE INSERT ON calls FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    code, out, err = host.run("dial", "+18145550101")
    assert (code, "\x1b" in out + err, len(sandbox.dials())) == (10, False, 1)
