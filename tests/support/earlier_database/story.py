"""What happened to the earlier app until its last process was killed: a saga in each situation that there is.

The keys say how each saga stood at the end. `tests/integration/test_a_database_written_before.py` says how they go on.
"""

from earlier_database.by_messages import (
    HANGS,
    LOST,
    SLOW,
    TOO_MUCH,
    Answered,
    Bought,
    DeliveryOrdered,
    GoodsArrived,
    Inquired,
    MoneyGivenBack,
    MoneyRefused,
    MoneyTaken,
    ReturnAnnounced,
)
from earlier_database.by_steps import Order, order, parcels, trip
from earlier_database.lives import Lives
from msgspec import Raw

from sagalog.messages import Envelope

RETRY = 60


async def story(lives: Lives) -> None:
    """Tell all of it."""
    await orders_that_end(lives)
    await parts_that_end(lives)
    await deliveries_that_end(lives)
    await those_who_waited(lives)
    await purchases(lives)
    await what_nobody_took(lives)
    await given_back(lives)
    await lives.restart()
    await steps_on_their_way(lives)
    await parts_on_their_way(lives)
    await messages_on_their_way(lives)
    await failing_for_now(lives)


async def orders_that_end(lives: Lives) -> None:
    """Let sagas of plain steps come to every end that there is."""
    await lives.start(order, Order("order-completed", note="é “quoted” 😀 it's\nnew line"))
    await lives.start(order, Order("order-without-mail", wants_mail=False))
    await lives.start(order, Order("order-retried", {"reserve": "fails once", "ship": "fails once"}))
    await lives.settle(RETRY)
    await lives.settle(RETRY)
    await lives.start(order, Order("order-refused", {"ship": "refused"}))
    await lives.start(order, Order("order-refused-beside", {"inspect": "refused", "undo charge": "fails once"}))
    await lives.settle(RETRY)
    await lives.start(order, Order("order-unknown", {"charge": "fails always"}))
    await lives.settle(RETRY)
    await lives.start(order, Order("order-stuck-at-pivot", {"ship": "fails"}))
    await lives.start(order, Order("order-stuck-undoing", {"ship": "refused", "undo reserve": "fails"}))
    await lives.start(order, Order("order-stuck-after-pivot", {"notify": "fails"}))
    resumed = await lives.start(order, Order("order-resumed", {"notify": "fails"}))
    await lives.settle(RETRY)
    lives.yard.mended = True
    await lives.manager.resume(resumed, action_id="then", actor="ada", reason="the mail server is back")
    await lives.settle()
    lives.yard.mended = False


async def parts_that_end(lives: Lives) -> None:
    """Let sagas with a step for each element, and with a saga as a step, come to their ends."""
    await lives.start(parcels, Order("parcels-completed", numbers=(1, 2, 3)))
    await lives.start(parcels, Order("parcels-none"))
    await lives.start(parcels, Order("parcels-refused", {"wrap[2]": "refused"}, numbers=(1, 2, 3)))
    await lives.start(trip, Order("trip-completed"))
    await lives.start(trip, Order("trip-child-refused", {"park": "refused"}))
    await lives.start(trip, Order("trip-child-undone", {"close": "refused"}))


async def deliveries_that_end(lives: Lives) -> None:
    """Let the service outside answer, refuse, and answer too late; a second order has the key of the first."""
    await lives.publish(DeliveryOrdered(order_id="delivery-completed"), "ordered-completed")
    await lives.answer("TakeMoney", "delivery-completed", MoneyTaken(order_id="x", payment="p-1"), "taken-completed")
    await lives.publish(DeliveryOrdered(order_id="delivery-completed", parcels=9), "ordered-again")
    await lives.publish(DeliveryOrdered(order_id="delivery-refused"), "ordered-refused")
    await lives.answer("TakeMoney", "delivery-refused", MoneyRefused(order_id="x", reason="no"), "refused-refused")
    await lives.publish(DeliveryOrdered(order_id="delivery-late"), "ordered-late")
    await lives.answer("TakeMoney", "delivery-late", MoneyRefused(order_id="x", reason="no"), "refused-late")
    await lives.answer("TakeMoney", "delivery-late", MoneyTaken(order_id="x", payment="late"), "taken-late")
    await lives.answer("GiveBack", "delivery-late", MoneyGivenBack(order_id="x"), "given-back-late")
    await lives.publish(DeliveryOrdered(order_id="delivery-undone", scripts={"drive": "refused"}), "ordered-undone")
    await lives.answer("TakeMoney", "delivery-undone", MoneyTaken(order_id="x", payment="p-2"), "taken-undone")
    await lives.answer("GiveBack", "delivery-undone", MoneyGivenBack(order_id="x"), "given-back-undone")


