"""Orders of every outcome, each made from its number alone, so that two processes start the very same ones."""

from collections.abc import Mapping
from random import Random

from domain.ordering.messages import CARRIER_NEVER, Order, OrderLine
from domain.payments.service import CLOSED_ACCOUNT_CARD, SLOW_REFUND_CARD
from domain.sample import CATALOGUE, CUSTOMERS, DESTINATIONS, EVERYDAY

ENDS: Mapping[str, tuple[int, str, Mapping[str, object]]] = {
    # kind: (how many of a hundred, how its saga ends, what sets it apart from a fine order)
    "fine": (46, "completed", {}),
    "declined": (8, "failed", {"card_token": "tok_declined"}),
    "missing": (8, "failed", {"sku": "syphon"}),
    "carrier-late": (10, "completed", {"carrier_down_for": 2}),
    "carrier-mute": (6, "completed", {"carrier_mute_for": 1}),
    "carrier-never": (6, "failed", {"carrier_down_for": CARRIER_NEVER}),
    "carrier-never-answers": (4, "failed", {"carrier_mute_for": CARRIER_NEVER}),
    "unserved": (4, "failed", {"destination": "Atlantis"}),
    "slow-refund": (4, "failed", {"card_token": SLOW_REFUND_CARD, "carrier_down_for": CARRIER_NEVER}),
    "closed-account": (4, "stuck", {"card_token": CLOSED_ACCOUNT_CARD, "carrier_down_for": CARRIER_NEVER}),
}
KINDS = [kind for kind, (share, _, _) in ENDS.items() for _ in range(share)]


def kind_of(number: int) -> str:
    """Return which kind of order has this number."""
    return Random(number).choice(KINDS)


def key_of(number: int) -> str:
    """Return the order's id, which is the key of its saga."""
    return f"order-{number:06}-{kind_of(number)}"


def end_of(key: str) -> str:
    """Return how the saga of the order with this key has to end, however often its workers are killed."""
    return ENDS[key.split("-", 2)[2]][1]


def order_of(number: int) -> Order:
    """Make the order with this number."""
    chance = Random(number)
    changes = dict(ENDS[chance.choice(KINDS)][2])
    sku = str(changes.pop("sku", chance.choice(EVERYDAY)))
    pieces = chance.randint(1, 3)
    fine: dict[str, object] = {
        "order_id": key_of(number),
        "customer": chance.choice(CUSTOMERS),
        "lines": (OrderLine(sku=sku, quantity=pieces),),
        "total_cents": CATALOGUE[sku][0] * pieces,
        "card_token": "tok_visa",
        "destination": chance.choice(DESTINATIONS),
    }
    return Order.model_validate(fine | changes)
