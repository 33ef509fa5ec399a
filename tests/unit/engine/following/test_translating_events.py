"""A domain event of a followed application becomes messages: the same every time, or a reason why there are none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, cast

import pytest
from msgspec import Struct, json

from sagalog import Event
from sagalog.engine.following.translation import FollowContext, Translation
from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.saga.times import EARLIEST_TIME, LATEST_TIME
from sagalog.source import Notification, Page

NOW = 1_700_000_000_000_000


class Placed(Struct):
    number: int
    timestamp: datetime | None = None
    correlation_id: object = None
    causation_id: object = None


class OrderPlaced(Event):
    number: int


class OrderCounted(Event):
    NAME = "order-counted"
    number: int


class Labelled(Event):
    label: Any
    size: int = 0


class Shelf:
    """A source whose entries are the events themselves."""

    name = "shelf"

    def head(self) -> int:
        return 0

    def read(self, after: int, limit: int) -> Page:
        return Page((), after, more=False)

    def find(self, notification_id: int) -> Notification | None:
        return None

    def decode(self, notification: Notification) -> object:
        if isinstance(notification.stored, Exception):
            raise notification.stored
        return notification.stored

    def text(self, notification: Notification) -> str:
        return "{}"


def translation(handler: Callable[..., object], name: str = "shelf") -> Translation:
    return Translation(name, Shelf(), {Placed: handler})


def notification(stored: object, number: int = 7) -> Notification:
    return Notification(number, "order-1", 3, "shop:Placed", Placed, stored)


def giving(answer: object) -> Callable[..., object]:
    def handler(happened: Placed) -> object:
        return answer

    return handler


def to_placed(happened: Placed) -> OrderPlaced:
    return OrderPlaced(number=happened.number)


def test_an_event_becomes_a_message_whose_id_says_where_it_comes_from() -> None:
    """Invariants 7 and 8."""
    (message,) = translation(to_placed).entry(notification(Placed(5)), NOW).messages
    assert (message.id, message.kind, message.name, message.source) == (
        "follow:shelf:7:0",
        "event",
        "OrderPlaced",
        "shelf",
    )
    assert json.decode(message.data) == {"number": 5}
    assert (message.time, message.correlation_id, message.causation_id) == (NOW, message.id, None)


def test_the_same_notification_gives_the_same_ids_however_often_it_is_translated() -> None:
    """Invariant 7."""

    def both(happened: Placed) -> list[Event]:
        return [OrderPlaced(number=happened.number), OrderCounted(number=happened.number)]

    first = translation(both).entry(notification(Placed(5)), NOW)
    assert first == translation(both).entry(notification(Placed(5)), NOW)
    assert [message.id for message in first.messages] == ["follow:shelf:7:0", "follow:shelf:7:1"]
    assert [message.name for message in first.messages] == ["OrderPlaced", "order-counted"]
    assert {message.correlation_id for message in first.messages} == {"follow:shelf:7:0"}


def test_two_follows_never_give_the_same_id() -> None:
    """Invariant 7: a name that ends like an id does not hide another follow's messages."""
    one = translation(to_placed, "a").entry(notification(Placed(5), 12), NOW)
    other = translation(to_placed, "a:12").entry(notification(Placed(5), 0), NOW)
    assert one.messages[0].id != other.messages[0].id


def test_an_event_that_carries_its_time_and_its_ids_keeps_them() -> None:
    """Invariant 4: an application that answers our commands says which one it answers."""
    moment = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    event = Placed(5, timestamp=moment, correlation_id="order-1", causation_id="saga-1:pay")
    (message,) = translation(to_placed).entry(notification(event), NOW).messages
    assert (message.correlation_id, message.causation_id) == ("order-1", "saga-1:pay")
    assert message.time == 1_795_435_200_123_456


BEHIND, AHEAD = timezone(timedelta(hours=-14)), timezone(timedelta(hours=14))


@pytest.mark.parametrize(
    ("moment", "time"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), EARLIEST_TIME),
        (datetime(1970, 1, 1, 14, tzinfo=AHEAD), EARLIEST_TIME),
        (datetime.max.replace(tzinfo=UTC), LATEST_TIME),
        # Without a zone it would be another moment on another machine, and the same event another message.
        (datetime(2026, 11, 23, 12, 0, 0, 123456), 1_795_435_200_123_456),  # noqa: DTZ001 - it is what is tested
        (datetime.max, LATEST_TIME),  # noqa: DTZ901
    ],
)
def test_the_time_of_an_event_is_kept_to_the_microsecond_wherever_it_is_read(moment: datetime, time: int) -> None:
    (message,) = translation(to_placed).entry(notification(Placed(5, timestamp=moment)), NOW).messages
    assert message.time == time


