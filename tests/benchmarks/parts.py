"""The parts of the benchmark: what each is called, how many databases it takes, and what measures it.

The modules that measure are imported only when they are asked for: an earlier version of the library, which is measured
by the same code, may lack what one of them needs.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from msgspec import Struct


class Way(Struct, frozen=True):
    """A function of one of our modules, which takes these arguments, databases, and the sizes."""

    module: str
    function: str
    arguments: tuple[str, ...] = ()

    def found(self) -> Callable[..., Any]:
        """Return what measures, and import its module."""
        return partial(getattr(import_module(f"tests.benchmarks.{self.module}"), self.function), *self.arguments)


class Part(Struct, frozen=True):
    """One part: `field` is where the report keeps what it finds; a list of all if it is one of many or has many ways.

    `loop` names the kind of event loop that it needs.
    """

    name: str
    field: str
    databases: int
    ways: tuple[Way, ...]
    is_one_of_many: bool = False
    stores: tuple[str, ...] = ("sqlite", "postgres")
    loop: Way | None = None


KINDS = ("three-steps", "compensating", "requests", "participants", "choreographies", "children", "for-each")
WAITS = ("for an event", "for a time", "for its handler")
WRITTEN = ("three-steps", "compensating")

BY_DEFAULT = (
    # First, because a new process counts the memory of the one that made it.
    Part("memory", "memory", 1, (Way("measure", "memory"),)),
    Part("work", "work", 2, (Way("measure", "design_work"),)),
    Part("shapes", "shapes", 1, (Way("measure", "shapes"),)),
    Part("finished", "filled", 2, (Way("measure", "filled"),)),
    Part("troubled", "troubled", 2, (Way("troubled", "troubled"),)),
    Part("followed", "followed", 2, (Way("followed", "followed"),)),
    Part("search", "search", 1, (Way("search", "search"),)),
    Part("commands", "commands", 2, (Way("crowded", "crowded"),)),
    Part("polled", "polled", 2, (Way("polled", "polled"),)),
    Part("replayed", "replayed", 1, (Way("replayed", "replayed"),)),
    Part("projected", "projected", 2, (Way("projected", "projected"),)),
    Part("inline", "inline", 2, (Way("inline", "inline"),)),
    Part("reacted", "reacted", 3, (Way("reacted", "reacted"),)),
    *(Part(kind, "kinds", 3, (Way("each_kind", "each_kind", (kind,)),), is_one_of_many=True) for kind in KINDS),
)

# Each asks about one thing, or takes its time.
ON_REQUEST = (
    Part("passes", "passes", 1, (Way("passes", "passes"),), loop=Way("passes", "WatchedLoop")),
    Part("paced", "paced", 2, (Way("paced", "paced"),)),
    Part("threads", "threads", 1, (Way("threads", "threads"),)),
    Part("written", "written", 3, tuple(Way("written", "written", (one,)) for one in WRITTEN), is_one_of_many=True),
    Part("waiting", "waiting", 2, tuple(Way("waiting", "waiting", (one,)) for one in WAITS), is_one_of_many=True),
    Part("scale", "scale", 1, (Way("scale", "scale"),), stores=("postgres",)),
)

PARTS = {part.name: part for part in (*BY_DEFAULT, *ON_REQUEST)}
