"""Domain events and events of sagas in one projection: in the order of the log, in lanes by cause."""

import asyncio

from databases.stores import opened
from read_models.order_book import asked, caught_up, following

from sagalog import Event, Saga
from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import ensure
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaCompleted, SagaStarted, Tables


class OrderPlaced(Event):
    order_id: str
    cents: int


class OrderPraised(Event):
    order_id: str


bill = Saga("bill", input=OrderPlaced, key=lambda placed: placed.order_id)
bill.started_by(OrderPlaced, input=lambda placed: placed, key=lambda placed: placed.order_id)


@bill.step(compensation=None)
async def send(placed: OrderPlaced) -> int:
    return placed.cents


SQL = """
CREATE TABLE {story} (position BIGINT NOT NULL PRIMARY KEY, order_id TEXT NOT NULL, what TEXT NOT NULL);

-- name: add
INSERT INTO {story} VALUES (:position, :order_id, :what);
"""


def story_of(bad: bool = False) -> Projection:
    story = Projection("story", sql=SQL)

    @story.on
    def placed(event: OrderPlaced | OrderPraised, metadata: Metadata, tables: Tables) -> None:
        if bad and event.order_id == "o-1":
            raise ValueError("not this one")
        assert metadata.saga is None
        tables.run("add", position=metadata.position, order_id=event.order_id, what=type(event).__name__)

    @story.on
    def billed(event: SagaStarted | SagaCompleted, metadata: Metadata, tables: Tables) -> None:
        tables.run("add", position=metadata.position, order_id=metadata.key, what=type(event).__name__)

    return story


async def placed(database: str) -> None:
    async with ProcessManager(database, sagas=[bill]) as manager:
        for number in range(3):
            await manager.publish(OrderPlaced(order_id=f"o-{number}", cents=number))
        await manager.publish(OrderPraised(order_id="o-2"))
        while len(await manager.find(statuses=["completed"])) < 3:
            await asyncio.sleep(0.01)


def test_both_are_told_in_the_order_of_the_log(each_sql_database: str) -> None:
    asyncio.run(placed(each_sql_database))
    with opened(each_sql_database) as store, following(story_of(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        assert verify(projecting).differences == []
    for number in range(3):
        found = asked(each_sql_database, f"SELECT what FROM story WHERE order_id = 'o-{number}' ORDER BY position")
        said = [what for (what,) in found if what != "OrderPraised"]
        assert said == ["OrderPlaced", "SagaStarted", "SagaCompleted"]
    assert asked(each_sql_database, "SELECT count(*) FROM story WHERE what = 'OrderPraised'") == [(1,)]


def test_a_saga_waits_behind_the_event_that_began_it(each_sql_database: str) -> None:
    """The lane is the correlation id, so an event and the saga that it started are in one."""
    asyncio.run(placed(each_sql_database))
    with opened(each_sql_database) as store, following(story_of(bad=True), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
        with projecting.database.reading() as transaction:
            found = transaction.parked("story", 1)
    assert [(one.event, one.status) for one in found] == [
        ("OrderPlaced", "retrying"),
        ("SagaStarted", "waiting"),
        ("SagaCompleted", "waiting"),
    ]
    assert asked(each_sql_database, "SELECT count(*) FROM story WHERE order_id = 'o-1'") == [(0,)]
