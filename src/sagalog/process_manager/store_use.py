"""Sharing one store among process managers of a process: the first opens it, and the last closes it."""

import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary

from sagalog import opening
from sagalog.engine.blocking import Blocking
from sagalog.store import Store


class _Use:
    """How many have one store open; the lock must be held to open or close it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0


_uses: WeakKeyDictionary[Store, _Use] = WeakKeyDictionary()
_finding = threading.Lock()


def _use_of(store: Store) -> _Use:
    with _finding:
        return _uses.setdefault(store, _Use())


class StoreUse:
    """One process manager's use of a store that others of this process may have open as well."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_open = False

    async def begin(self, blocking: Blocking) -> None:
        """Open the store; if the caller is cancelled, the thread that opens it gives up soon."""
        given_up = threading.Event()
        try:
            await blocking.write(self._open, given_up.is_set)
        finally:
            given_up.set()

    def _open(self, given_up: Callable[[], bool]) -> None:
        use = _use_of(self._store)
        with opening.unless(given_up):
            while not use.lock.acquire(timeout=opening.LOOK_AGAIN_SECONDS):
                opening.check_wanted()
            try:
                opening.check_wanted()
                self._store.open()
                use.number += 1
                self._is_open = True
            except BaseException:
                if not use.number:
                    self._store.close()
                raise
            finally:
                use.lock.release()

    def close(self) -> None:
        """Close the store, unless it was not opened here, or another user in this process still has it open."""
        if not self._is_open:
            return
        use = _use_of(self._store)
        with use.lock:
            self._is_open = False
            use.number -= 1
            if not use.number:
                self._store.close()
