"""One attempt of a handler: its arguments, its time, and which of the three outcomes it had. It appends nothing."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast

from msgspec import Raw

from sagalog.clock import Clock
from sagalog.engine.blocking import Blocking
from sagalog.errors import InvalidInput, PayloadTooLarge, Refused
from sagalog.messages import Message, name_of
from sagalog.saga.binding import Parameter
from sagalog.saga.callables import name_of_callable, plain_answer
from sagalog.saga.context import StepContext
from sagalog.saga.definition import ChildRule, Definition, Exchange, StepDefinition
from sagalog.saga.events import EMPTY, Direction, ErrorInfo, error_from
from sagalog.saga.fan_out import element_of, results_of
from sagalog.saga.identifiers import effect_id
from sagalog.saga.inputs import ActionFailed, ActionSucceeded, ChildBegun, RequestMade, Start, UndoFailed, UndoSucceeded
from sagalog.saga.progress import deadline_counts
from sagalog.saga.react import CallOff, RunAction, RunCompensation
from sagalog.saga.state import UNTOUCHED, SagaState

logger = logging.getLogger("sagalog.engine")

# Mistakes in a program. Undoing a thousand orders because of a misspelt name would only multiply the mistake.
FAULTS = (
    TypeError,
    NameError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    ImportError,
    PayloadTooLarge,
    InvalidInput,
)

Services = dict[type, Any]
# Tells whether what an attempt is made for is still owned by whoever makes it.
StillOurs = Callable[[], bool]
# Starts a saga that is a step of another one, or finds the one that has the key; gives its id once it is durable.
BeginChild = Callable[[Definition, Start], Awaitable[str]]


class Attempts:
    """Make attempts for one process manager, with its services, clock and threads."""

    def __init__(self, services: Services, clock: Clock, blocking: Blocking) -> None:
        self._services = services
        self._clock = clock
        self._blocking = blocking
        # Set by whoever can start sagas, which needs a worker, which needs this.
        self.begin_child: BeginChild | None = None

    async def action(
        self, definition: Definition, saga_id: str, state: SagaState, effect: RunAction, ours: StillOurs
    ) -> ActionSucceeded | ActionFailed | RequestMade | ChildBegun:
        """Make an attempt of a step's action and return its outcome as an input of the kernel.

        For a request that is its command, which the kernel sends: the one that was sent before, if there is one. Raises
        `NotBegun` if the saga is not `ours` any more when the handler's turn has come.
        """
        step = definition.steps[effect.step]
        if step.child is not None:
            return await self._child(definition, step, step.child, saga_id, state, effect)
        if step.exchange is not None and (sent := _sent(saga_id, state, effect)) is not None:
            return sent
        began = self._clock.now()
        over = None if step.timeout is None else began + step.timeout
        if state.deadline is not None and (over is None or state.deadline < over):
            over = state.deadline if deadline_counts(definition, state) else over
        try:
            arguments = self._arguments(definition, step.parameters, saga_id, state, effect, over)
            first = () if step.fan is None else (element_of(step.fan, state, effect.step),)
            value = await call_handler(self._blocking, step.handler, step.is_async, first, arguments, began, over, ours)
            if step.exchange is not None:
                return _made(step.exchange, saga_id, state, effect, value)
            result = step.result.write(value, f"the result of step {step.name}")
        except (Exception, SystemExit, asyncio.CancelledError) as problem:
            let_through(problem)
            error = _error(problem, effect.step)
            return ActionFailed(effect.step, effect.attempt, began, error, self._clock.chance())
        return ActionSucceeded(effect.step, effect.attempt, began, result)

    async def _child(
        self,
        definition: Definition,
        step: StepDefinition,
        rule: ChildRule,
        saga_id: str,
        state: SagaState,
        effect: RunAction,
    ) -> ActionFailed | ChildBegun:
        """Begin the saga that a step is, or find the one that was begun before."""
        began = self._clock.now()
        try:
            if rule.takes_input:
                value = step.handler(definition.input.read(state.input))
            else:
                value = step.handler(**self._arguments(definition, step.parameters, saga_id, state, effect, None))
            value = plain_answer(value, "it")
            data = rule.definition.input.write(value, f"the input of saga {rule.definition.name}")
        except (Exception, SystemExit) as problem:
            # It makes a value of what is recorded, so it would fail again: the program has to be mended.
            logger.error("step %s is at fault", effect.step, exc_info=problem)
            error = error_from("fault", type(problem).__name__, f"in making the child's input: {problem}")
            return ActionFailed(effect.step, effect.attempt, began, error, self._clock.chance())
        return await self._begun(rule, saga_id, state, effect.step, data, called_off=False)

    async def call_off(self, definition: Definition, saga_id: str, state: SagaState, effect: CallOff) -> ChildBegun:
        """Find the saga that a step is, or start one that has ended already, so that nobody else can."""
        rule = definition.steps[effect.step].child
        assert rule is not None
        return await self._begun(rule, saga_id, state, effect.step, EMPTY, called_off=True)

    async def _begun(
        self, rule: ChildRule, saga_id: str, state: SagaState, step: str, data: Raw, called_off: bool
    ) -> ChildBegun:
        assert self.begin_child is not None
        number = state.steps.get(step, UNTOUCHED).round
        told = Start(
            effect_id(saga_id, step, "action", number, state.marked),
            data,
            1,
            state.correlation_id,
            saga_id,
            parent=saga_id,
            parent_step=step,
            parent_round=number,
            called_off=called_off,
        )
        return ChildBegun(step, number, await self.begin_child(rule.definition, told))

    async def compensation(
        self, definition: Definition, saga_id: str, state: SagaState, effect: RunCompensation, ours: StillOurs
    ) -> UndoSucceeded | UndoFailed | RequestMade:
        """Make an attempt of a step's compensation and return its outcome, or its command, as a kernel's input.

        Raises `NotBegun` as `action` does.
        """
        step = definition.steps[effect.step]
        undo = step.compensation
        assert undo is not None
        if undo.exchange is not None and (sent := _sent(saga_id, state, effect)) is not None:
            return sent
        began = self._clock.now()
        over = None if undo.timeout is None else began + undo.timeout
        try:
            arguments = self._arguments(definition, undo.parameters, saga_id, state, effect, over)
            recorded = state.steps[effect.step].result
            result = None if recorded is None else step.result.read(recorded)
            value = await call_handler(
                self._blocking, undo.handler, undo.is_async, (result,), arguments, began, over, ours
            )
            if undo.exchange is not None and value is not None:
                return _made(undo.exchange, saga_id, state, effect, value)
            if value is not None:
                raise TypeError(f"a compensation returns None, found {type(value).__name__}")
        except (Exception, SystemExit, asyncio.CancelledError) as problem:
            let_through(problem)
            error = _error(problem, effect.step)
            chance = self._clock.chance()
            return UndoFailed(effect.step, effect.epoch, effect.attempt, began, error, chance)
        return UndoSucceeded(effect.step, effect.epoch, effect.attempt, began)

    def _arguments(
        self,
        definition: Definition,
        parameters: tuple[Parameter, ...],
        saga_id: str,
        state: SagaState,
        effect: RunAction | RunCompensation,
        over: int | None,
    ) -> dict[str, Any]:
        """Return the handler's arguments, read afresh from what is recorded: no handler can change it for another."""
        arguments: dict[str, Any] = {}
        for parameter in parameters:
            source = parameter.source
            if source == "input":
                value = definition.input.read(state.input)
            elif source == "result":
                declared = definition.steps[parameter.key]
                before = state.steps.get(parameter.key)
                recorded = None if before is None else before.result
                if declared.fan is not None:
                    value = results_of(definition, state, parameter.key)
                else:
                    value = None if recorded is None else declared.result.read(recorded)
            elif source == "element":
                fan = definition.steps[effect.step].fan
                assert fan is not None
                value = element_of(fan, state, effect.step)
            elif source == "service":
                value = self._services[parameter.key]
            else:
                value = _context(definition, saga_id, state, effect, over)
            arguments[parameter.name] = value
        return arguments


