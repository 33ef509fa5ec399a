"""Does what the services did match how the orders ended? It must not read a saga's own tables.

The ledgers are independent witnesses: a saga that believes itself completed is not believed here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from domain.inventory.service import Inventory
from domain.ordering.service import Ordering
from domain.payments.service import Payments
from domain.service import Effect
from domain.shipping.service import Carrier


class Violation(msgspec.Struct, frozen=True):
    """One thing that must never happen, and did."""

    rule: str
    subject: str
    """The order, key, SKU or service that it happened to."""
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: {self.detail}"


def reconcile(
    ended: Mapping[str, str],
    *,
    inventory: Inventory,
    payments: Payments,
    carrier: Carrier,
    ordering: Ordering | None = None,
) -> list[Violation]:
    """List what the services' tables and the ends of the orders disagree about: nothing, if healthy.

    `ended` gives the saga's status for every order that was started: a completed order is reserved,
    paid and shipped, each once and none undone; a failed one has nothing left; a stuck or open one
    has each at most once. With `ordering`, every order in the book must be in `ended` and be paid
    what it costs. Call it while nothing runs: it reads one service after the other.
    """
    ledgers = {
        "inventory": inventory.effects(),
        "payments": payments.effects(),
        "shipping": carrier.effects(),
    }
    live = {
        "inventory": inventory.live(),
        "payments": payments.live(),
        "shipping": carrier.live(),
    }
    found: list[Violation] = []
    for service, effects in ledgers.items():
        found += exactly_once(effects)
        found += _rows_match_ledger(service, live[service], effects)
        found += _ends_match(service, ended, live[service], effects)
    found += _levels_match(inventory.levels(), ledgers["inventory"])
    found += _balance_matches(payments.balance_cents(), ledgers["payments"])
    if ordering is not None:
        found += exactly_once(ordering.effects())
        found += _book_matches(ordering.totals(), ended, ledgers["payments"])
    return found


def reconcile_returns(
    ended: Mapping[str, str], *, inventory: Inventory, payments: Payments, ordering: Ordering
) -> list[Violation]:
    """List what the services' tables and the ends of the returns disagree about: nothing, if healthy.

    A completed return is restocked, paid back once and closed; a failed one has nothing left.
    """
    restocked = Counter(inventory.restocked().values())
    paid_back = Counter(payments.paid_back().values())
    closed = ordering.closed_returns()
    found: list[Violation] = []
    for return_id, status in ended.items():
        did = f"{restocked[return_id]} restocked, {paid_back[return_id]} paid back"
        is_closed = return_id in closed
        if status == "completed" and not (restocked[return_id] and paid_back[return_id] == 1 and is_closed):
            detail = f"{did}, {'closed' if is_closed else 'not closed'}"
            found.append(Violation("completed return is not whole", return_id, detail))
        elif status == "failed" and (restocked[return_id] or paid_back[return_id] or is_closed):
            found.append(Violation("failed return left something", return_id, did))
    for return_id in sorted((restocked.keys() | paid_back.keys() | closed.keys()) - ended.keys()):
        found.append(Violation("effect without a saga", return_id, "a return"))
    return found


def exactly_once(effects: Sequence[Effect]) -> Iterator[Violation]:
    """Find effects made twice under one key, undone twice, undone before or without being made."""
    made: Counter[tuple[str, str, str]] = Counter()
    undone: Counter[tuple[str, str]] = Counter()
    amounts: dict[tuple[str, str], int] = {}
    for effect in effects:
        made[effect.key, effect.operation, effect.item] += 1
        if effect.undoes is None:
            amounts[effect.key, effect.item] = effect.amount
            continue
        undone[effect.undoes, effect.item] += 1
        if amounts.get((effect.undoes, effect.item)) != -effect.amount:
            detail = f"{effect.operation} of {effect.amount} {effect.item} matches no effect"
            yield Violation("undone without being made", effect.undoes, detail)
    for (key, operation, item), count in made.items():
        if count > 1:
            yield Violation("made more than once", key, f"{operation} {item} {count} times")
    for (key, item), count in undone.items():
        if count > 1:
            yield Violation("undone more than once", key, f"{item} {count} times")


def _standing(effects: Iterable[Effect]) -> dict[str, str]:
    """Fold a ledger into what still stands: order id by key."""
    standing: dict[str, str] = {}
    for effect in effects:
        if effect.undoes is not None:
            standing.pop(effect.undoes, None)
        elif effect.order_id:
            standing[effect.key] = effect.order_id
    return standing


def _rows_match_ledger(service: str, live: Mapping[str, str], effects: Iterable[Effect]) -> Iterator[Violation]:
    for key, order_id in sorted(live.items() ^ _standing(effects).items()):
        where = "row without effect" if key in live else "effect without row"
        yield Violation("table and ledger differ", key, f"{service}, order {order_id}: {where}")


def _ends_match(
    service: str, ended: Mapping[str, str], live: Mapping[str, str], effects: Iterable[Effect]
) -> Iterator[Violation]:
    standing = Counter(live.values())
    touched = {effect.order_id for effect in effects} - {""}
    undone = {effect.order_id for effect in effects if effect.undoes is not None}
    for order_id, status in ended.items():
        count = standing[order_id]
        if status == "completed" and (count != 1 or order_id in undone):
            detail = f"{service}: {count} standing, {'some' if order_id in undone else 'none'} undone"
            yield Violation("completed order is not whole", order_id, detail)
        elif status == "failed" and count:
            yield Violation("failed order left something", order_id, f"{service}: {count} standing")
        elif count > 1:
            yield Violation("order served twice", order_id, f"{service}: {count} standing")
    for order_id in sorted(touched - set(ended)):
        yield Violation("effect without a saga", order_id, service)


def _levels_match(levels: Mapping[str, int], effects: Iterable[Effect]) -> Iterator[Violation]:
    sums: defaultdict[str, int] = defaultdict(int)
    for effect in effects:
        sums[effect.item] += effect.amount
    for sku in sorted(sums.keys() | levels.keys()):
        if levels.get(sku, 0) != sums[sku]:
            detail = f"{levels.get(sku, 0)} on hand, {sums[sku]} by the ledger"
            yield Violation("stock does not add up", sku, detail)


def _balance_matches(balance_cents: int, effects: Iterable[Effect]) -> Iterator[Violation]:
    total = sum(effect.amount for effect in effects)
    if balance_cents != total:
        detail = f"{balance_cents} cents, {total} by the ledger"
        yield Violation("balance does not add up", "payments", detail)


def _book_matches(
    totals: Mapping[str, int], ended: Mapping[str, str], effects: Iterable[Effect]
) -> Iterator[Violation]:
    paid: defaultdict[str, int] = defaultdict(int)
    for effect in effects:
        paid[effect.order_id] += effect.amount
    for order_id, total in totals.items():
        if order_id not in ended:
            yield Violation("order was lost", order_id, "in the book, but no saga was started")
        elif ended[order_id] == "completed" and paid[order_id] != total:
            detail = f"costs {total} cents, {paid[order_id]} paid"
            yield Violation("order paid wrongly", order_id, detail)
