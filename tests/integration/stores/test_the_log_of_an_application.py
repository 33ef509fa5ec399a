"""The log of an `eventsourcing` application as a source: read in order, up to gaps that may fill, importing nothing."""

import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from eventsourcing.utils import register_topic
from followed import bookshop as module_of_the_bookshop
from followed.bookshop import Bookshop, Order, bookshop, order_id
from msgspec import json
from psycopg import sql

from sagalog.errors import DefinitionError, SourceUnavailable
from sagalog.stores.followed.application import FollowedApplication

FOLLOWED = (Order.Placed, Order.Paid)


def followed(application: Bookshop) -> FollowedApplication:
    return FollowedApplication(application, FOLLOWED, None)


def insert(application: Bookshop, topic: str, state: bytes = b"{}") -> None:
    """Write an event as some other version of the application, or somebody else, would have."""
    application.recorder.insert_events([StoredEvent(uuid4(), 1, topic, state)])


def test_it_is_read_in_pages_and_classes_nobody_follows_are_passed_by(each_bookshop: Bookshop) -> None:
    each_bookshop.place(1)
    for text in ("one", "two", "three"):
        each_bookshop.note(1, text)
    each_bookshop.pay(1)
    source = followed(each_bookshop)
    assert source.head() == 5
    first = source.read(0, 3)
    assert ([one.id for one in first.notifications], first.position, first.more) == ([1], 3, True)
    second = source.read(3, 3)
    assert ([one.id for one in second.notifications], second.position, second.more) == ([5], 5, False)
    end = source.read(5, 3)
    assert ([*end.notifications], end.position, end.more) == ([], 5, False)


def test_an_entry_is_decoded_by_the_applications_own_mapper(each_bookshop: Bookshop) -> None:
    each_bookshop.place(7, cents=450)
    source = followed(each_bookshop)
    (one,) = source.read(0, 10).notifications
    assert (one.kind, one.originator_id, one.originator_version) == (Order.Placed, str(order_id(7)), 1)
    event: Any = source.decode(one)
    assert (type(event), event.number, event.cents) == (Order.Placed, 7, 450)
    again = source.find(1)
    assert again is not None
    assert source.decode(again) == event
    assert source.find(2) is None


def test_an_empty_log_has_no_head(each_bookshop: Bookshop) -> None:
    source = followed(each_bookshop)
    assert (source.head(), source.read(0, 10).position) == (0, 0)