async def call_handler(
    blocking: Blocking,
    handler: Callable[..., Any],
    is_async: bool,
    first: tuple[Any, ...],
    arguments: dict[str, Any],
    began: int,
    over: int | None,
    ours: StillOurs,
) -> Any:
    """Call a handler until `over` (microseconds since the epoch): on the loop if it is async, else in a thread.

    Raises what it raises, `Overdue` if it did not answer in time, and `NotBegun` if its turn came too late.
    """
    call = functools.partial(_if_ours, ours, handler, *first, **arguments)
    if is_async:
        made = call()
        if not hasattr(made, "send"):
            name, found = name_of_callable(handler), type(made).__name__
            raise TypeError(f"{name} is declared as a coroutine function, and gave {found}")
        return plain_answer(await _within(made, began, over), handler)
    seconds = None if over is None else max(0.0, (over - began) / 1e6)
    running = blocking.handler(call)
    done, _ = await asyncio.wait((running,), timeout=seconds)
    if not done:
        # A thread cannot be stopped, and nothing may be undone or tried again while it runs: wait for its end.
        name = name_of_callable(handler)
        logger.warning("%s is overdue after %g s; a thread cannot be stopped, so it is waited for", name, seconds)
    return plain_answer(await running, handler)


def _if_ours(ours: StillOurs, handler: Callable[..., Any], /, *first: Any, **arguments: Any) -> Any:
    """Call a handler now that its turn has come, unless the process stood still meanwhile, and others went on."""
    if not ours():
        raise NotBegun
    return handler(*first, **arguments)


