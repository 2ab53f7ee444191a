"""A real PostgreSQL server for tests: on a free port, in a temporary directory, as a user without rights."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import trustme

from tests.faultserver import free_port

DEBIAN = Path("/usr/lib/postgresql")
USER = "evocall"
PASSWORD = "correct horse"
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 16MB
fsync = off
ssl = on
"""


def programs() -> Path | None:
    """Where Debian keeps the server's programs, the newest version; None when there is no server."""
    found = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """One server; `stop` and `start` keep its data and its port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._databases = 0
        directory.chmod(0o711)
        secret = directory / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        data = directory / "data"
        data.mkdir(mode=0o700)
        if unprivileged() is not None:
            shutil.chown(data, unprivileged())
        self.authority = directory / "ca.pem"
        self._run("initdb", "-U", USER, "-E", "UTF8", "--locale=C", "-A", "scram-sha-256", "--pwfile", secret, data)
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"{SETTINGS}port = {self.port}\n")
        self._certify(data)

    def _certify(self, data: Path) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        certificate = authority.issue_cert("db.example.com")
        for name, part in (("key", certificate.private_key_pem), ("crt", certificate.cert_chain_pems[0])):
            file = data / f"server.{name}"
            part.write_to_path(str(file))
            file.chmod(0o600)
            if unprivileged() is not None:
                shutil.chown(file, unprivileged())

    def start(self) -> None:
        """Come back when it answers."""
        self._run("pg_ctl", "start", "-w", "-s", "-D", self.directory / "data", "-l", self.directory / "data" / "log")

    def stop(self, how: str = "fast") -> None:
        """End it: `fast` cuts all connections, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", how, "-D", self.directory / "data")

    def freeze(self) -> None:
        """Let nothing answer any more, though connections stay."""
        main = self._main()
        os.kill(main, signal.SIGSTOP)
        while not re.search(r"^State:\s+T", Path(f"/proc/{main}/status").read_text(encoding="utf-8"), re.MULTILINE):
            os.sched_yield()
        for child in children(main):
            os.kill(child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on; the main process last, since until then even a child that has ended keeps its number."""
        main = self._main()
        for process in (*children(main), main):
            os.kill(process, signal.SIGCONT)

    def database(self, name: str | None = None) -> str:
        """The URL of a new, empty database, without the password; one of that name is emptied."""
        self._databases += 1
        name = name or f"journal_{self._databases}"
        with self.connected("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self.url(name)

    def url(self, database: str) -> str:
        """Of a database here."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def as_db_example_com(self) -> dict[str, str]:
        """What lets a program take this server for db.example.com, and its authority for one that it knows."""
        return {
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGPASSWORD": PASSWORD,
            "PGSSLROOTCERT": str(self.authority),
        }

    @contextmanager
    def connected(self, database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """A connection besides those of evocall."""
        with psycopg.connect(self.url(database), password=PASSWORD, autocommit=True) as connection:
            yield connection

    def cut(self, url: str) -> int:
        """End all connections to a database; how many there were."""
        with self.connected("postgres") as connection:
            cut = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url.rpartition("/")[2],)
            )
            return cut.rowcount

    def _main(self) -> int:
        return int((self.directory / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def _run(self, program: str, *arguments: str | Path) -> None:
        where = programs()
        assert where is not None
        subprocess.run(
            [str(where / program), *map(str, arguments)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            user=unprivileged(),
        )


def children(process: int) -> list[int]:
    """The processes that a process has begun and not yet asked for the end of."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="evocall-postgres-") as directory:
        server = Server(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody").pw_name if os.getuid() == 0 else None
