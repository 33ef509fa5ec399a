"""A TCP proxy that does to a connection what networks do: cut, swallow, delay, lose an acknowledgement."""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

# How PostgreSQL says that a COMMIT is durable: a CommandComplete message.
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"


class ChaosProxy:
    """A proxy to the server of `address`, until told otherwise; each switch holds for old and new connections."""

    def __init__(self, address: str) -> None:
        self._parts = urlsplit(address)
        self._target = (self._parts.hostname or "localhost", self._parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self.swallow = False
        self.delay_seconds = 0.0
        self.lose_acknowledgements = 0
        self.lost = 0
        # How many bytes still go to the server before everything is swallowed; None: no limit. The server is then not
        # told either when the client goes away, as when the machine of the client has lost its power.
        self.pass_up: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's address, through the proxy."""
        user = self._parts.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(self._parts._replace(netloc=netloc))

    def cut(self) -> None:
        """Close every connection at once."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Pass everything again; connections whose bytes were swallowed are cut, as they could never go on."""
        self.swallow = False
        self.pass_up = None
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, upwards: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                if upwards and self.pass_up is not None:
                    data, self.pass_up = data[: self.pass_up], max(0, self.pass_up - len(data))
                if not upwards and self.lose_acknowledgements and COMMITTED in data:
                    self.lose_acknowledgements -= 1
                    self.lost += 1
                    break
                if not self.swallow:
                    sink.sendall(data)
        while upwards and self.pass_up is not None:
            time.sleep(0.01)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Cut everything and take no more connections."""
        self._listener.close()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
