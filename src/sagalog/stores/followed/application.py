"""The log of an `eventsourcing` application (9.5) as a source: read by notification id, never through a subscription.

Only topics of declared classes are resolved, so a stored row cannot cause an import. What the application's own
mapper does with those topics is outside of our control.
"""

import base64
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from eventsourcing import utils as topics
from eventsourcing.application import Application
from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import (
    ApplicationRecorder,
    DatetimeAsISO,
    DecimalAsStr,
    JSONTranscoder,
    Mapper,
    UUIDAsHex,
)
from eventsourcing.persistence import Notification as Recorded

from sagalog.errors import DefinitionError, SourceUnavailable
from sagalog.source import Notification, Page

if TYPE_CHECKING:
    from sagalog.stores.followed.postgres import Gaps

Returned = TypeVar("Returned")
Followable = Application[Any] | ApplicationRecorder

# How much of an entry's state is shown to a person, in characters.
SHOWN = 64 * 1024
# Topics come from rows, so the cache of resolved topics needs a limit.
MOST_TOPICS = 10_000


class FollowedApplication:
    """The source port for an application, or for one of its recorders.

    `mapper` decodes its events. By default it is the application's own; for a recorder, it is the mapper of an
    application without special settings.
    """

    def __init__(self, source: object, kinds: Iterable[type], name: str | None, mapper: object = None) -> None:
        if isinstance(source, Application):
            application = cast(Any, source)
            self._recorder: ApplicationRecorder = application.recorder
            self._mapper: Mapper[Any] = application.mapper
            self.name: str = name or application.name
        elif isinstance(source, ApplicationRecorder):
            if name is None:
                raise DefinitionError("a recorder has no name: say follow(recorder, ..., name='orders')")
            self._recorder, self._mapper, self.name = source, _plain_mapper(), name
        else:
            raise DefinitionError(
                "expected an `eventsourcing` Application or one of its application recorders to follow, "
                f"found {type(source).__name__}"
            )
        if mapper is not None:
            if not isinstance(mapper, Mapper):
                raise DefinitionError(f"mapper= takes an `eventsourcing` Mapper, found {type(mapper).__name__}")
            self._mapper = cast(Any, mapper)
        # get_topic also registers the class with the library, so that its mapper need not import anything.
        self._kinds: dict[str, type | None] = {topics.get_topic(kind): kind for kind in kinds}
        self._declared = frozenset(kind for kind in self._kinds.values() if kind is not None)
        self._gaps: Gaps | None = _gaps(self._recorder)

    def head(self) -> int:
        """Return the id of the last entry."""
        return self._asked(self._recorder.max_notification_id) or 0

    def read(self, after: int, limit: int) -> Page:
        """Return entries above `after`; those of other classes are skipped without being decoded."""
        found: Sequence[Recorded]
        gaps = self._gaps
        if gaps is None:
            found, whole = self._select(after, limit), True
        else:
            found, whole = self._asked(lambda: gaps.read(self._select, after, limit))
        wanted: list[Notification] = []
        for one in found:
            kind = self._kind_of(one.topic)
            if kind is not None:
                wanted.append(_notification(one, kind))
        return Page(wanted, found[-1].id if found else after, whole and len(found) == limit)

    def find(self, notification_id: int) -> Notification | None:
        """Return one entry; None if there is none, or if it is of another class."""
        for one in self._select(notification_id - 1, 1, notification_id):
            kind = self._kind_of(one.topic)
            return None if kind is None else _notification(one, kind)
        return None

    def decode(self, notification: Notification) -> object:
        """Return the domain event, made by the application's mapper."""
        event: object = self._mapper.to_domain_event(notification.stored)
        return event

    def text(self, notification: Notification) -> str:
        """Return the entry as JSON text; a state that is no text is given in base64."""
        state = bytes(notification.stored.state)[:SHOWN]
        try:
            shown: dict[str, str] = {"state": state.decode()}
        except UnicodeDecodeError:
            shown = {"state_base64": base64.b64encode(state).decode()}
        whole = {
            "application": self.name,
            "notification_id": notification.id,
            "originator_id": notification.originator_id,
            "originator_version": notification.originator_version,
            "topic": notification.topic,
            **shown,
        }
        return msgspec.json.encode(whole).decode()

    def _select(self, after: int, limit: int, stop: int | None = None) -> Sequence[Recorded]:
        return self._asked(
            lambda: self._recorder.select_notifications(after, limit, stop, inclusive_of_start=False),
        )

    def _asked(self, call: Callable[[], Returned]) -> Returned:
        try:
            return call()
        except (EventSourcingError, OSError) as problem:
            text = " ".join(str(problem).split()) or type(problem).__name__
            raise SourceUnavailable(f"the log of {self.name} cannot be read: {text}") from problem

    def _kind_of(self, topic: str) -> type | None:
        """Return the declared class of a topic, old names of renamed classes included; None for any other topic."""
        try:
            return self._kinds[topic]
        except KeyError:
            if len(self._kinds) >= MOST_TOPICS:
                self._kinds = {known: kind for known, kind in self._kinds.items() if kind is not None}
            registered = _registered(topic)
            kind = registered if registered in self._declared else None
            self._kinds[topic] = kind
            return kind


def _notification(one: Recorded, kind: type) -> Notification:
    return Notification(one.id, str(one.originator_id), one.originator_version, one.topic, kind, one)


def _plain_mapper() -> Mapper[Any]:
    transcoder = JSONTranscoder()
    for transcoding in (UUIDAsHex(), DecimalAsStr(), DatetimeAsISO()):
        transcoder.register(transcoding)
    return Mapper(transcoder)


def _registered(topic: str) -> Any:
    """Return what is registered for a topic, for an enclosing class, or for its module; nothing is imported."""
    known: dict[str, Any] = topics._topic_cache  # noqa: SLF001 - the library's own lookup imports what it does not know
    module, _, path = topic.partition(":")
    names = path.split(".")
    for length in range(len(names), 0, -1):
        found = known.get(f"{module}:{'.'.join(names[:length])}")
        if found is not None:
            return _inside(found, names[length:])
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        found = known.get(".".join(parts[:length]))
        if found is not None:
            renamed = ".".join([getattr(found, "__name__", ""), *parts[length:]])
            return _inside(sys.modules.get(renamed), names)
    return None


def _inside(found: Any, names: Sequence[str]) -> Any:
    for name in names:
        found = getattr(found, name, None)
    return found


def _gaps(recorder: ApplicationRecorder) -> "Gaps | None":
    # Only an application on PostgreSQL has loaded its driver.
    if any(kind.__module__ == "eventsourcing.postgres" for kind in type(recorder).__mro__):
        from sagalog.stores.followed.postgres import Gaps

        return Gaps(recorder)
    return None
