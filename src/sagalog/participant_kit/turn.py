"""One message's turn in a participant's transaction: is its effect to be made, and what is answered? Pure."""

from collections.abc import Sequence
from functools import cache
from typing import cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sagalog.errors import InvalidAction, InvalidInput
from sagalog.messages import CommandDone, CommandRefused, Envelope, Event, name_of
from sagalog.saga.identifiers import as_text, effect_of
from sagalog.saga.messages.handlers import output_id
from sagalog.saga.options import shown
from sagalog.saga.payload.payload_type import PayloadType

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Envelope]).decode
_payload_of = cache(PayloadType)

Answers = Event | Sequence[Event] | None


class Delivered(Struct, frozen=True, kw_only=True):
    """A message as it is delivered: its id, the action that it is about, and whether it undoes that action.

    Only a command is `answered` when there is nothing to say.
    """

    id: str
    action: str
    undoes: bool
    correlation_id: str
    answered: bool = True


def delivered(message: Envelope, undoes: str | None) -> Delivered:
    """Return what a message is about; `undoes` is the id of the command that it undoes.

    A saga's own commands say it by their ids: all commands of one step are about one action, whichever round they are
    of, and those that undo it carry `:undo`.
    """
    if not isinstance(cast(object, message), Envelope):
        raise InvalidInput(
            f"expected an Envelope, the message as it was delivered, found {shown(message)}; for a command without one "
            "there is once(connection, command_id)"
        )
    action, is_undo = message.id, False
    if undoes is not None:
        action, is_undo = undoes, True
    elif message.saga_id is not None and message.step is not None:
        action, is_undo = effect_of(message.saga_id, message.step, message.id) or (action, is_undo)
    return Delivered(
        id=as_text(message.id),
        action=as_text(action),
        undoes=is_undo,
        correlation_id=as_text(message.correlation_id),
        answered=message.kind == "command",
    )


class Row(Struct, frozen=True):
    """A row of `saga_participant_inbox` as a transaction finds it; "new" is one that it has just made itself."""

    status: str
    deliveries: int = 1
    command_id: str | None = None
    answers: str | None = None
    undo_id: str | None = None
    undo_answers: str | None = None


class Turn:
    """Whether a message's effect is to be made now, and the answers to send once it is committed.

    `is_new`: make the effect, in this transaction, and give its events to `answer`. Otherwise make nothing: `answers`
    holds what was answered the first time, or that the command was called off. `nothing_to_undo`: this undoes what was
    never done; `answer` may say so with an event of its own. `undone` is what the undone command had been answered.
    """

    def __init__(self, participant: str, message: Delivered, row: Row, now: int) -> None:
        if row.status == "new" and row.deliveries > 1:
            raise InvalidAction(
                f"nobody knows whether {message.action} was done: the transaction of an earlier delivery was committed "
                "in the middle; let only the inbox, or whoever began the transaction, commit it"
            )
        self._participant = participant
        self._message = message
        self._row = row
        self._now = now
        self._status: str | None = None
        own_id = row.undo_id if message.undoes else row.command_id
        self.is_new = row.status == "done" if message.undoes else row.status in ("new", "refused")
        # A refusal is final for the command that was refused; asked by another one, it may turn out otherwise.
        self.is_new = self.is_new and own_id != message.id
        self.nothing_to_undo = message.undoes and row.status in ("new", "refused")
        self.undone = _recorded(row.answers) if message.undoes else []
        self.answers: list[Envelope] = []
        if self.nothing_to_undo:
            self.answer(None)
        elif not message.undoes and row.status in ("called_off", "undone") and own_id != message.id:
            # As of then, so that it is the same answer however often the command comes.
            since = min((one.time for one in _recorded(row.undo_answers)), default=now)
            reason = f"{message.action} has been undone; nothing is done for it any more"
            self._say([CommandRefused(reason=reason)], since)
        elif not self.is_new:
            self.answers = [self._addressed(one, n) for n, one in enumerate(_recorded(self._recorded_answers()))]

    def answer(self, events: Answers) -> None:
        """Say what answers the message: an event, several, or None for "done".

        Raises `InvalidAction` for a message that was answered before: nothing may follow from it again.
        """
        if not (self.is_new or self.nothing_to_undo):
            raise InvalidAction(f"{self._message.id} has been answered before; ask `is_new` before making its effect")
        said = [events] if isinstance(events, Event) else list(events or ())
        if not said and self._message.answered:
            said = [CommandDone()]
        if self._message.undoes:
            self._record("called_off" if self.nothing_to_undo else "undone", said)
        else:
            self._record("done", said)

    def refuse(self, reason: str) -> None:
        """Say that the effect was definitely not made; what was to be undone still stands."""
        self._record("done" if self._message.undoes else "refused", [CommandRefused(reason=reason)])

    def close(self) -> Row | None:
        """Return the row to be written; None if nothing is new."""
        if self.is_new and self._status is None:
            self.answer(None)
        if self._status is None:
            return None
        said = _encode(self.answers).decode()
        if self._message.undoes:
            return replace(self._row, status=self._status, undo_id=self._message.id, undo_answers=said)
        return replace(self._row, status=self._status, command_id=self._message.id, answers=said)

    def _record(self, status: str, said: Sequence[Event]) -> None:
        self._status = status
        self._say(said, self._now)

    def _say(self, said: Sequence[Event], time: int) -> None:
        self.answers = [
            Envelope(
                id=output_id(self._message.id, self._participant, "", number),
                kind="event",
                name=name_of(type(event)),
                source=self._participant,
                correlation_id=self._message.correlation_id,
                causation_id=self._message.id,
                time=time,
                data=_payload_of(type(event)).write(event, f"the answer {type(event).__name__}"),
            )
            for number, event in enumerate(said)
        ]

    def _recorded_answers(self) -> str | None:
        return self._row.undo_answers if self._message.undoes else self._row.answers

    def _addressed(self, answer: Envelope, number: int) -> Envelope:
        """Return a recorded answer as it answers this message, which may be another command about the same action."""
        if answer.causation_id == self._message.id:
            return answer
        number_id = output_id(self._message.id, self._participant, "", number)
        return replace(answer, id=number_id, causation_id=self._message.id, correlation_id=self._message.correlation_id)


def _recorded(answers: str | None) -> list[Envelope]:
    return [] if answers is None else _decode(answers)
