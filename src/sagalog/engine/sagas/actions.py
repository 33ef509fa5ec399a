"""What people do to sagas: decided and written here if nobody owns the saga, and by its worker otherwise.

A saga that a worker owns is changed by that worker alone. So the action is put into the saga's inbox, and the worker
decides on it like on any message, between two attempts. It is done once, however often it is asked for: it has an id,
which the saga remembers. One that no worker takes in time is taken back, so that it does not come as a surprise later.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Struct

from sagalog.codec import CODEC
from sagalog.engine.asking import as_asked, asked
from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.cycle import Decided, Decision, append_of, decision_of, state_of, unloaded_append
from sagalog.engine.sagas.beginnings import log_written
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transition_log import log_transitions
from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.one_at_a_time import OneAtATime
from sagalog.errors import InvalidAction, SagaBusy, StoreUnavailable, UnknownSaga
from sagalog.messages import Envelope
from sagalog.saga.actions.asking import Completed
from sagalog.saga.actions.fork import start_of
from sagalog.saga.actions.notes import ACT, note_of
from sagalog.saga.actions.rules import UNLOADED, WITHOUT_VALUES
from sagalog.saga.decide import advance_unloaded
from sagalog.saga.definition import Definition
from sagalog.saga.events import Action, ActionTaken, SagaEvent, SagaResumed
from sagalog.saga.inputs import Act
from sagalog.saga.react import Effect, react
from sagalog.saga.state import SagaState
from sagalog.store import InboxRow, Posting, Route, StatusRow

TRIES = 20
# Pauses between two looks for an action that the saga's worker is to take, in seconds.
PAUSES = Pauses(0.02, 0.25)
# Seconds within which an action that was taken must be recorded: what takes it records it in the same transaction.
LONGEST_DOUBT = 10.0


class Preview(Struct, frozen=True):
    """What an action would do: the events that would be appended, and the state before and after them.

    `effects` are what would be going on then. A refused action has one event, the refusal. `started` are the events of
    the saga that a fork starts.
    """

    saga_id: str
    events: list[SagaEvent]
    before: SagaState
    after: SagaState
    effects: list[Effect]
    started: list[SagaEvent] = []


class Actions:
    """Acts on sagas; `definitions` are by digest. `hint` tells the worker of this process that a saga may be due."""

    def __init__(
        self,
        surroundings: Surroundings,
        committer: Committer,
        definitions: Mapping[str, Definition],
        hint: Callable[[], None],
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._definitions = definitions
        self._hint = hint
        # By saga id.
        self._appends = OneAtATime(committer)

    async def act(
        self, saga_id: str, complete: Completed, patience: float | None, anywhere: bool = False
    ) -> tuple[Act, list[SagaEvent]]:
        """Do an action once and return it with the events that record it, the first of which may be a refusal.

        `patience` is in seconds: for how long a worker that owns the saga has to take the action. With None it is left
        to the worker, and no events are returned. With `anywhere`, a saga whose definition is not loaded here is left
        to a worker that has it, if the action needs no value, whose type nobody here could check.
        """
        for _ in range(TRIES):
            row, state = await self._look(saga_id)
            act = self._completed(state, complete, anywhere)
            if act.action_id in state.acts:
                return act, await self._recorded(saga_id, act, 0)
            is_left = state.digest not in self._definitions and act.verb not in UNLOADED
            if row.owner is not None or is_left:
                return act, await self._left_to_owner(row, act, patience)
            events = await self._decide(row, state, act)
            if events:
                return act, events
        raise StoreUnavailable(f"saga {saga_id} is changed by others all the time; ask again later")

    async def preview(self, saga_id: str, complete: Completed) -> Preview:
        """Return what an action would do, decided as it is when it is done; nothing is written."""
        _, state = await self._look(saga_id)
        act, now = self._completed(state, complete), self._clock.now()
        definition = self._definitions.get(state.digest)
        if definition is None:
            events, after = advance_unloaded(state, act, now)
            return Preview(saga_id, events, state, after, [])
        decision = decision_of(definition, saga_id, state, (act,), now)
        if decision is None:
            return Preview(saga_id, [], state, state, react(definition, state))
        fork = _fork_of(decision, now)
        started = [] if fork is None else fork.events
        return Preview(saga_id, decision.events, state, decision.after, decision.effects, started)

    def _completed(self, state: SagaState, complete: Completed, anywhere: bool = False) -> Act:
        definition = self._definitions.get(state.digest)
        act = complete(definition, state)
        if definition is None and act.verb not in (UNLOADED | WITHOUT_VALUES if anywhere else UNLOADED):
            raise UnknownSaga(
                f"{act.verb}: saga {state.saga} version {state.definition_version} is not loaded in this process; "
                f"without it, only {', '.join(sorted(UNLOADED))} can be decided"
            )
        return act

    async def _look(self, saga_id: str) -> tuple[StatusRow, SagaState]:
        """Return a saga's row and its state, of the same moment."""
        for _ in range(TRIES):
            row = await asked(self._blocking, self._store.status, saga_id)
            state = state_of(await asked(self._blocking, self._store.read, saga_id))
            if row is not None and row.version == state.version:
                return row, state
        raise StoreUnavailable(f"saga {saga_id} is changed by others all the time; ask again later")

    async def _decide(self, row: StatusRow, state: SagaState, act: Act) -> list[SagaEvent]:
        """Decide on an action for a saga that nobody owns; return no events if it was changed or taken meanwhile."""
        saga_id, now = row.saga_id, self._clock.now()
        if (other := self._appends.other(saga_id)) is not None:
            await other
            return []
        definition = self._definitions.get(state.digest)
        if definition is None:
            events, after = advance_unloaded(state, act, now)
            decision = Decided(saga_id, state, after, events)
            append = unloaded_append(row, decision)
        else:
            found = decision_of(definition, saga_id, state, (act,), now)
            assert found is not None
            fork = _fork_of(found, now)
            if fork is not None:
                return await self._forked(found, fork)
            decision, append = found, append_of(found, None, None)
        written = await self._appends.submit(saga_id, append, partial(log_written, decision))
        self._hint()
        return decision.events if written == "written" else []

    async def _forked(self, decision: Decision, fork: Decision) -> list[SagaEvent]:
        """Write a fork: the new saga, and its record in the old one, together or not at all."""
        name, key = fork.after.saga, fork.after.key
        newest = await asked(self._blocking, self._store.latest_run, name, key)
        if newest is not None and newest.saga_id != decision.saga_id:
            row = await asked(self._blocking, self._store.status, decision.saga_id)
            if row is None or decision.before is None or row.version != decision.before.version:
                # Somebody else has just forked it, which it knows: so it refuses this fork itself.
                return []
            raise InvalidAction(
                f"fork: expected the newest run of saga {name} {key}, which is {newest.saga_id} (run {newest.run}), "
                f"found run {decision.after.run}; fork that one"
            )
        starts = (append_of(decision, None, None), append_of(fork, None, None))
        with as_asked():
            if await self._blocking.write(self._store.route, Route((), starts=starts)) != "written":
                return []
        log_transitions(decision)
        log_transitions(fork)
        self._hint()
        return decision.events

    async def _recorded(self, saga_id: str, act: Act, after: int) -> list[SagaEvent]:
        """Return the events with which a saga recorded an action, or none; those of one decision have one time."""
        stored = await asked(self._blocking, self._store.read, saga_id, after)
        events: list[SagaEvent] = CODEC.decode_all((event.topic, event.state) for event in stored)
        for number, event in enumerate(events):
            if isinstance(event, Action | SagaResumed) and event.action_id == act.action_id:
                _check_same(event, act)
                return [one for one in events[number:] if one.time == event.time]
        return []

    async def _left_to_owner(self, row: StatusRow, act: Act, patience: float | None) -> list[SagaEvent]:
        """Put an action into the inbox of a saga, and wait until its worker has decided on it."""
        saga_id = row.saga_id
        await self._put(row, act)
        if patience is None:
            return []
        loop = asyncio.get_running_loop()
        ends, backoff = loop.time() + patience, Backoff(PAUSES)
        while loop.time() < ends or not await self._taken_back(saga_id, act):
            events = await self._recorded(saga_id, act, row.version)
            if events:
                return events
            if loop.time() > ends + LONGEST_DOUBT:
                raise StoreUnavailable(
                    f"{act.verb}: saga {saga_id} has taken the action and not recorded it; look at it"
                )
            await asyncio.sleep(backoff.pause())
        attempt = f", attempt {row.attempt}" if row.attempt else ""
        why = "no worker that has its definition took it"
        if row.owner is not None:
            why = f"it is owned by worker {row.owner} ({row.waiting_for or 'busy'}{attempt}), which did not take it"
        raise SagaBusy(
            f"{act.verb}: saga {row.saga_name} {row.saga_key}: {why} within {patience:g} s; the action was taken back, "
            "and nothing is changed. Ask again later, or queue it, so that a worker takes it when it can"
        )

    async def _put(self, row: StatusRow, act: Act) -> None:
        now = self._clock.now()
        envelope = Envelope(
            id=act.action_id,
            kind="note",
            name=ACT,
            source="sagalog",
            correlation_id=row.correlation_id,
            causation_id=row.saga_id,
            time=now,
            data=note_of(act),
            saga_id=row.saga_id,
            step=act.step,
        )
        with as_asked():
            position = await self._blocking.read(self._store.head)
            inbox = InboxRow(row.saga_id, act.action_id, row.saga_id, ACT, now, now, position=position)
            await self._blocking.write(self._store.route, Route((), inbox=(inbox,), notes={act.action_id: envelope}))
        self._hint()

    async def _taken_back(self, saga_id: str, act: Act) -> bool:
        """Take an action out of the inbox; return False if the saga has taken it."""
        with as_asked():
            posting = Posting(taken=(saga_id, act.action_id))
            return await self._blocking.write(self._store.post, [posting]) == ["written"]


def _check_same(event: Action | SagaResumed, act: Act) -> None:
    """Raise `InvalidAction` if an id that is asked with stands for another action: that one would be taken for it."""
    verb, step = ("resume", None) if isinstance(event, SagaResumed) else (event.verb, event.step)
    if verb != act.verb or act.step not in (None, step):
        raise InvalidAction(
            f"{act.verb}: the action id {act.action_id} was used before, to {' '.join(filter(None, (verb, step)))}; "
            "each action has an id of its own"
        )


def _fork_of(decision: Decision, now: int) -> Decision | None:
    """Return the start of the saga that a fork leads to; None for any other decision, and for a refused one."""
    taken, before = decision.events[0], decision.before
    if not isinstance(taken, ActionTaken) or taken.fork is None or taken.step is None or before is None:
        return None
    start = start_of(decision.definition, decision.saga_id, before, taken.step)
    return decision_of(decision.definition, taken.fork, None, (start,), now)
