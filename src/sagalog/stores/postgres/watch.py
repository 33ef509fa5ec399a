"""Hints from PostgreSQL: a thread that listens and calls back. A hint may be lost; nothing may rest on one."""

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

# How often the thread looks by itself, whatever woke it, and how long it rests after a hint: many at once are one.
LOOK_SECONDS = 0.5
# How long a thread that was woken may take to end. It sends one last packet, which may find no room.
ENDING_SECONDS = 1.0
REST_SECONDS = 0.01
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Listener:
    """A thread that listens for news on a connection of its own, which is made again whenever it breaks."""

    def __init__(self, address: Address, hint: Callable[[], None], own: str) -> None:
        self._address = address
        self._hint = hint
        self._own = own
        self._stopped = threading.Event()
        # While it listens, only something to read wakes it, so to end it something is written here.
        self._listening = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="sagalog-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End at once; a connection that is being made is not waited for, its thread ends when that does."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            # Closed already, or so full that it has been told.
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
                    # Something may have happened while nobody listened.
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
                    # What has come is taken, and nothing is waited for.
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