class Unsure(tzinfo):
    """A zone that cannot say how far it is from UTC."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        raise OverflowError("which UTC?")

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=AHEAD),
        datetime.max.replace(tzinfo=BEHIND),
        datetime.min.replace(tzinfo=AHEAD),
        datetime.min,  # noqa: DTZ901
        datetime(2026, 1, 1, tzinfo=Unsure()),
    ],
)
def test_an_event_whose_time_could_not_go_out_is_parked_with_the_reason(moment: datetime) -> None:
    entry = translation(to_placed).entry(notification(Placed(5, timestamp=moment)), NOW)
    assert list(entry.messages) == []
    assert entry.error is not None
    assert "expected a time between 1970" in entry.error or "which UTC?" in entry.error


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_a_handler_may_have_nothing_to_say(nothing: object) -> None:
    entry = translation(giving(nothing)).entry(notification(Placed(5)), NOW)
    assert (list(entry.messages), entry.error) == ([], None)


def test_a_handler_that_asks_for_the_context_is_told_where_the_event_stands() -> None:
    asked: list[FollowContext] = []

    def handler(happened: Placed, context: FollowContext) -> None:
        asked.append(context)

    def unannotated(happened: Any, context: Any) -> None:
        asked.append(context)

    translation(handler).entry(notification(Placed(5)), NOW)
    translation(unannotated).entry(notification(Placed(5)), NOW)
    expected = FollowContext(follow="shelf", notification_id=7, originator_id="order-1", originator_version=3)
    assert asked == [expected, expected]


def test_a_default_is_not_taken_for_the_context() -> None:
    def handler(happened: Placed, number: int = 4) -> OrderPlaced:
        return OrderPlaced(number=number)

    entry = translation(handler).entry(notification(Placed(5)), NOW)
    assert json.decode(entry.messages[0].data) == {"number": 4}


async def later(happened: Placed) -> None:
    pass


def divides(happened: Placed) -> OrderPlaced:
    return OrderPlaced(number=happened.number // 0)


def no_event() -> None:
    pass


def too_much(happened: Placed, context: FollowContext, more: int) -> None:
    pass


def by_name(happened: Placed, *, context: FollowContext) -> None:
    pass


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (divides, "ZeroDivisionError"),
        (giving("placed"), "found str"),
        (giving([OrderPlaced(number=1), 5]), "found int"),
        (giving(Labelled(label="1\0")), "NUL"),
        (giving(Labelled(label="x" * 300_000)), "the cap is"),
        (giving(Labelled(label=set)), "$.label: type, which cannot be stored as JSON"),
        (giving(Labelled(label="", size=cast(int, "big"))), "Labelled: $.size: expected int, found str"),
    ],
)
def test_a_handler_that_fails_says_why(handler: Callable[..., object], said: str) -> None:
    """Invariant 36: whatever a handler does ends in an entry, never in an error that stops those behind it."""
    entry = translation(handler).entry(notification(Placed(5)), NOW)
    assert entry.error is not None
    assert said in entry.error
    assert not entry.messages


def test_a_coroutine_that_a_handler_returns_is_refused_and_closed() -> None:
    def handler(happened: Placed) -> object:
        return later(happened)

    entry = translation(handler).entry(notification(Placed(5)), NOW)
    assert entry.error == "TypeError: a handler returns an Event, several, or None; found coroutine"


def test_an_event_that_cannot_be_decoded_says_why_in_text_that_can_be_stored() -> None:
    entry = translation(to_placed).entry(notification(ValueError("bad\0\ud800 state\n" * 1000)), NOW)
    assert entry.error is not None
    assert entry.error.startswith(r"ValueError: bad\x00\ud800 state bad")
    assert len(entry.error) <= 2000


@pytest.mark.parametrize("bad", ["with\0nul", "", "x" * 600])
def test_an_id_that_no_store_can_keep_is_an_error_of_the_event(bad: str) -> None:
    entry = translation(to_placed).entry(notification(Placed(5, correlation_id=bad)), NOW)
    assert entry.error is not None
    assert "InvalidIdentifier: correlation_id" in entry.error


@pytest.mark.parametrize(
    ("kind", "handler", "said"),
    [
        (Placed, later, "is async"),
        (Placed, "placed", "cannot be called"),
        (Placed, no_event, "takes the event"),
        (Placed, too_much, "takes the event"),
        (Placed, by_name, "takes the event"),
        ("Placed", to_placed, "found the key 'Placed'"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_before_anything_is_followed(kind: Any, handler: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        Translation("shelf", Shelf(), {kind: handler})


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidIdentifier):
        translation(to_placed, name)


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Panic(BaseException):
    """What a native extension raises."""


@pytest.mark.parametrize(("problem", "said"), [(Speechless(), "Speechless"), (Panic("in Rust"), "Panic: in Rust")])
def test_whatever_a_mapping_raises_parks_its_event_and_ends_nothing(problem: BaseException, said: str) -> None:
    def fail(happened: Placed) -> None:
        raise problem

    entry = translation(fail).entry(notification(Placed(5)), NOW)
    assert entry.error is not None
    assert entry.error.startswith(said)
