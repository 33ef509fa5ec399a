"""What every part of the engine works with."""

from msgspec import Struct

from sagalog.clock import Clock
from sagalog.engine.blocking import Blocking
from sagalog.engine.limits import Limits
from sagalog.store import Store


class Surroundings(Struct, frozen=True, eq=False):
    """The store, what keeps calls to it off the event loop, the clock, and the numbers that loops go by."""

    store: Store
    blocking: Blocking
    clock: Clock
    limits: Limits
