"""Hints from PostgreSQL: a thread that listens and calls back. A hint may be lost; nothing may rest on one."""

import logging
import threading
from collections.abc import Callable

import psycopg

from sagalog.stores.postgres_connection import SQL, Address, BoundedConnection
from sagalog.stores.postgres_errors import translated

logger = logging.getLogger("sagalog.stores")

# How often the thread looks whether it is to end, and how long it rests after a hint: many hints at once are one.
LOOK_SECONDS = 0.5
REST_SECONDS = 0.01
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Listener:
    """Listen on a connection of its own, which is made again whenever it breaks."""

    def __init__(self, address: Address, hint: Callable[[], None], own: str) -> None:
        self._address = address
        self._hint = hint
        self._own = own
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sagalog-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; a connection that is being made or that hangs is not waited for."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(2 * LOOK_SECONDS)

    def _run(self) -> None:
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
        while not self._stopped.is_set():
            heard = [note.payload for note in connection.notifies(timeout=LOOK_SECONDS, stop_after=1)]
            if any(sender != self._own for sender in heard):
                self._call()
                self._stopped.wait(REST_SECONDS)

    def _call(self) -> None:
        if not self._stopped.is_set():
            self._hint()
