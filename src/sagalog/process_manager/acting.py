"""What a process manager lets people do to a saga: cancel it, let it go on, settle a step, end it. It decides nothing.

Each method is one verb of the kernel, and `preview` decides on any of them without writing it. The rules are told at
the head of `saga/actions/decide`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Required, TypedDict, Unpack

from msgspec import Struct

from sagalog.clock import Clock, new_id
from sagalog.engine.sagas.actions import Preview
from sagalog.errors import InvalidAction, InvalidQuery
from sagalog.harmless import harmless
from sagalog.process_manager.arguments import SagaNamed, check_flag, check_step, patience
from sagalog.process_manager.inspection import Inspection
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.saga.actions.asking import Completed, completed
from sagalog.saga.actions.rules import VERBS
from sagalog.saga.actions.steps import DIRECTIONS
from sagalog.saga.durations import LONGEST, Duration, seconds_of
from sagalog.saga.events import ActionRefused, Direction, SagaEvent, Verb
from sagalog.saga.identifiers import check_identifier, check_reason
from sagalog.saga.inputs import Act
from sagalog.saga.options import shown
from sagalog.store import StatusRow, Store

__all__ = ["Acted", "Acting", "Preview"]

# How long the worker that owns a saga has to take an action, in seconds.
PATIENCE = 10.0
# So many sagas with one key are looked at to find out whether they are of several names.
SOME = 100


class Unset(Struct, frozen=True):
    """The value of an argument that is not given, where None is a value."""


UNSET: Final = Unset()


class Acted(Struct, frozen=True):
    """An action that was taken: the events it led to; none, if it is queued for the worker that owns the saga."""

    saga_id: str
    action_id: str
    events: list[SagaEvent]


class How(TypedDict, total=False):
    """Who acts and why, which is recorded, and how.

    With an `action_id`, asking again after a lost answer is safe: what was done with it is not done twice. If a worker
    owns the saga, it has `timeout` (seconds or a timedelta, 10 s if not given) to take the action; with `queue` it
    takes it whenever it can, and the method returns at once.
    """

    actor: Required[str]
    reason: Required[str]
    action_id: str
    queue: bool
    timeout: Duration


class What(TypedDict, total=False):
    """What an action is about; which of them it needs depends on the verb."""

    step: str
    result: Any
    input: Any
    waive: bool
    happened: bool
    direction: Direction
    at: datetime | Duration
    deadline: bool


class Acting(Inspection):
    """The part of `ProcessManager` with which people act on sagas.

    Every method takes the id or key of a saga; if several sagas use the key, `saga` (a name or the saga itself) says
    which, and `InvalidQuery` is raised without it. All raise `InvalidAction` if the saga's state does not allow the
    action, which is recorded, or if what is asked makes no sense, which is not; `SagaBusy` if the worker that owns the
    saga did not take it in time; `InvalidIdentifier` for an invalid actor, reason or action id; `InvalidInput` for a
    result or input that does not fit its type; `SagaNotFound`; and `UnknownSaga` if this process does not have the
    saga's definition (`pause`, `reschedule` and `abandon` need none).
    """

    def __init__(self, lifecycle: Lifecycle, store: Store, clock: Clock) -> None:
        Inspection.__init__(self, lifecycle, store)
        self._clock = clock

    async def cancel(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Roll a saga back: no step is begun any more, attempts under way end, and all that was done is undone.

        Refused once the saga's pivot is reached, and while it goes back already.
        """
        return await self._act("cancel", id_or_key, saga, {}, how)

    async def retry(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Try now what waits for its next attempt; what has failed for good gets a fresh retry budget."""
        return await self._act("retry", id_or_key, saga, {}, how)

    async def resume(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Resume a stuck saga where it stopped; steps that were done or undone are not repeated."""
        return await self._act("resume", id_or_key, saga, {}, how)

    async def skip(
        self,
        id_or_key: str,
        step: str,
        *,
        result: Any = UNSET,
        waive: bool = False,
        saga: SagaNamed | None = None,
        **how: Unpack[How],
    ) -> Acted:
        """Go on as if a step had succeeded with this result, which must fit the step's type.

        Its compensation undoes it later, as if it had been done; with `waive` it is never undone. Refused while an
        attempt of the step may be under way.
        """
        what: What = {"step": step, "result": result, "waive": waive}
        return await self._act("skip", id_or_key, saga, what, how)

    async def resolve(
        self,
        id_or_key: str,
        step: str,
        *,
        happened: bool,
        result: Any = UNSET,
        direction: Direction | None = None,
        saga: SagaNamed | None = None,
        **how: Unpack[How],
    ) -> Acted:
        """Settle an outcome that nobody knows: the step's action, or its compensation, did or did not happen.

        An action that happened needs its `result`. `direction` ("action" or "compensation") says which outcome is
        meant; without it, it is the compensation's once that was tried.
        """
        what: What = {"step": step, "happened": happened, "result": result}
        if direction is not None:
            what["direction"] = direction
        return await self._act("resolve", id_or_key, saga, what, how)

    async def amend(
        self,
        id_or_key: str,
        step: str | None = None,
        *,
        result: Any = UNSET,
        input: Any = UNSET,
        saga: SagaNamed | None = None,
        **how: Unpack[How],
    ) -> Acted:
        """Replace the result of a step, or the saga's input, for all that reads it from now on."""
        what: What = {"result": result, "input": input}
        if step is not None:
            what["step"] = step
        return await self._act("amend", id_or_key, saga, what, how)

    async def reschedule(
        self,
        id_or_key: str,
        at: datetime | Duration,
        *,
        step: str | None = None,
        deadline: bool = False,
        saga: SagaNamed | None = None,
        **how: Unpack[How],
    ) -> Acted:
        """Move the time that a saga waits for, to a time or to a duration from now: of a retry, a timer, the deadline.

        If it waits for several, `step` or `deadline` says which one.
        """
        what: What = {"at": at, "deadline": deadline}
        if step is not None:
            what["step"] = step
        return await self._act("reschedule", id_or_key, saga, what, how)

    async def pause(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Begin nothing new, forwards or backwards, until `unpause`; attempts under way end, and time passes."""
        return await self._act("pause", id_or_key, saga, {}, how)

    async def unpause(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Let a paused saga go on."""
        return await self._act("unpause", id_or_key, saga, {}, how)

    async def undo(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Roll back a saga that has completed; refused for one that has a pivot, or is a step of another saga."""
        return await self._act("undo", id_or_key, saga, {}, how)

    async def abandon(self, id_or_key: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """End an open saga as it is, and the sagas that are its steps; effects are left, and each is named.

        It is the only end that leaves effects: look at the `preview` first.
        """
        return await self._act("abandon", id_or_key, saga, {}, how)

    async def fork(self, id_or_key: str, step: str, saga: SagaNamed | None = None, **how: Unpack[How]) -> Acted:
        """Start a new saga that goes on from one that has ended, as if the steps before `step` had just succeeded.

        It has the same key, as its next run; its id is `fork` of the returned event. What it takes over must stand: no
        step before may have been undone.
        """
        return await self._act("fork", id_or_key, saga, {"step": step}, how)

    async def preview(
        self,
        verb: Verb,
        id_or_key: str,
        *,
        actor: str,
        reason: str,
        saga: SagaNamed | None = None,
        action_id: str | None = None,
        **what: Unpack[What],
    ) -> Preview:
        """Return what an action would do now, decided as when it is done; nothing is written.

        `what` are the arguments of the method of that verb.
        """
        check_words("preview", what, What.__annotations__)
        complete = self._completed(verb, what, actor, reason, action_id)
        row = await self._meant(id_or_key, saga)
        return await self._lifecycle.engine().actions.preview(row.saga_id, complete)

    async def _act(self, verb: Verb, id_or_key: str, saga: SagaNamed | None, what: What, how: How) -> Acted:
        check_words(verb, how, How.__annotations__, How.__required_keys__)
        complete = self._completed(verb, what, how["actor"], how["reason"], how.get("action_id"))
        is_queued = check_flag("queue", how.get("queue", False))
        seconds = None if is_queued else patience(how.get("timeout", PATIENCE))
        row = await self._meant(id_or_key, saga)
        engine = self._lifecycle.engine()
        act, events = await engine.actions.act(row.saga_id, complete, seconds)
        refused = events[0] if events else None
        if isinstance(refused, ActionRefused):
            raise InvalidAction(refused_text(row.saga_name, row.saga_key, refused))
        return Acted(row.saga_id, act.action_id, events)

    async def _meant(self, id_or_key: str, saga: SagaNamed | None) -> StatusRow:
        """Return the row of the saga that is meant; raises `InvalidQuery` if it could be one of several."""
        row = await self.status(id_or_key, saga)
        if saga is None and row.saga_id != id_or_key:
            found = await self.find(key=id_or_key, limit=SOME)
            if names := {one.saga_name for one in found} - {row.saga_name}:
                listed = ", ".join(sorted({row.saga_name, *names}))
                raise InvalidQuery(f"{harmless(repr(id_or_key), 200)} is a key of several sagas: {listed}; give saga=")
        return row

    def _completed(self, verb: Verb, what: What, actor: str, reason: str, action_id: str | None) -> Completed:
        """Check what needs no saga, and return how the action is completed for one."""
        act, given = self._act_of(verb, what, actor, reason, action_id)
        return completed(act, given, given is not UNSET)

    def _act_of(self, verb: Verb, what: What, actor: str, reason: str, action_id: str | None) -> tuple[Act, Any]:
        """Return an action before its saga is looked at, and the result or input for it (`UNSET`: none)."""
        if verb not in VERBS:
            raise InvalidAction(f"expected one of {', '.join(VERBS)}, found {shown(verb)}")
        given = _value(verb, what)
        until = None if "at" not in what else self._microseconds(what["at"])
        act = Act(
            action_id=new_id(self._clock) if action_id is None else check_identifier(action_id, "the action id"),
            verb=verb,
            actor=check_identifier(actor, "the actor"),
            reason=check_reason(reason, "the reason"),
            step=check_step(what.get("step")),
            direction=_direction(what.get("direction")),
            waive=check_flag("waive", what.get("waive", False)),
            happened=check_flag("happened", what["happened"]) if "happened" in what else None,
            until=until,
            of_deadline=check_flag("deadline", what.get("deadline", False)),
            fork=new_id(self._clock) if verb == "fork" else None,
        )
        return act, given

    def _microseconds(self, given: datetime | Duration) -> int:
        """Return a time, or a duration from now, in microseconds since the epoch; raises `InvalidAction`."""
        if isinstance(given, datetime):
            if given.tzinfo is None:
                raise InvalidAction(f"expected a time with its time zone, found {shown(given)}; add tzinfo=UTC")
            return (given - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        seconds = seconds_of(given)
        if not 0 <= seconds < LONGEST:
            raise InvalidAction(
                f"expected a time, or seconds or a timedelta from now, under 100 years, found {shown(given)}"
            )
        return self._clock.now() + int(seconds * 1_000_000)


def _value(verb: Verb, what: What) -> Any:
    """Return the result or the input that is given, or `UNSET`; raises `InvalidAction` for one in the other's place."""
    result, value = what.get("result", UNSET), what.get("input", UNSET)
    of_step = what.get("step") is not None
    if of_step and value is not UNSET:
        raise InvalidAction(f"{verb}: expected the result of step {shown(what.get('step'))}, found an input")
    if not of_step and result is not UNSET:
        raise InvalidAction(f"{verb}: expected the step whose result this is, found only {shown(result)}")
    return result if of_step else value


def _direction(given: Direction | None) -> Direction | None:
    if given not in (None, *DIRECTIONS):
        raise InvalidAction(f"direction: expected {' or '.join(DIRECTIONS)}, found {shown(given)}")
    return given


def check_words(
    what: str, given: Mapping[str, object], known: Iterable[str], needed: frozenset[str] = frozenset()
) -> None:
    """Raise `TypeError`, as a call does, for a keyword argument that is missing, or that there is none of."""
    words = tuple(known)
    unknown, missing = given.keys() - set(words), needed - given.keys()
    if unknown or missing:
        wrong = f"an unexpected {min(unknown)}=" if unknown else f"no {min(missing)}="
        raise TypeError(f"{what}: expected {', '.join(f'{one}=' for one in words)}; found {wrong}")


def refused_text(saga: str, key: str, refused: ActionRefused) -> str:
    """Return the error of a refused action: what, why, and what would be allowed."""
    what = refused.verb if refused.step is None else f"{refused.verb} {refused.step}"
    instead = ", ".join(refused.allowed) or "nothing"
    return f"{what}: saga {saga} {key} does not allow it: {refused.why}. What may be done: {instead}"