async def those_who_waited(lives: Lives) -> None:
    """Let sagas that wait have what they wait for: before they do, then, twice, or never; one runs again."""
    await lives.publish(ReturnAnnounced(return_id=SLOW), "announced-early")
    await lives.publish(GoodsArrived(return_id=SLOW, grams=1), "arrived-early")
    await lives.publish(GoodsArrived(return_id=SLOW, grams=2), "arrived-twice")
    await lives.settle(RETRY)
    await lives.publish(ReturnAnnounced(return_id="return-completed"), "announced-completed")
    await lives.publish(GoodsArrived(return_id="return-completed", grams=850), "arrived-completed")
    await lives.settle(1)
    await lives.publish(Inquired(inquiry_id="inquiry-never-answered"), "inquired-never")
    await lives.settle(1800)
    await lives.publish(Inquired(inquiry_id="inquiry-answered"), "inquired-first")
    await lives.publish(Answered(inquiry_id="inquiry-answered", text="yes"), "answered-first")
    await lives.publish(Inquired(inquiry_id="inquiry-answered"), "inquired-again")
    await lives.publish(Answered(inquiry_id="inquiry-answered", text="no"), "answered-again")


async def purchases(lives: Lives) -> None:
    """Let a choreography complete, fail, be stuck, and hang."""
    for name, cents in (("completed", 100), ("failed", TOO_MUCH + 1), ("stuck", LOST), ("running", HANGS)):
        await lives.publish(Bought(order_id=f"purchase-{name}", cents=cents), f"bought-{name}")


async def what_nobody_took(lives: Lives) -> None:
    """Let messages come that are for nobody, of a name that nobody knows, and that are no messages."""
    await lives.publish(GoodsArrived(return_id="return-unheard-of", grams=1), "arrived-for-nobody")
    unheard = Envelope(
        id="unheard-1",
        kind="event",
        name="Unheard",
        source="elsewhere",
        correlation_id="c-1",
        time=lives.clock.now(),
        data=Raw(b'{"of":["a","b"]}'),
    )
    await lives.manager.handle(unheard)
    await lives.manager.park(b'{"half a mess', source="elsewhere", reason="no JSON")
    discarded = await lives.manager.park("nonsense", source="elsewhere", reason="no JSON")
    await lives.manager.discard(discarded, actor="ada", reason="it says nothing")


async def given_back(lives: Lives) -> None:
    """Let sagas wait that nobody owns any more: their process shuts down gracefully."""
    await lives.publish(DeliveryOrdered(order_id="delivery-unanswered"), "ordered-unanswered")
    await lives.publish(ReturnAnnounced(return_id="return-waiting"), "announced-waiting")


async def steps_on_their_way(lives: Lives) -> None:
    """Let sagas of plain steps be in the middle."""
    await lives.start(order, Order("order-running", {"ship": "hangs"}))
    await lives.start(order, Order("order-running-beside", {"inspect": "hangs"}))
    await lives.start(order, Order("order-compensating", {"ship": "refused", "undo charge": "hangs"}))


async def parts_on_their_way(lives: Lives) -> None:
    """Let sagas of elements and of sagas be in the middle, doing and undoing."""
    await lives.start(parcels, Order("parcels-half-done", {"wrap[1]": "hangs"}, numbers=(1, 2, 3)))
    await lives.start(parcels, Order("parcels-weighing", {"weigh[1]": "hangs"}, numbers=(1, 2, 3)))
    partly = {"wrap[2]": "refused", "undo wrap[0]": "hangs"}
    await lives.start(parcels, Order("parcels-partly-undone", partly, numbers=(1, 2, 3)))
    await lives.start(trip, Order("trip-child-running", {"drive": "hangs"}))
    await lives.start(trip, Order("trip-child-undoing", {"close": "refused", "undo drive": "hangs"}))
    await lives.start(trip, Order("trip-child-stuck", {"park": "refused", "undo drive": "fails"}))
    await lives.settle(RETRY)


async def messages_on_their_way(lives: Lives) -> None:
    """Let commands be unanswered, by the service outside and by participants; one sleeps, one has unread mail."""
    await lives.publish(DeliveryOrdered(order_id="delivery-undoing", scripts={"drive": "refused"}), "ordered-undoing")
    await lives.answer("TakeMoney", "delivery-undoing", MoneyTaken(order_id="x", payment="p-3"), "taken-undoing")
    await lives.publish(DeliveryOrdered(order_id="delivery-in-hand", scripts={"book": "hangs"}), "ordered-in-hand")
    await lives.publish(DeliveryOrdered(order_id="delivery-given-up", scripts={"book": "fails"}), "ordered-given-up")
    await lives.settle(RETRY)
    await lives.publish(ReturnAnnounced(return_id="return-sleeping"), "announced-sleeping")
    await lives.publish(GoodsArrived(return_id="return-sleeping", grams=7), "arrived-sleeping")


async def failing_for_now(lives: Lives) -> None:
    """Let what fails wait for its next attempt, and an event be published that nobody has read when all is killed."""
    await lives.publish(DeliveryOrdered(order_id="delivery-retrying", scripts={"book": "fails"}), "ordered-retrying")
    await lives.start(order, Order("order-retrying", {"reserve": "fails"}))
    await lives.start(order, Order("order-undoing-again", {"ship": "refused", "undo reserve": "fails"}))
    await lives.publish(ReturnAnnounced(return_id="return-unread"), "announced-unread")
    await lives.manager.publish(GoodsArrived(return_id="return-unread", grams=8), id="arrived-unread")
