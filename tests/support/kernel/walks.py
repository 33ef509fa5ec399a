"""Random walks of the kernel: any inputs in any order, wanted or not, for made-up sagas."""

import random
from copy import copy
from typing import Any

from kernel.child_notes import child_begun, child_ended, undo_child
from kernel.stories import (
    Begun,
    Choice,
    Denied,
    Do,
    Done,
    Happened,
    UndoIt,
    Undone,
    act,
    any_saga,
    began,
    did,
    failed,
    resume,
    undid,
    undo_failed,
)
from msgspec import Raw
from msgspec.structs import replace

from sagalog import Event, Saga
from sagalog.errors import InvalidAction
from sagalog.messages import CommandRefused
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.actions.rules import VERBS, what_may_be_done
from sagalog.saga.children.notes import ChildStatus
from sagalog.saga.decide import advance
from sagalog.saga.definition import Definition
from sagalog.saga.evolve import fold
from sagalog.saga.identifiers import part_name
from sagalog.saga.react import RunCompensation, Wait, WatchDeadline, react
from sagalog.saga.state import UNTOUCHED, SagaState, StepState
from sagalog.testing.kernel import START, made, message

MINUTE = 60_000_000
# None is a success.
DONE: tuple[e.ErrorKind | None, ...] = (None, None, None, None, "error", "timeout", "lost", "refused", "fault")
UNDONE: tuple[e.ErrorKind | None, ...] = (None, None, None, "error", "refused", "fault")


