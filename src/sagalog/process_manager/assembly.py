"""The engine of one process manager: assembled from its arguments, then started and stopped part by part.

All parts of `sagalog.engine` are created here, and each is complete when it is created. Opening a process manager again
creates another engine.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from sagalog.clock import Clock
from sagalog.engine.blocking import Blocking
from sagalog.engine.bus.bus import Bus
from sagalog.engine.bus.choreography_routes import ChoreographyRoutes
from sagalog.engine.bus.handling import Handling
from sagalog.engine.bus.participant_routes import ParticipantRoutes
from sagalog.engine.bus.route_batch import Routes
from sagalog.engine.bus.saga_routes import SagaRoutes
from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.calls.failures import Failures
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.calls.turns import Turns
from sagalog.engine.following.follower import Follow, Follower
from sagalog.engine.following.followers import Followers
from sagalog.engine.hint import Hint
from sagalog.engine.jobs.runner import Jobs
from sagalog.engine.projections.inline import Inline
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.runner import Projections
from sagalog.engine.reentry import context_inside
from sagalog.engine.sagas.actions import Actions
from sagalog.engine.sagas.inbox import Inbox
from sagalog.engine.sagas.news import News
from sagalog.engine.sagas.outside_inputs import OutsideInputs
from sagalog.engine.sagas.waiters import Waiters
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transports.receiving import HandleMessage
from sagalog.engine.transports.transports import Transports
from sagalog.engine.writing.committer import Committer
from sagalog.process_manager.declared import Declared
from sagalog.process_manager.ends import Ends
from sagalog.process_manager.posting import park
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores.projected import within
from sagalog.transport import Transport


class Equipment(Struct, frozen=True, eq=False, kw_only=True):
    """The checked arguments of a process manager, from which each of its engines is assembled.

    `definitions` are by digest; `failures` and `own_tasks` are used when handlers are called.
    """

    settings: Settings
    store: Store
    clock: Clock
    is_worker: bool
    definitions: dict[str, Definition]
    declared: Declared
    services: dict[type, Any]
    transports: Sequence[Transport]
    failures: Failures
    own_tasks: OwnTasks
    follows: Iterable[Follow]
    projections: Sequence[Projecting]


class Engine(Struct, frozen=True, eq=False, kw_only=True):
    """The parts of an open process manager; `grace` is in seconds.

    Without `is_worker` all parts exist, but they only serve calls: nothing is claimed, routed, handled, followed, sent
    or received.
    """

    is_worker: bool
    grace: float
    store: Store
    clock: Clock
    blocking: Blocking
    turns: Turns
    committer: Committer
    waiters: Waiters
    worker: Worker
    bus: Bus
    transports: Transports
    outside_inputs: OutsideInputs
    actions: Actions
    jobs: Jobs
    followers: Followers
    projections: Projections
    inline: Inline

    def __repr__(self) -> str:
        return "<Engine>"

    async def begin(self, ends: Ends) -> None:
        """Start all parts but the transports, each after those it needs, and add to `ends` how each is stopped."""
        ends.add(self.turns.close)
        ends.add(self._stop_projections, ends)
        await self.projections.open()
        if self.is_worker:
            ends.add(self.worker.release)
        if self.inline:
            ends.add(self.store.accompany(self.inline))
        ends.add(self.committer.close)
        self.committer.start()
        if self.is_worker:
            ends.add(self._stop, ends)
            await self.worker.start()
            await self.bus.start()
            self.followers.start()
            self.projections.start()
            self.jobs.start()
            self.committer.recovery.add_taker(self.jobs.hint)
        ends.add(self.waiters.close)
        loop = asyncio.get_running_loop()

        def hint() -> None:
            loop.call_soon_threadsafe(self._hint)

        ends.add(self.store.watch(hint))

    async def begin_transports(self, ends: Ends) -> None:
        """Start to send and to receive; call it when all other parts can handle what comes in.

        Transports are stopped first, while what is being received can still be written.
        """
        if self.is_worker:
            ends.add(self.transports.stop)
            await self.transports.start()

    def follow(self, follow: Follow) -> None:
        """Start to follow one more application, if this is a worker."""
        if self.is_worker:
            self.followers.begin(follow)

    def _hint(self) -> None:
        """Let all parts look at the store now, because another process may have written to it."""
        self.waiters.hint()
        self.worker.hint()
        self.bus.hint()
        self.transports.hint()
        self.projections.hint()

    async def _stop_projections(self, ends: Ends) -> None:
        """Let projections read what the others have written before they ended."""
        await self.projections.stop(ends.left(self.grace))

    async def _stop(self, ends: Ends) -> None:
        """Stop the jobs, the followers, the bus and the worker, and wait for all of them even if one raises."""
        grace = ends.left(self.grace)
        await self.jobs.stop()
        ended = await asyncio.gather(
            self.followers.stop(grace), self.bus.stop(grace), self.worker.stop(grace), return_exceptions=True
        )
        for problem in ended:
            if problem is not None:
                raise problem


def assemble(given: Equipment, blocking: Blocking, handle: HandleMessage) -> Engine:
    """Create every part of an engine without starting it; `handle` takes in what a transport receives.

    Call it on the event loop on which the engine will run, after the store was opened.
    """
    surroundings = Surroundings(given.store, blocking, given.clock, given.settings.limits())

    def posted() -> None:
        bus.posted()
        transports.hint()

    # Given when one saga has sent another a note, because most often the worker of this process has to take it.
    due = Hint()
    # What handlers call is inside of this process manager.
    news = News(context_inside(blocking))
    committer = Committer(surroundings, given.settings.write_timeout, posted, due.give, news.tell, news.take)
    waiters = Waiters(surroundings)
    turns = Turns(blocking)
    resources = CallResources(given.services, turns, given.failures, given.own_tasks)
    inbox = Inbox(surroundings, due.give)
    worker = Worker(surroundings, given.definitions, committer, resources, news, waiters.finished, due, inbox)
    actions = Actions(surroundings, committer, given.definitions, due.give)
    handlings = [Handling(one, resources, given.clock) for one in given.declared.participants]
    routes = _routes(given.declared, surroundings)
    bus = Bus(surroundings, committer, worker, given.declared.vocabulary, routes, handlings)
    transports = Transports(given.transports, surroundings, committer, worker, handle, partial(park, committer))
    return Engine(
        is_worker=given.is_worker,
        grace=given.settings.grace,
        store=given.store,
        clock=given.clock,
        blocking=blocking,
        turns=turns,
        committer=committer,
        waiters=waiters,
        worker=worker,
        bus=bus,
        transports=transports,
        outside_inputs=OutsideInputs(surroundings, committer, worker),
        actions=actions,
        jobs=Jobs(surroundings, actions, lambda: worker.worker_id if worker.holds else None),
        followers=Followers(
            given.follows, lambda follow: Follower(follow, surroundings, worker, committer.recovery, posted)
        ),
        projections=Projections(surroundings, given.projections, given.is_worker),
        inline=_inline(given),
    )


def _inline(given: Equipment) -> Inline:
    projections = [one.projection for one in given.projections]
    return Inline(projections, given.store, partial(within, given.store), given.clock)


def _routes(declared: Declared, surroundings: Surroundings) -> list[Routes]:
    """Return the routing of each consumer."""
    return [
        *(_routes_of(versions, surroundings) for versions in declared.taking_messages()),
        *(ParticipantRoutes(participant, surroundings.clock) for participant in declared.participants),
    ]


def _routes_of(versions: Sequence[Definition], surroundings: Surroundings) -> SagaRoutes | ChoreographyRoutes:
    """Return the routing for all loaded versions of one saga or one choreography."""
    followed = [one for one in versions if isinstance(one, ChoreographyDefinition)]
    return ChoreographyRoutes(followed, surroundings) if followed else SagaRoutes(versions, surroundings)
