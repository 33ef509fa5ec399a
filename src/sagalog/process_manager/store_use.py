"""Shared use of a store by several process managers of one process: the first opens it, and the last closes it."""

import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary

from sagalog import opening
from sagalog.engine.blocking import Blocking
from sagalog.store import Store


class _Use:
    """The number of process managers that have one store open, and the lock to open or close it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0


_uses: WeakKeyDictionary[Store, _Use] = WeakKeyDictionary()
_finding = threading.Lock()


def _use_of(store: Store) -> _Use:
    with _finding:
        return _uses.setdefault(store, _Use())


class StoreUse:
    """One process manager's use of a store, which others in this process may also use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_open = False

    async def begin(self, blocking: Blocking) -> None:
        """Open the store; if the caller is cancelled, the thread that opens it soon gives up."""
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
        """Close the store if this was its last use in this process; has no effect unless it was opened here."""
        if not self._is_open:
            return
        use = _use_of(self._store)
        with use.lock:
            self._is_open = False
            use.number -= 1
            if not use.number:
                self._store.close()
