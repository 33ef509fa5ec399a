"""Hints from PostgreSQL: a thread that listens and calls back. A hint may be lost, so nothing may depend on one."""

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable

import psycopg

from sagalog.stores.postgres.connection import SQL, Address, BoundedConnection
from sagalog.stores.postgres.errors import translated

logger = logging.getLogger("sagalog.stores")

# How often the thread checks without a hint, and how long it pauses after one, so that many at once count as one.
LOOK_SECONDS = 0.5
# How long stopping the thread may take; it sends one last packet, which may have to wait for space.
ENDING_SECONDS = 1.0
REST_SECONDS = 0.01
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Listener:
    """A thread that listens on a connection of its own, which is replaced whenever it breaks."""

    def __init__(self, address: Address, hint: Callable[[], None], own: str) -> None:
        self._address = address
        self._hint = hint
        self._own = own
        self._stopped = threading.Event()
        # While the thread listens, only readable data wakes it; writing to this socket ends it.
        self._listening = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="sagalog-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread at once; if it is connecting, it ends by itself after that, and is not waited for."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            # The socket is closed already, or is full, so that the thread has been woken.
            self._waker.send(b"x")
        if threading.current_thread() is not self._thread and self._listening.is_set():
            self._thread.join(ENDING_SECONDS)

    def _run(self) -> None:
        with self._woken, self._waker:
            self._listen_again_and_again()

    def _listen_again_and_again(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                with self._address.connect() as connection:
                    connection.execute(SQL["listen"])
                    pause = FIRST_PAUSE
                    # Something may have happened while nothing listened.
                    self._call()
                    self._listen(connection)
            except psycopg.Error as problem:
                error = translated(problem, self._address.where, self._address.secrets)
                logger.info("no hints for now, only the poll finds what is due: %s", error)
                self._stopped.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                logger.exception("a hint could not be passed on")
                self._stopped.wait(pause)

    def _listen(self, connection: BoundedConnection) -> None:
        with selectors.DefaultSelector() as either:
            either.register(connection.fileno(), selectors.EVENT_READ)
            either.register(self._woken, selectors.EVENT_READ)
            self._listening.set()
            try:
                while not self._stopped.is_set():
                    # Only notifications that have arrived are taken; there is no further wait.
                    heard = [note.payload for note in connection.notifies(timeout=0)]
                    if any(sender != self._own for sender in heard):
                        self._call()
                        self._stopped.wait(REST_SECONDS)
                    else:
                        either.select(LOOK_SECONDS)
            finally:
                self._listening.clear()

    def _call(self) -> None:
        if not self._stopped.is_set():
            self._hint()
