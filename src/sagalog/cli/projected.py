"""The projections that a command is about: those that the app declares, each with its database opened."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from sagalog.cli.address import SqlStore, store_of
from sagalog.cli.app import App, load_app
from sagalog.cli.failures import NotThere
from sagalog.cli.options import Invocation
from sagalog.clock import SystemClock
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.reading import time_of
from sagalog.projections.declare import OWN
from sagalog.saga.definition import Definition
from sagalog.settings import Settings
from sagalog.store.projections import ProjectionRow
from sagalog.stores.projected import database_for

# So many entries of the log are looked at for one whose time can be read.
SOME = 10


class Opened(NamedTuple):
    """The app, the store of the sagas, and what drives each of the app's projections."""

    app: App
    store: SqlStore
    projecting: Sequence[Projecting]

    @property
    def definitions(self) -> dict[str, Definition]:
        """Return the definitions of the app's sagas and choreographies, by digest."""
        return self.app.definitions

    def newest(self, name: str) -> Projecting:
        """Return what drives the newest version of a projection; raises `NotThere`."""
        found = [one for one in self.projecting if one.projection.name == name]
        if not found:
            known = ", ".join([*dict.fromkeys(one.projection.name for one in self.projecting), OWN])
            raise NotThere(f"no projection is called {name!r}; the app {self.app.name} has: {known}")
        return max(found, key=lambda one: one.projection.version)

    def live(self, name: str) -> Projecting:
        """Return what drives the version of a projection that readers see, or else the newest; raises `NotThere`."""
        newest = self.newest(name)
        with newest.database.reading() as transaction:
            seen = {one.version for one in transaction.generations(name) if one.status == "live"}
        found = [one for one in self.projecting if one.projection.name == name and one.projection.version in seen]
        return found[0] if found else newest


@contextmanager
def opened_projections(invocation: Invocation) -> Generator[Opened]:
    """Open the store and the database of each projection, and close them after."""
    app = load_app(invocation)
    options = Settings.from_environment().store_options()
    with store_of(invocation) as store, ExitStack() as databases:
        projecting: list[Projecting] = []
        for one in app.projections:
            one.check()
            database = database_for(store if one.database is None else one.database, options)
            database.open()
            databases.callback(database.close)
            projecting.append(Projecting(one, database, store, SystemClock()))
        yield Opened(app, store, projecting)


def seconds_behind(store: SqlStore, row: ProjectionRow, now: int) -> float:
    """Return how old the first event is that a generation has not read; 0 if it has read all."""
    times = (time_of(one) for one in store.read_log(row.position, SOME))
    recorded = next((one for one in times if one is not None), now)
    return max(0.0, (now - recorded) / 1e6)
