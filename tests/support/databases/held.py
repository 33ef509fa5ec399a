"""A store that does what a test says right before and right after it writes, and leaves the writing to a real one."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from sagalog.store import Route, Store

# What is written, and whether it has been.
Hook = Callable[[str, Sequence[Any], bool], None]
WRITES = ("append", "post", "route", "claim_one")
LONGEST_HOLD = 20.0


def pass_by(kind: str, writes: Sequence[Any], written: bool) -> None:
    """Let it be written."""


def never(_: Callable[[], None]) -> Callable[[], None]:
    """Hint nobody, and end nothing then."""
    return lambda: None


class Held:
    """The store that is given, but for its writes: `hook` is called with each, in the thread that writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hook: Hook = pass_by

    def without_hints(self) -> None:
        """Tell nobody that something was written: a hint may be lost."""
        self.watch = never

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in WRITES:
            return found

        def write(what: Route | Sequence[Any], *more: Any) -> Any:
            whole = [what] if isinstance(what, Route) else what
            self.hook(name, whole, False)
            outcome = found(what, *more)
            self.hook(name, whole, True)
            return outcome

        write.__name__ = name
        return write


def held(store: Store) -> tuple[Store, Held]:
    """Return a held store twice: as the port that it is, and as what a test tells what to do."""
    one = Held(store)
    return cast("Store", one), one


class Hold:
    """A hook that stops the first write of a kind where a test says, until it is let go."""

    def __init__(self, one: Held, kind: str, after: bool) -> None:
        self._kind = kind
        self._after = after
        self._go = threading.Event()
        self._reached = threading.Event()
        one.hook = self._stop

    def _stop(self, kind: str, _: Sequence[Any], written: bool) -> None:
        if kind == self._kind and written == self._after and not self._reached.is_set():
            self._reached.set()
            assert self._go.wait(LONGEST_HOLD)

    def is_reached(self) -> bool:
        """Tell whether the write stands there."""
        return self._reached.is_set()

    def let_go(self) -> None:
        """Let the write go on."""
        self._go.set()
