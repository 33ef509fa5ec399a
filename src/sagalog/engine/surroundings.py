"""What every part of the engine works with."""

from msgspec import Struct

from sagalog.clock import Clock
from sagalog.engine.blocking import Blocking
from sagalog.engine.limits import Limits
from sagalog.store import Store


class Surroundings(Struct, frozen=True, eq=False):
    """The store, the runner of blocking calls, the clock, and the limits of the loops."""

    store: Store
    blocking: Blocking
    clock: Clock
    limits: Limits
