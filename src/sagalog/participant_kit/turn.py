"""One message in a participant's transaction: whether to make its effect, and what to answer. Pure."""

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
    """A delivered message: its id, its action, and whether it undoes that action.

    `answered`: it is a command, which gets an answer even if the handler returns no event.
    """

    id: str
    action: str
    undoes: bool
    correlation_id: str
    answered: bool = True


def delivered(message: Envelope, undoes: str | None) -> Delivered:
    """Return the action that a message is about; `undoes` is the id of the command that it undoes.

    For commands of sagas the ids say it: all commands of one step, of any round, are about one action. Those that undo
    it contain `:undo`.
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
    """A row of `saga_participant_inbox` as a transaction finds it; "new": this transaction has just created it."""

    status: str
    deliveries: int = 1
    command_id: str | None = None
    answers: str | None = None
    undo_id: str | None = None
    undo_answers: str | None = None


class Turn:
    """Whether a message's effect is to be made now, and the answers to send after the commit.

    `is_new`: make the effect in this transaction, and pass its events to `answer`. Otherwise make nothing: `answers`
    holds the first answers, or says that the command was called off. `nothing_to_undo`: the command to undo was never
    done; `answer` may report that with an event of its own. `undone` holds the answers to the undone command.
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
        # A refusal is final only for the command that was refused; another command about the same action is new.
        self.is_new = self.is_new and own_id != message.id
        self.nothing_to_undo = message.undoes and row.status in ("new", "refused")
        self.undone = _recorded(row.answers) if message.undoes else []
        self.answers: list[Envelope] = []
        if self.nothing_to_undo:
            self.answer(None)
        elif not message.undoes and row.status in ("called_off", "undone") and own_id != message.id:
            # With the original time, so that a repeated command gets the same answer.
            since = min((one.time for one in _recorded(row.undo_answers)), default=now)
            reason = f"{message.action} has been undone; nothing is done for it any more"
            self._say([CommandRefused(reason=reason)], since)
        elif not self.is_new:
            self.answers = [self._addressed(one, n) for n, one in enumerate(_recorded(self._recorded_answers()))]

    def answer(self, events: Answers) -> None:
        """Set the answer to the message: an event, several, or None for "done".

        Raises `InvalidAction` if the message was answered before: nothing may follow from it again.
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
        """Answer that the effect was definitely not made; if it was a compensation, nothing was undone."""
        self._record("done" if self._message.undoes else "refused", [CommandRefused(reason=reason)])

    def close(self) -> Row | None:
        """Return the row to write; None if nothing changed."""
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
        """Return a recorded answer, addressed to this message, which may be another command about the same action."""
        if answer.causation_id == self._message.id:
            return answer
        number_id = output_id(self._message.id, self._participant, "", number)
        return replace(answer, id=number_id, causation_id=self._message.id, correlation_id=self._message.correlation_id)


def _recorded(answers: str | None) -> list[Envelope]:
    return [] if answers is None else _decode(answers)
