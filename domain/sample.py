"""The sample orders and the stock they meet; it must not use randomness, so that anyone can remake them.

`python -m domain.sample` writes `domain/data/orders.jsonl` and `domain/data/stock.jsonl` again.
"""

from collections.abc import Iterator, Mapping

import msgspec

from domain.data import ORDERS_PATH, STOCK_PATH
from domain.ordering.messages import CARRIER_NEVER, Order, OrderLine
from domain.payments.service import CLOSED_ACCOUNT_CARD, SLOW_REFUND_CARD

ORDERS_COUNT = 300

LIMITED_PIECES = 6
CATALOGUE: Mapping[str, tuple[int, int]] = {
    # SKU: (price in cents, pieces on hand when the shop opens)
    "beans-1kg": (1_890, 100_000),
    "filter-paper": (450, 100_000),
    "grinder": (8_900, 100_000),
    "kettle": (5_400, 100_000),
    "mug": (1_200, 100_000),
    "espresso-limited": (49_900, LIMITED_PIECES),
    "syphon": (12_500, 0),
}
EVERYDAY = ("beans-1kg", "filter-paper", "grinder", "kettle", "mug")
CUSTOMERS = ("Ada", "Grace", "Barbara", "Edsger", "Leslie", "Tony", "Radia", "Jim", "Hector")
DESTINATIONS = ("Lisbon", "Ghent", "Turin", "Porto", "Lyon", "Graz", "Bergen")

# One group per line: how many orders are like this, and what sets them apart from a fine one.
GROUPS: Mapping[str, tuple[int, Mapping[str, object]]] = {
    "declined": (12, {"card_token": "tok_declined"}),
    "insufficient": (6, {"card_token": "tok_insufficient"}),
    "missing": (8, {"sku": "syphon"}),
    "limited": (LIMITED_PIECES + 3, {"sku": "espresso-limited"}),
    "carrier-late": (12, {"carrier_down_for": 2}),
    "carrier-mute": (4, {"carrier_mute_for": 1}),
    "carrier-never": (5, {"carrier_down_for": CARRIER_NEVER}),
    "carrier-never-answers": (2, {"carrier_mute_for": CARRIER_NEVER}),
    "unserved": (3, {"destination": "Atlantis"}),
    "slow-refund": (2, {"card_token": SLOW_REFUND_CARD, "carrier_down_for": CARRIER_NEVER}),
    "closed-account": (1, {"card_token": CLOSED_ACCOUNT_CARD, "carrier_down_for": CARRIER_NEVER}),
}

EXPECTED_COUNTS: Mapping[str, int] = {"completed": 258, "failed": 41, "stuck": 1}
"""How the sample orders end on a shop that is new, whatever the order in which they run."""


CHOREOGRAPHED: Mapping[str, str] = {
    # What sets it apart, or nothing: how it ends.
    "": "completed",
    "declined": "failed",
    "insufficient": "failed",
    "missing": "failed",
    "carrier-late": "completed",
    "carrier-mute": "completed",
    "carrier-never": "failed",
    "carrier-never-answers": "failed",
    "unserved": "failed",
    "slow-refund": "failed",
    "closed-account": "stuck",
}
"""Of which sample orders the demo takes one more, with nobody in charge; not of those that compete for pieces."""
TELLING = "carrier-never"
"""The kind of order with most to undo."""


def sample_orders() -> Iterator[Order]:
    """Make the sample orders: the same ones, in the same order, each time."""
    kinds = _kinds()
    for number in range(ORDERS_COUNT):
        yield _order(number, kinds.get(number, ""))


def choreographed_orders() -> Iterator[Order]:
    """Copy one order of each kind in CHOREOGRAPHED, under an id of its own."""
    for kind in CHOREOGRAPHED:
        order = _order(_first(kind), kind)
        yield order.model_copy(update={"order_id": choreographed_id(order.order_id)})


def choreographed_id(order_id: str) -> str:
    """Return the id of an order's copy that is taken with nobody in charge."""
    return order_id.replace("order-", "created-")


def telling_order() -> str:
    """Return the id of an order that shows most."""
    return _order(_first(TELLING), TELLING).order_id


def _kinds() -> Mapping[int, str]:
    """Say which kind of order has which number, if it is no fine one."""
    special = [kind for kind, (count, _) in GROUPS.items() for _ in range(count)]
    # 7 and 300 have no common divisor, so each special order gets a place of its own.
    return {(11 + 7 * index) % ORDERS_COUNT: kind for index, kind in enumerate(special)}


def _first(kind: str) -> int:
    kinds = _kinds()
    return next(number for number in range(ORDERS_COUNT) if kinds.get(number, "") == kind)


def _order(number: int, kind: str) -> Order:
    values = dict(GROUPS[kind][1]) if kind else {}
    if "sku" in values:
        lines = [OrderLine(sku=str(values.pop("sku")), quantity=1)]
    else:
        skus = [EVERYDAY[(number + step) % len(EVERYDAY)] for step in range(1 + number % 3)]
        lines = [OrderLine(sku=sku, quantity=1 + (number // 3) % 4) for sku in skus]
    fine: dict[str, object] = {
        "order_id": f"order-{number + 1:04}",
        "customer": CUSTOMERS[number % len(CUSTOMERS)],
        "lines": lines,
        "total_cents": sum(CATALOGUE[line.sku][0] * line.quantity for line in lines),
        "card_token": "tok_visa" if number % 2 else "tok_mastercard",
        "destination": DESTINATIONS[number % len(DESTINATIONS)],
    }
    return Order.model_validate(fine | values)


def orders_text() -> str:
    """Write the sample orders as JSON Lines, without the fields that have their default."""
    orders = sample_orders()
    return "".join(f"{order.model_dump_json(exclude_defaults=True)}\n" for order in orders)


def stock_text() -> str:
    """Write the opening stock as JSON Lines."""
    return "".join(
        msgspec.json.encode({"sku": sku, "quantity": pieces}).decode() + "\n" for sku, (_, pieces) in CATALOGUE.items()
    )


if __name__ == "__main__":
    ORDERS_PATH.write_text(orders_text(), encoding="utf-8")
    STOCK_PATH.write_text(stock_text(), encoding="utf-8")
