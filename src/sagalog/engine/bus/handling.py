"""Handling of one message by a participant: its handlers are called, and their answers become one posting.

The posting is not written here. The ids of answers are computed from the message, so handling it again publishes
nothing new.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from sagalog.clock import Clock
from sagalog.engine.calls.call import Call, StillOurs, call_handler
from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.calls.failures import raise_if_no_outcome
from sagalog.engine.carrying import carrying
from sagalog.engine.unmatched import parked_row
from sagalog.messages import CommandDone, CommandRefused, Envelope, Event, name_of
from sagalog.saga.events import ErrorInfo, error_from
from sagalog.saga.messages.handlers import told_of
from sagalog.saga.messages.participants import Handler, MessageContext, ParticipantDefinition, output_id
from sagalog.saga.metadata import Metadata
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.retry import Retry
from sagalog.store import InboxRow, Posting

LAST = Retry(attempts=1)


class Failed(Exception):
    """A handler failed. `retry` says whether and when the message is tried again."""

    def __init__(self, handler: str, error: ErrorInfo, retry: Retry) -> None:
        super().__init__(error.message)
        self.handler = handler
        self.error = error
        self.retry = retry


class Handling:
    """The handling of one participant's messages."""

    def __init__(
        self,
        definition: ParticipantDefinition,
        resources: CallResources,
        clock: Clock,
    ) -> None:
        self.definition = definition
        self._services = resources.services
        self._clock = clock
        self.turns = resources.turns
        self._failures = resources.failures
        self._own_tasks = resources.own_tasks
        self._payloads: dict[type[Event], PayloadType] = {}

    def can_be_cancelled(self, envelope: Envelope) -> bool:
        """Tell whether handling this message can be cancelled: none of its handlers runs in a thread."""
        return all(handler.is_async for handler in self.definition.handlers.get(envelope.name, ()))

    async def handle(self, row: InboxRow, envelope: Envelope, ours: StillOurs) -> Posting:
        """Call the handlers of a message; return what is to be written: its answers, the next attempt, or a parked row.

        Raises `NotBegun` if the consumer is not `ours` any more when a handler is about to run, and `NoThread` if no
        thread becomes free for it.
        """
        delivered = (envelope.id,) if envelope.kind == "command" else ()
        try:
            handlers = self._handlers_of(envelope)
            if not handlers:
                text = f"participant {self.definition.name} handles no {envelope.name} (any more)"
                raise Failed("", error_from("fault", "NoHandler", text), LAST)
            answers = [answer for one in handlers for answer in await self._call(one, row, envelope, ours)]
        except Failed as failed:
            return self._failed(row, envelope, failed, delivered)
        return Posting(messages=answers, taken=(row.recipient, row.message_id), delivered=delivered)

    def _handlers_of(self, envelope: Envelope) -> Sequence[Handler]:
        handlers = self.definition.handlers.get(envelope.name, ())
        if envelope.kind != "note":
            return handlers
        told = told_of(envelope.data)
        return [one for one in handlers if one.takes(told)]

    async def _call(self, handler: Handler, row: InboxRow, envelope: Envelope, ours: StillOurs) -> list[Envelope]:
        """Call one handler and return its answers; raises `Failed`."""
        began = self._clock.now()
        over = None if handler.timeout is None else began + handler.timeout
        what = f"handler {handler.name} of {self.definition.name}"
        try:
            message = carrying(handler.read, envelope.data)
            arguments = self._arguments(handler, row, envelope)
            call = Call(handler.function, handler.is_async, (message,), arguments, began, over, ours, what)
            returned = await call_handler(self.turns, self._own_tasks, call)
            return self._answered(handler, envelope, carrying(handler.answers, returned))
        except (Exception, asyncio.CancelledError) as problem:
            raise_if_no_outcome(problem)
            error = self._failures.error_of(
                problem,
                f"{what}, attempt {row.attempts + 1} at message {envelope.id},",
                "HandlerTimeout",
                correlation_id=envelope.correlation_id,
                attempt=row.attempts + 1,
            )
            if error.kind == "refused" and handler.kind == "command":
                return self._envelopes(handler, envelope, [CommandRefused(reason=error.message)])
            # A retry cannot help after a refusal or a mistake in the program.
            retry = LAST if error.kind in ("refused", "fault") else handler.retry
            raise Failed(handler.name, error, retry) from None

    def _answered(self, handler: Handler, envelope: Envelope, answers: list[Event]) -> list[Envelope]:
        if handler.kind == "command" and not answers:
            answers = [CommandDone()]
        made: list[Envelope] = carrying(self._envelopes, handler, envelope, answers)
        return made

    def _arguments(self, handler: Handler, row: InboxRow, envelope: Envelope) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for parameter in handler.parameters:
            if parameter.source == "context":
                arguments[parameter.name] = MessageContext(
                    message_id=envelope.id,
                    correlation_id=envelope.correlation_id,
                    causation_id=envelope.causation_id,
                    source=envelope.source,
                    attempt=row.attempts + 1,
                    participant=self.definition.name,
                )
            elif parameter.source == "metadata":
                arguments[parameter.name] = _about(envelope, row)
            else:
                arguments[parameter.name] = self._services[parameter.key]
        return arguments

    def _envelopes(self, handler: Handler, envelope: Envelope, answers: Sequence[Event]) -> list[Envelope]:
        """Return the answers as messages; an answer that cannot be stored raises, which counts as a fault."""
        made: list[Envelope] = []
        for number, answer in enumerate(answers):
            kind = type(answer)
            if kind not in self._payloads:
                self._payloads[kind] = PayloadType(kind)
            made.append(
                Envelope(
                    id=output_id(envelope.id, self.definition.name, handler.name, number),
                    kind="event",
                    name=name_of(kind),
                    source=self.definition.name,
                    correlation_id=envelope.correlation_id,
                    causation_id=envelope.id,
                    time=self._clock.now(),
                    data=self._payloads[kind].write(answer, f"{name_of(kind)} by handler {handler.name}"),
                )
            )
        return made

    def _failed(self, row: InboxRow, envelope: Envelope, failed: Failed, delivered: tuple[str, ...]) -> Posting:
        """Return a posting with the next attempt; after the last one it parks the message, and its lane waits."""
        now = self._clock.now()
        attempts = row.attempts + 1
        error = failed.error
        tried = replace(row, attempts=attempts, error_type=error.type, error_text=error.message)
        due_at = failed.retry.next_at(attempts, row.arrived_at, self._clock.chance(), now)
        if due_at is not None:
            return Posting(retry=replace(tried, due_at=due_at), delivered=delivered)
        handler = f"handler {failed.handler} " if failed.handler else ""
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        parked = parked_row(
            self._clock,
            row.recipient,
            envelope,
            row.position,
            f"{handler}failed for good after {times}: {error.type}: {error.message}",
        )
        return Posting(retry=replace(tried, status="parked"), parked=parked, delivered=delivered)


def _about(envelope: Envelope, row: InboxRow) -> Metadata:
    """Return what is known of a message beside itself."""
    if envelope.kind == "note":
        return told_of(envelope.data).about
    return Metadata(
        id=envelope.id,
        position=row.position,
        time=envelope.time,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
    )