def test_nothing_is_imported_because_a_row_names_it(
    each_bookshop: Bookshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sabotage.py").write_text("class Boom: pass\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for topic in (
        "sabotage:Boom",
        "bookshop.sabotage:Boom",
        "followed.bookshop:Order.__init__",
        "sabotage",
        "",
        ":",
        "a.b.c:d.e",
    ):
        insert(each_bookshop, topic)
    page = followed(each_bookshop).read(0, 100)
    assert ([*page.notifications], page.position) == ([], 7)
    assert "sabotage" not in sys.modules


def test_a_class_that_was_renamed_is_known_by_the_names_that_the_application_registered(
    each_bookshop: Bookshop,
) -> None:
    """Invariant 43: old events of a class that is followed are not passed by."""
    register_topic("library:Order.Placed", Order.Placed)
    register_topic("older_library:Purchase", Order)
    register_topic("oldest_library", module_of_the_bookshop)
    each_bookshop.place(1)
    state = each_bookshop.notifications()[0].state
    old = ("library:Order.Placed", "older_library:Purchase.Placed", "oldest_library:Order.Placed")
    for topic in (*old, "library:Order.Paid", "older_library:Purchase.Noted", "older_library:Purchase.Gone"):
        insert(each_bookshop, topic, state)
    source = followed(each_bookshop)
    found = source.read(0, 100).notifications
    assert [one.topic for one in found] == ["followed.bookshop:Order.Placed", *old]
    assert {type(source.decode(one)) for one in found} == {Order.Placed}


def test_topics_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagalog.stores.followed.application.MOST_TOPICS", 10)
    with bookshop("popo") as application:
        for number in range(50):
            insert(application, f"followed.bookshop:Order.Unknown{number}")
        application.place(1)
        source = followed(application)
        assert len(source.read(0, 100).notifications) == 1
        assert len(source._kinds) <= 10


def test_a_recorder_alone_is_followed_under_a_name_that_is_given(each_bookshop: Bookshop) -> None:
    each_bookshop.place(3)
    source = FollowedApplication(each_bookshop.recorder, FOLLOWED, "shop")
    (one,) = source.read(0, 10).notifications
    event: Any = source.decode(one)
    assert (source.name, event.number, event.originator_id) == ("shop", 3, order_id(3))


def test_an_entry_is_shown_as_text_whatever_its_state_is(each_bookshop: Bookshop) -> None:
    each_bookshop.place(1)
    insert(each_bookshop, "followed.bookshop:Order.Placed", b"\xff\x00\x01")
    source = followed(each_bookshop)
    readable, binary = (json.decode(source.text(one)) for one in source.read(0, 10).notifications)
    assert (readable["notification_id"], readable["originator_id"]) == (1, str(order_id(1)))
    assert '"number":1' in readable["state"]
    assert (binary["topic"], binary["state_base64"]) == ("followed.bookshop:Order.Placed", "/wAB")


def test_what_cannot_be_followed_is_refused() -> None:
    with bookshop("popo") as application:
        with pytest.raises(DefinitionError, match="say follow"):
            FollowedApplication(application.recorder, FOLLOWED, None)
        with pytest.raises(DefinitionError, match="found type"):
            FollowedApplication(Bookshop, FOLLOWED, None)
        with pytest.raises(DefinitionError, match="takes an `eventsourcing` Mapper, found str"):
            FollowedApplication(application, FOLLOWED, None, "json")


def test_a_log_that_is_closed_cannot_be_read_for_now(tmp_path: Path) -> None:
    with bookshop(f"sqlite:///{tmp_path / 'shop.db'}") as application:
        source = followed(application)
    with pytest.raises(SourceUnavailable, match="the log of Bookshop cannot be read"):
        source.read(0, 10)


def table(application: Bookshop) -> sql.Identifier:
    recorder = application.recorder
    assert isinstance(recorder, PostgresApplicationRecorder)
    return sql.Identifier(recorder.events_table_name)


def write_beside(connection: "psycopg.Connection[Any]", application: Bookshop, number: int) -> None:
    """Insert an event in a transaction of our own, without the recorder's lock, and leave it open."""
    stored = application.mapper.to_stored_event(Order(number=number, cents=1).pending_events[0])
    connection.execute(
        sql.SQL("INSERT INTO {} (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)").format(
            table(application)
        ),
        (stored.originator_id, stored.originator_version, stored.topic, stored.state),
    )


@pytest.mark.postgres
def test_an_id_that_was_rolled_back_is_passed(application_url: str) -> None:
    """Invariant 43: a gap that nobody can fill any more holds nothing up."""
    with bookshop(application_url) as application, psycopg.connect(application_url) as connection:
        application.place(1)
        write_beside(connection, application, 2)
        connection.rollback()
        application.place(3)
        page = followed(application).read(0, 100)
        assert ([one.id for one in page.notifications], page.position) == ([1, 3], 3)


@pytest.mark.postgres
@pytest.mark.parametrize("commits", [True, False])
def test_an_id_that_may_be_committed_after_a_higher_one_is_waited_for(application_url: str, commits: bool) -> None:
    """Invariant 43, for applications with POSTGRES_ENABLE_DB_FUNCTIONS, which write without the lock."""
    with bookshop(application_url, POSTGRES_ENABLE_DB_FUNCTIONS="y") as application:
        application.place(1)
        with psycopg.connect(application_url) as slow:
            write_beside(slow, application, 2)
            application.place(3)
            source = followed(application)
            page = source.read(0, 100)
            assert ([one.id for one in page.notifications], page.position) == ([1], 1)
            with psycopg.connect(application_url) as later:
                # Whoever comes later draws higher ids: the gap must not wait for them too.
                write_beside(later, application, 4)
                assert source.read(1, 100).position == 1
                if commits:
                    slow.commit()
                else:
                    slow.rollback()
                page = source.read(1, 100)
                expected = [2, 3] if commits else [3]
                assert ([one.id for one in page.notifications], page.position) == (expected, 3)
                later.commit()
            assert [one.id for one in source.read(3, 100).notifications] == [4]


def test_classes_of_one_application_are_not_those_of_another() -> None:
    class Placed(Aggregate.Event):
        pass

    with bookshop("popo") as application:
        application.place(1)
        assert not FollowedApplication(application, [Placed], None).read(0, 10).notifications