async def _within(coroutine: Coroutine[Any, Any, Any], began: int, over: int | None) -> Any:
    """Await a handler until `over`.

    Its first part, up to where it has to wait, cannot be interrupted in any case: it is run without a timer, so that a
    handler that never waits costs none. Then the rest is awaited in the same task, as if nothing had been between.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        return end.value
    if over is None:
        return await _Rest(coroutine, awaited)
    seconds = max(0.0, (over - began) / 1e6)
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            return await _Rest(coroutine, awaited)
    except TimeoutError:
        if timer.expired():
            raise Overdue(f"no answer within {seconds:g} s") from None
        raise


class _Rest:
    """A coroutine that has begun already and waits for `awaited`, as something to await."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as thrown:
                    # The handler has to see what the task is told, a cancellation above all.
                    awaited = coroutine.throw(thrown)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration as end:
            return end.value


class Overdue(Exception):
    """An attempt did not end in its time."""


class NotBegun(Exception):
    """The handler was not called: what it was to be called for may be another worker's by now."""


def let_through(problem: BaseException) -> None:
    """Raise what is no outcome: `NotBegun`, and a cancellation that came from the engine.

    A cancellation that a handler raised by itself is an error like others.
    """
    if isinstance(problem, NotBegun):
        raise problem
    task = asyncio.current_task()
    if isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling():
        raise problem


def _error(problem: BaseException, step: str) -> ErrorInfo:
    if isinstance(problem, Refused):
        return error_from("refused", "Refused", str(problem))
    if isinstance(problem, Overdue):
        return error_from("timeout", "StepTimeout", f"step {step}: {problem}")
    kind = type(problem).__name__
    if isinstance(problem, FAULTS):
        logger.error("step %s is at fault", step, exc_info=problem)
        return error_from("fault", kind, str(problem))
    return error_from("error", kind, str(problem))


def _sent(saga_id: str, state: SagaState, effect: RunAction | RunCompensation) -> RequestMade | None:
    """Return the command that is sent again because nobody answered: the same, byte by byte, under the same id."""
    command_id = effect_key(saga_id, state, effect)
    before = state.commands.get(command_id)
    if before is None or before.data is None:
        return None
    return RequestMade(
        effect.step, before.direction, before.round, effect.attempt, command_id, before.name, before.data
    )


def _made(
    exchange: Exchange, saga_id: str, state: SagaState, effect: RunAction | RunCompensation, value: Any
) -> RequestMade:
    kind = cast("type[Message]", type(value))
    payload = exchange.commands.get(kind)
    if payload is None:
        expected = " or ".join(one.__name__ for one in exchange.commands)
        raise TypeError(f"step {effect.step}: expected the command {expected}, found {kind.__name__}")
    data = payload.write(value, f"the command of step {effect.step}")
    direction: Direction = "action" if isinstance(effect, RunAction) else "compensation"
    here = state.steps.get(effect.step, UNTOUCHED)
    number = here.round if direction == "action" else here.undo_round
    command_id = effect_id(saga_id, effect.step, direction, number, state.marked)
    return RequestMade(effect.step, direction, number, effect.attempt, command_id, name_of(kind), data)


def _context(
    definition: Definition,
    saga_id: str,
    state: SagaState,
    effect: RunAction | RunCompensation,
    over: int | None,
) -> StepContext:
    return StepContext(
        saga_id=saga_id,
        saga_name=definition.name,
        key=state.key,
        correlation_id=state.correlation_id,
        causation_id=state.causation_id,
        step=effect.step,
        attempt=effect.attempt,
        idempotency_key=effect_key(saga_id, state, effect),
        deadline_us=over,
    )


def effect_key(saga_id: str, state: SagaState, effect: RunAction | RunCompensation) -> str:
    """Return the identity of what an effect asks for; a new round of a request is another one."""
    here = state.steps.get(effect.step, UNTOUCHED)
    if isinstance(effect, RunAction):
        return effect_id(saga_id, effect.step, "action", here.round, state.marked)
    # Without a command the two counts are the same.
    return effect_id(saga_id, effect.step, "compensation", max(effect.epoch, here.undo_round), state.marked)