class Walk:
    """One saga that is told things; `states[n]` is what it was after n + 1 decisions."""

    def __init__(self, seeded: random.Random, saga: Saga[Choice] | None = None, acts: bool = True) -> None:
        self.seeded = seeded
        # Whether people act on it, too.
        self.acts = acts
        self.saga = saga or any_saga(seeded)
        self.definition = self.saga.definition
        skipped = [name for name in self.definition.steps if seeded.random() < 0.5]
        mistaken = tuple(name for name in self.definition.steps if seeded.random() < 0.03)
        first = began(self.saga, *skipped, mistaken=mistaken)
        told = i.Start(first.key, first.input, 1, first.correlation_id)
        if seeded.random() < 0.3:
            off = seeded.random() < 0.1
            told = replace(told, parent="parent", parent_step="b", parent_round=seeded.randrange(2), called_off=off)
        self.now = START
        self.told: list[tuple[i.Input, int]] = []
        self.events: list[e.SagaEvent] = []
        self.state: SagaState | None = None
        self.live: list[tuple[int, SagaState]] = []
        self.refused = 0
        self.messages = 0
        self.tell(told)

    def tell(self, told: i.Input) -> list[e.SagaEvent]:
        """Tell the saga something and go on with what it decides; what makes no sense changes nothing."""
        self.told.append((told, self.now))
        try:
            events, self.state = advance(self.definition, self.state, told, self.now)
        except InvalidAction:
            self.refused += 1
            return []
        self.events += events
        assert self.state is not None
        self.live.append((len(self.events), self.state))
        return events

    def step(self) -> list[e.SagaEvent]:
        """Tell it the next thing: usually what it waits for, sometimes anything."""
        seeded, state = self.seeded, self.state
        assert state is not None
        self.now += seeded.randrange(MINUTE)
        drawn = seeded.random()
        if self.acts and seeded.random() < 0.25:
            return self.tell(any_act(seeded, self.definition, state, self.now))
        if drawn < 0.1 and self.told:
            return self.tell(seeded.choice(self.told)[0])
        if drawn < 0.2:
            return self.tell(self._anything())
        if drawn < 0.25:
            self.now = max(self.now, state.deadline or 0)
            return self.tell(i.DeadlineReached())
        effects = [x for x in react(self.definition, state) if not isinstance(x, WatchDeadline)]
        if not effects:
            return self.tell(resume() if state.status == "stuck" else self._anything())
        effect = seeded.choice(effects)
        if isinstance(effect, Wait):
            return self.tell(self._end_of(effect))
        if isinstance(effect, RunCompensation):
            kind = seeded.choice(UNDONE)
            if kind is None:
                return self.tell(self._undone(effect))
            return self.tell(undo_failed(effect.step, kind, effect.attempt, effect.epoch))
        return self.tell(self._outcome(effect.step, effect.attempt))

    def elsewhere(self, events: list[e.SagaEvent]) -> "Walk":
        """Return a walk that goes on from another history of the same saga."""
        other = copy(self)
        other.events, other.state, other.told, other.live = list(events), fold(events), [], []
        return other

    def finish(self, most: int = 200) -> None:
        """Let everything succeed from here on, and a person resume once, until the saga is at rest."""
        for _ in range(most):
            assert self.state is not None
            if self.state.paused is not None:
                self.tell(act("unpause"))
            effects = [x for x in react(self.definition, self.state) if not isinstance(x, WatchDeadline)]
            if not effects:
                return
            effect = effects[0]
            self.now += MINUTE
            if isinstance(effect, Wait):
                self.tell(self._well(effect))
            elif isinstance(effect, RunCompensation):
                self.tell(self._undone(effect))
            else:
                self.tell(self._done(effect.step, effect.attempt))
        raise AssertionError(f"it does not come to rest although everything succeeds: {self.state}")

    def _here(self, step: str) -> StepState:
        assert self.state is not None
        return self.state.steps.get(step, UNTOUCHED)

    def _done(self, step: str, attempt: int) -> i.Input:
        """Return that an attempt of an action went well."""
        if self.definition.steps[step].kind == "call":
            return did(step, attempt)
        if self.definition.steps[step].kind == "child":
            number = self._here(step).action.round
            return child_begun(step, f"child-{step}-{number}", number)
        return made(step, Do(step=step), attempt=attempt, round=self._here(step).action.round)

    def _undone(self, effect: RunCompensation) -> i.Input:
        """Return that an attempt of a compensation went well."""
        compensation = self.definition.steps[effect.step].compensation
        if compensation is None or compensation.exchange is None:
            return undid(effect.step, effect.attempt, effect.epoch)
        number = self._here(effect.step).undo.round
        command = UndoIt(step=effect.step)
        return made(effect.step, command, attempt=effect.attempt, round=number, direction="compensation")

    def _well(self, effect: Wait) -> i.Input:
        """Return what a step waits for."""
        here = self._here(effect.step)
        if self.definition.steps[effect.step].kind == "child":
            return self._child_says(effect.step, "completed" if effect.direction == "action" else "failed")
        if self.definition.steps[effect.step].kind == "sleep":
            self.now = max(self.now, effect.until or 0)
            return i.TimerFired(effect.step, effect.direction, effect.attempt)
        if self.definition.steps[effect.step].kind == "wait":
            return self._message(Happened(key="key"), "elsewhere")
        if effect.direction == "action":
            return self._message(Done(step=effect.step), here.action.command)
        return self._message(Undone(step=effect.step), here.undo.command)

    def _child_says(self, step: str, status: ChildStatus) -> i.Receive:
        self.messages += 1
        here = self._here(step)
        number = here.action.round
        is_known = here.action.waiting is not None or here.action.status == "succeeded"
        child = here.child if here.child is not None and is_known else f"child-{step}-{number}"
        return child_ended(step, status, child=child, round=number, id=f"note-{self.messages}")

    def _message(self, event: Event, causation_id: str | None) -> i.Receive:
        self.messages += 1
        return message(event, id=f"message-{self.messages}", causation_id=causation_id)

    def _end_of(self, effect: Wait) -> i.Input:
        """Return an end of waiting: what is waited for, a refusal, something that nobody can read, or none in time."""
        drawn = self.seeded.random()
        if self.definition.steps[effect.step].kind == "child":
            statuses: tuple[ChildStatus, ...] = ("completed", "completed", "failed", "stuck", "running")
            return self._child_says(effect.step, self.seeded.choice(statuses))
        if drawn < 0.5:
            return self._well(effect)
        command = self._here(effect.step).side(effect.direction).command
        if drawn < 0.7 and command is not None:
            return self._message(self.seeded.choice((Denied(reason="no"), CommandRefused(reason="no"))), command)
        if drawn < 0.75:
            told = self._well(effect)
            if isinstance(told, i.Receive):
                return i.Receive(replace(told.message, data=Raw(b"[1]")))
        self.now = max(self.now, (effect.until or 0) - self.seeded.choice((0, 0, 0, 1)))
        return i.TimerFired(effect.step, effect.direction, effect.attempt)

    def _outcome(self, step: str, attempt: int) -> i.Input:
        kind = self.seeded.choice(DONE)
        return self._done(step, attempt) if kind is None else failed(step, kind, attempt)

    def _anything(self) -> i.Input:
        seeded = self.seeded
        step = seeded.choice(list(self.definition.steps))
        if self.definition.steps[step].fan is not None and seeded.random() < 0.8:
            step = part_name(step, seeded.randrange(5))
        attempt, epoch = seeded.randrange(1, 4), seeded.randrange(2)
        return seeded.choice(
            (
                self._outcome(step, attempt),
                self._any_message(),
                self._any_message(),
                i.TimerFired(step, seeded.choice(("action", "compensation")), attempt),
                undid(step, attempt, epoch),
                undo_failed(step, "refused" if attempt > 1 else "error", attempt, epoch),
                i.StartAgain("again"),
                self._any_note(step),
                resume(),
            )
        )

    def _any_note(self, step: str) -> i.Input:
        """Return a note that may come at any time, if it can be one for this saga."""
        seeded = self.seeded
        self.messages += 1
        if self.definition.steps[step].kind != "child":
            assert self.state is not None
            return undo_child(id=f"note-{self.messages}") if self.state.parent else i.StartAgain("again")
        if seeded.random() < 0.3:
            return child_begun(step, "child-other", seeded.randrange(2))
        statuses: tuple[ChildStatus, ...] = ("completed", "failed", "stuck", "running")
        return self._child_says(step, seeded.choice(statuses))

    def _any_message(self) -> i.Receive:
        """Return a message that may come at any time: for any command there is, or for none."""
        assert self.state is not None
        causes = [*self.state.commands, "elsewhere", None]
        steps = self.seeded.choice(list(self.definition.steps))
        event = self.seeded.choice(
            (Done(step=steps), Undone(step=steps), Denied(reason="no"), Happened(key="key"), Begun(key="key"))
        )
        return self._message(event, self.seeded.choice(causes))


