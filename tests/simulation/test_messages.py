"""Sagas that ask participants by messages, with crashes, pauses, lost answers and duplicates, from seeds."""

import random
from collections import Counter
from typing import Any

import pytest
from sagas.message_shop import (
    CannotShip,
    Order,
    OrderPlaced,
    PaidBack,
    PayBack,
    PaymentRefused,
    PaymentTaken,
    Ship,
    Shipped,
    TakePayment,
)

from sagalog import MessageContext, Participant, Saga
from sagalog.testing.simulation.faults import Faults, Odds, RandomFaults
from sagalog.testing.simulation.run import Notice, Simulation
from sagalog.testing.simulation.verdict import judge
from sagalog.testing.simulation.world import World

ORDERS = ("plain", "dear", "moon")
ENDS = {"plain": "completed", "dear": "failed", "moon": "failed"}


class Books:
    """What the bank and the carrier have done, each thing once for each message, as services remember it."""

    def __init__(self) -> None:
        self.done: dict[str, tuple[str, str]] = {}
        self.handlings = 0

    def do(self, context: MessageContext, what: str, order_id: str) -> None:
        self.handlings += 1
        self.done.setdefault(context.idempotency_key, (what, order_id))

    def count(self) -> Counter[tuple[str, str]]:
        return Counter(self.done.values())


def fulfil() -> Saga[Order]:
    saga = Saga("fulfil", input=Order, key=lambda order: order.order_id)
    saga.started_by(OrderPlaced, input=lambda e: Order(order_id=e.order_id, cents=e.cents))

    @saga.request(PaymentTaken, refused=PaymentRefused, timeout=400)
    async def take_payment(order: Order) -> TakePayment:
        return TakePayment(order_id=order.order_id, cents=order.cents)

    @take_payment.compensate(reply=PaidBack, timeout=400)
    async def pay_back(taken: PaymentTaken | None, order: Order) -> PayBack:
        return PayBack(payment=order.order_id)

    @saga.request(Shipped, refused=CannotShip, compensation=None, timeout=400)
    async def ship(order: Order, taken: PaymentTaken) -> Ship:
        return Ship(order_id=order.order_id, payment=taken.payment)

    assert (pay_back.__name__, ship.name) == ("pay_back", "ship")
    return saga


def participants() -> list[Participant]:
    bank, carrier = Participant("bank"), Participant("carrier")

    @bank.handles
    async def take(
        command: TakePayment, ctx: MessageContext, world: World, books: Books
    ) -> PaymentTaken | PaymentRefused:
        if command.order_id == "dear":
            books.handlings += 1
            return PaymentRefused(order_id=command.order_id, reason="too much")
        await world.call(ctx, lambda: books.do(ctx, "taken", command.order_id))
        return PaymentTaken(order_id=command.order_id, payment=command.order_id)

    @bank.handles
    def give_back(command: PayBack, ctx: MessageContext, books: Books) -> PaidBack:
        books.do(ctx, "paid back", command.payment)
        return PaidBack(payment=command.payment)

    @carrier.handles
    async def carry(command: Ship, ctx: MessageContext, world: World, books: Books) -> Shipped | CannotShip:
        if command.order_id == "moon":
            books.handlings += 1
            return CannotShip(order_id=command.order_id)
        await world.call(ctx, lambda: books.do(ctx, "shipped", command.order_id))
        return Shipped(order_id=command.order_id)

    assert [f.__name__ for f in (take, give_back, carry)] == ["take", "give_back", "carry"]
    return [bank, carrier]


def findings(seed: int, most: int | None = None) -> tuple[list[str], Simulation]:
    """Run the simulation of a seed and return what is wrong."""
    seeded = random.Random(seed)
    odds = Odds(
        crash=seeded.choice((0.0, 0.02, 0.05)),
        pause=seeded.choice((0.0, 0.02, 0.05)),
        unavailable=seeded.choice((0.0, 0.03, 0.1)),
        read_only=seeded.choice((0.0, 0.0, 0.02)),
        locked=seeded.choice((0.0, 0.0, 0.05)),
        too_large=seeded.choice((0.0, 0.0, 0.03)),
        most=seeded.randrange(1, 8) if most is None else most,
    )

    def faults(world: World) -> Faults:
        return RandomFaults(world.seeded, odds)

    books = Books()
    options: dict[str, Any] = {"workers": seeded.choice((1, 2, 2)), "shutdowns": seeded.random() < 0.2}
    simulation = Simulation(
        seed,
        [fulfil()],
        lambda world: {World: world, Books: books},
        participants=participants(),
        faults=faults,
        **options,
    )
    wanted = seeded.sample(ORDERS, seeded.choice((1, 2, 3)))
    simulation.run(
        [
            Notice(
                event=OrderPlaced(order_id=one, cents=1), id=f"placed-{one}", repeats=seeded.randrange(3), after=n * 0.1
            )
            for n, one in enumerate(wanted)
        ]
    )
    found = judge(simulation)
    store = simulation.world.store
    ends = {row.saga_key: row.status for row in store.rows()}
    if ends != {one: ENDS[one] for one in wanted}:
        found.append(f"5: {wanted} ended {ends}")
    expected: Counter[tuple[str, str]] = Counter()
    for one in wanted:
        expected.update(
            {"plain": [("taken", one), ("shipped", one)], "dear": [], "moon": [("taken", one), ("paid back", one)]}[one]
        )
    if books.count() != expected:
        found.append(f"7: what was done is {dict(books.count())}")
    ids = Counter(envelope.id for _, envelope in store.read_messages(0, 10_000))
    found += [f"7: message {one} is in the log {times} times" for one, times in ids.items() if times > 1]
    return found, simulation


@pytest.mark.simulation
def test_orders_by_message_end_as_they_should_after_any_sequence_of_faults() -> None:
    """Invariants 2, 3, 5, 7, 15, 33, 35, 39 and 48."""
    failing = {seed: wrong for seed in range(400) if (wrong := findings(seed)[0])}
    assert failing == {}


@pytest.mark.simulation
def test_without_faults_every_message_is_handled_once_also_when_answers_of_the_store_are_old() -> None:
    """What was read of an inbox may have been handled by the time it arrives."""
    for seed in range(100):
        found, simulation = findings(seed, most=0)
        assert found == []
        handled = [entry for entry in simulation.world.store.read_messages(0, 100) if entry[1].kind == "command"]
        assert simulation.services[Books].handlings == len(handled), seed


@pytest.mark.simulation
def test_the_seeds_meet_trouble_between_route_mail_and_handling() -> None:
    made = lost = 0
    for seed in range(60):
        _, simulation = findings(seed)
        faults = simulation.world.faults
        made += faults.made if isinstance(faults, RandomFaults) else 0
        lost += sum(entry.kind == "lost" for entry in simulation.world.trace)
    assert made > 60
    assert lost > 10