def any_act(
    seeded: random.Random, definition: Definition, state: SagaState, now: int, wanted: e.Verb | None = None
) -> i.Act:
    """Return what a person may ask for at any time: of any step that there is or is not, in any direction."""
    names = [*definition.steps, *state.steps, None]
    if seeded.random() < 0.03:
        names = ["nowhere"]
    verb = seeded.choice(VERBS) if wanted is None else wanted
    fields: dict[str, Any] = {}
    if verb in ("skip", "amend") or seeded.random() < 0.1:
        fields["value"] = Raw(b'"other"')
    if verb == "skip":
        fields["waive"] = seeded.random() < 0.3
    if verb == "resolve":
        fields |= {
            "happened": seeded.random() < 0.5,
            "direction": seeded.choice((None, None, "action", "compensation")),
        }
    if verb == "reschedule":
        fields |= {"until": now + seeded.randrange(-MINUTE, 2 * MINUTE), "of_deadline": seeded.random() < 0.2}
    if verb == "fork":
        fields["fork"] = "another"
    step = seeded.choice(names) if verb in ("skip", "resolve", "amend", "reschedule", "fork") else None
    useful = [one.partition(" ")[2] for one in what_may_be_done(definition, state, now) if one.startswith(f"{verb} ")]
    if useful and seeded.random() < 0.8:
        step = seeded.choice(useful)
    if verb == "amend" and step is None:
        fields["value"] = state.input
    return act(verb, step, **fields)


def walked(seed: int, steps: int = 25, acts: bool = True) -> Walk:
    """Return the walk of a seed."""
    walk = Walk(random.Random(seed), acts=acts)
    for _ in range(steps):
        walk.step()
    return walk
