"""Misuses of the declarations, one a line; both type checkers must refuse each marked line and no other. Never run."""

import msgspec

from sagalog import Choreography, Command, Event, MessageContext, Participant, Retry, Saga, StepContext
from sagalog.process_manager import ProcessManager, SagaResult, SagaRun
from sagalog.store import UnmatchedQuery


class Order(msgspec.Struct, frozen=True):
    order_id: str
    gift: bool = False


class Reservation(msgspec.Struct, frozen=True):
    reservation_id: str


class Payment(msgspec.Struct, frozen=True):
    payment_id: str


class Inventory:
    def release(self, reservation_id: str) -> None: ...


class OrderPlaced(Event):
    order_id: str


class ReserveInventory(Command):
    order_id: str


fulfilment = Saga("order-fulfilment", input=Order, key=lambda order: order.order_id)


@fulfilment.step
async def reserve(order: Order, inventory: Inventory, ctx: StepContext) -> Reservation:
    return Reservation(order.order_id)


@fulfilment.step(retry=Retry(attempts=5), timeout=5)
def pay(order: Order, reservation: Reservation) -> Payment:
    return Payment(order.order_id)


# ------------------------------------------------------------------------------------------- compensations


async def give_back_payment(payment: Payment | None, inventory: Inventory) -> None: ...


def give_back_reservation(reservation: Reservation | None) -> None: ...


def say_what_was_undone(reservation: Reservation | None) -> str:
    return "done"


def take_nothing() -> None: ...


reserve.compensate(give_back_payment)  # refused: it takes the result of another step
reserve.compensate(retry=Retry())(give_back_payment)  # refused: the same, behind options
pay.compensate(give_back_reservation)  # refused: the same, for a plain function
pay.compensate(timeout=5)(give_back_reservation)  # refused: the same, behind options
reserve.compensate(say_what_was_undone)  # refused: a compensation returns nothing
reserve.compensate(take_nothing)  # refused: there is no parameter for the result
reserve.compensate(retry=3)  # refused: a number is no retry policy
reserve.compensate(attempts=3)  # refused: attempts belong to Retry
take_nothing.compensate(give_back_reservation)  # refused: a plain function is no step

# ------------------------------------------------------------------------------------------- declarations


def elements(order: Order) -> list[Reservation]:
    return []


def pay_for(order: Order) -> Payment:
    return Payment(order.order_id)


@fulfilment.step(for_each=elements)
def each_paid(reservation: Reservation, order: Order) -> Payment:
    return Payment(reservation.reservation_id)


def give_back_all(payments: list[Payment]) -> None: ...


class Lines(msgspec.Struct, frozen=True):
    order_id: str


lines = Saga("order-lines", input=Lines)


def lines_of(order: Order) -> Lines:
    return Lines(order_id=order.order_id)


def not_about_orders(payment: Payment) -> bool:
    return True


Saga("returns", Order)  # refused: input is given by name
Saga("returns", input="Order")  # refused: input is a type
Saga("returns")  # refused: input is missing
Saga("returns", input=Order, version="2")  # refused: a version is a number
Saga("returns", input=Order, timeout="1h")  # refused: a timeout is seconds or a timedelta
Saga("returns", input=Order, after_end="again")  # refused: reject or rerun
Saga("returns", input=Order, key=lambda order: order.total)  # refused: the input has no such field
Saga("returns", input=Order, key=lambda order: order.gift)  # refused: a key is text
Saga("returns", input=Order, attributes=lambda order: {"total": order.total})  # refused: the input has no such field
Saga("returns", input=Order, attributes=lambda order: {"order": order})  # refused: an order is no value of an attribute
Saga("returns", input=Order, attributes=lambda order: order.order_id)  # refused: an attribute has a name
Saga("returns", input=Order, attributes={"order": "o-1"})  # refused: a function of the input finds them
fulfilment.step(attributes={"order": "o-1"})  # refused: a function of the result finds them
fulfilment.step(attributes=lambda payment: "p-1")  # refused: an attribute has a name
fulfilment.step(for_each=elements, attributes=lambda payment: {})  # refused: of which part would they be?
fulfilment.step(when=not_about_orders)  # refused: the condition is about another type
fulfilment.step(when=lambda order: order.is_present)  # refused: the input has no such field
fulfilment.step(when=True)  # refused: a condition is a function
fulfilment.step(retry=3)  # refused: a number is no retry policy
fulfilment.step(timeout="30")  # refused: a timeout is seconds or a timedelta
fulfilment.step(pivot="yes")  # refused: a pivot is or is not
fulfilment.step(compensation=give_back_reservation)  # refused: a compensation is declared with step.compensate
fulfilment.step(compensate=None)  # refused: the word is compensation
fulfilment.step("reserve")  # refused: a name is no handler
fulfilment.step(for_each=[1, 2])  # refused: elements are found by a function of the input
fulfilment.step(for_each=lambda order: order.lines)  # refused: the input has no such field
fulfilment.step(for_each=lambda order: 3)  # refused: one number is no list of elements
fulfilment.step(for_each=elements, pivot=True)  # refused: the point of no return is one step
fulfilment.step(for_each=elements, at_once="2")  # refused: at once or not, or a number
fulfilment.step(at_once=True)  # refused: there are no elements
fulfilment.step(for_each=elements)(pay_for)  # refused: it takes no element first
each_paid.compensate(give_back_all)  # refused: it takes the results of all parts
Retry(3)  # refused: attempts are given by name
Retry(attempts="3")  # refused: attempts are a number

# ------------------------------------------------------------------------------------------- plain calls

order = Order("order-1")
pay(order)  # refused: the reservation is missing
pay(order, Payment("p"))  # refused: a payment is no reservation
pay(order, Reservation("r"), 3)  # refused: one argument too many
reserved: str = pay(order, Reservation("r"))  # refused: it returns a payment
print(pay(order, Reservation("r")).reservation_id)  # refused: a payment has no such field
print(pay.handler)  # refused: a step shows its name and its function, not its insides

# ------------------------------------------------------------------------------------------- messages

placed = OrderPlaced(order_id="order-1")
placed.order_id = "order-2"  # refused: an event is never changed
OrderPlaced("order-1")  # refused: fields are given by name
OrderPlaced()  # refused: a field is missing
OrderPlaced(order_id=1)  # refused: a field has a type
OrderPlaced(order_id="order-1", total=3)  # refused: there is no such field
asked = ReserveInventory(order_id="order-1")
asked.order_id = "order-2"  # refused: a command is never changed
ReserveInventory("order-1")  # refused: fields are given by name

# ------------------------------------------------------------------------------------------- participants

inventory = Participant("inventory", retry=Retry(attempts=3), timeout=5)


class InventoryReserved(Event):
    order_id: str


def answer_with_text(command: ReserveInventory) -> str:
    return command.order_id


async def answer_with_a_command(event: OrderPlaced) -> ReserveInventory:
    return ReserveInventory(order_id=event.order_id)


def take_an_order(order: Order) -> None: ...


def take_a_command(command: ReserveInventory, ctx: MessageContext) -> InventoryReserved:
    return InventoryReserved(order_id=command.order_id)


async def take_an_event(event: OrderPlaced, ctx: MessageContext) -> list[InventoryReserved]:
    return [InventoryReserved(order_id=ctx.message_id)]


inventory.handles(answer_with_text)  # refused: text is no event
inventory.handles(ReserveInventory)(answer_with_text)  # refused: the same, behind a type
inventory.on(answer_with_a_command)  # refused: a reaction answers with events
inventory.on(retry=Retry())(answer_with_a_command)  # refused: the same, behind options
inventory.handles(take_an_order)  # refused: an order is no message
inventory.handles(timeout=5)(take_an_order)  # refused: the same, behind options
inventory.handles(take_nothing)  # refused: there is no parameter for the command
inventory.handles(take_an_event)  # refused: an event is not handled as a command
inventory.on(take_a_command)  # refused: a command is no event
inventory.on(OrderPlaced)(take_a_command)  # refused: it takes another message
inventory.handles(ReserveInventory)(take_an_event)  # refused: it takes another message
inventory.handles(OrderPlaced)  # refused: an event is no command
inventory.on(ReserveInventory)  # refused: a command is no event
inventory.on(Order)  # refused: an order is no message
inventory.on(take_an_event, retry=Retry())  # refused: options stand before the handler
inventory.on(retry=3)  # refused: a number is no retry policy
inventory.on(OrderPlaced, timeout="5")  # refused: a timeout is seconds or a timedelta
Participant()  # refused: a participant has a name
Participant("inventory", attempts=3)  # refused: attempts belong to Retry


Choreography("fulfilment", key="order_id", starts_with=OrderPlaced)  # refused: an end is missing
Choreography("fulfilment", starts_with=OrderPlaced, completes_with=InventoryReserved)  # refused: the key is missing
Choreography("f", key="id", starts_with=ReserveInventory, completes_with=OrderPlaced)  # refused: a command is no event
Choreography("f", key="id", starts_with="OrderPlaced", completes_with=OrderPlaced)  # refused: a name is no event
Choreography("f", key=OrderPlaced, starts_with=OrderPlaced, completes_with=OrderPlaced)  # refused: a key is a name
Choreography("f", key="id", starts_with=OrderPlaced, completes_with=[Order])  # refused: an order is no event
Choreography("f", "id", starts_with=OrderPlaced, completes_with=OrderPlaced)  # refused: a key is given by name
choreography = Choreography("f", key="id", starts_with=OrderPlaced, completes_with=(InventoryReserved,), observed=True)
ProcessManager("memory://", choreographies=choreography)  # refused: choreographies are a list
ProcessManager("memory://", choreographies=[fulfilment])  # refused: a saga is no choreography
ProcessManager("memory://", sagas=[choreography])  # refused: a choreography is no saga


def change_the_context(ctx: MessageContext) -> None:
    ctx.attempt = 2  # refused: a context is never changed
    print(ctx.saga_id)  # refused: a participant does not know who asks


# ------------------------------------------------------------------------------------------- running


async def run(manager: ProcessManager, ctx: StepContext) -> None:
    started: SagaRun = await manager.start(fulfilment, order, key="order-1")
    await manager.start(fulfilment, Payment("p"), key="order-1")  # refused: it is started with an order
    await manager.start(fulfilment, {"order_id": "order-1"}, key="order-1")  # refused: a dict is no order
    await manager.start(fulfilment, order, "order-1")  # refused: the key is given by name
    await manager.start("order-fulfilment", order)  # refused: a saga, not its name
    await manager.execute(fulfilment, Payment("p"))  # refused: it is started with an order
    await manager.execute(fulfilment, order, timeout="5")  # refused: a timeout is a number of seconds
    result: SagaResult = await started.result(timeout=5)
    result.status = "completed"  # refused: a result is never changed
    print(result.reservation)  # refused: results of steps are in data
    await manager.resume(started.id)  # refused: who resumes, and why?
    await manager.find(statuses="stuck")  # refused: several statuses, in a list
    await manager.find(statuses=["stuk"])  # refused: there is no such status
    await manager.find(attributes={"customer": "c-1"})  # refused: conditions, in a list
    await manager.find(attributes=[("amount", "=>", 100)])  # refused: there is no such operator
    await manager.find(attributes=["amount>=100"])  # refused: a condition is a name, an operator and a value
    await manager.find(status="stuck")  # refused: it is called statuses
    await manager.find(started_before="yesterday")  # refused: microseconds since the epoch
    UnmatchedQuery(statuses=["stuck"])  # refused: that is a status of sagas
    ctx.attempt = 2  # refused: a context is never changed
    print(ctx.order_id)  # refused: a context knows the saga, not its input
    print(ctx.idempotency_key + 1)  # refused: it is text
    ProcessManager("sqlite:///shop.db", [fulfilment])  # refused: sagas are given by name
    ProcessManager("sqlite:///shop.db", sagas=fulfilment)  # refused: sagas are a list
    ProcessManager("sqlite:///shop.db", sagas=[reserve])  # refused: a step is no saga
    ProcessManager("sqlite:///shop.db", services=[Inventory()])  # refused: services are given by their type


# ------------------------------------------------------------------------------------------- requests and waits


class InventoryLost(Event):
    order_id: str


class ReleaseInventory(Command):
    order_id: str


@fulfilment.request(InventoryReserved, timeout=60)
def ask_for_stock(order: Order) -> ReserveInventory:
    return ReserveInventory(order_id=order.order_id)


def return_an_event(order: Order) -> InventoryReserved:
    return InventoryReserved(order_id=order.order_id)


def return_a_reservation(order: Order) -> Reservation:
    return Reservation(order.order_id)


async def await_an_event(order: Order) -> InventoryReserved:
    return InventoryReserved(order_id=order.order_id)


def release_what_was_lost(lost: InventoryLost | None, order: Order) -> ReleaseInventory:
    return ReleaseInventory(order_id=order.order_id)


def release_by_an_event(reserved: InventoryReserved | None) -> InventoryLost:
    return InventoryLost(order_id="order-1")


def name_the_order(event: InventoryReserved) -> str:
    return event.order_id


fulfilment.child(lines, input=lambda order: order)  # refused: the child is started with lines
fulfilment.child(lines, input=lambda order: order.lines)  # refused: the input has no such field
fulfilment.child(lines, input=Lines(order_id="1"))  # refused: the input is made by a function
fulfilment.child("order-lines")  # refused: a saga, not its name
fulfilment.child(lines)(pay_for)  # refused: the child is started with lines
fulfilment.child(lines, input=lines_of, compensation=give_back_reservation)  # refused: a child undoes itself
fulfilment.child(lines, input=lines_of, timeout=5)  # refused: a child has its own deadline
fulfilment.child(lines, input=lines_of).compensate(give_back_reservation)  # refused: a child undoes itself
fulfilment.request(timeout=60)  # refused: which event is the reply?
fulfilment.request(ReserveInventory)  # refused: a command is no reply
fulfilment.request(Reservation)  # refused: a reply is an event
fulfilment.request(InventoryReserved, refused=ReserveInventory)  # refused: a command refuses nothing
fulfilment.request(InventoryReserved, refused="InventoryLost")  # refused: a class, not its name
fulfilment.request(InventoryReserved, timeout=None)  # refused: a reply may be lost, so a request has a timeout
fulfilment.request(InventoryReserved, timeout="60")  # refused: a timeout is seconds or a timedelta
fulfilment.request(InventoryReserved, compensation=release_what_was_lost)  # refused: it is declared with compensate
fulfilment.request(InventoryReserved, when=lambda order: order.is_present)  # refused: the input has no such field
fulfilment.request(InventoryReserved, for_each=elements, pivot=True)  # refused: the point of no return is one step


def name_it(event: InventoryLost) -> str:
    return event.order_id


fulfilment.request(InventoryReserved, attributes=lambda reply: {"by": reply.lost_by})  # refused: no such field
fulfilment.wait_for(InventoryLost, key=name_it, attributes=lambda event: {"by": event.by})  # refused: no such field
fulfilment.child(lines, input=lines_of, attributes=lambda child: {"lines": child.lines})  # refused: no such field
choreography.attributes_from(OrderPlaced, lambda event: {"customer": event.customer})  # refused: no such field
choreography.attributes_from(ReserveInventory, lambda command: {})  # refused: a command is no event
fulfilment.request(InventoryReserved, at_once=True)  # refused: there are no elements
fulfilment.request(InventoryReserved)(return_an_event)  # refused: a request sends a command
fulfilment.request(InventoryReserved)(return_a_reservation)  # refused: a request sends a command
fulfilment.request(InventoryReserved)(await_an_event)  # refused: a request sends a command
ask_for_stock.compensate(release_what_was_lost)  # refused: it takes another event than the reply
ask_for_stock.compensate(timeout=5)(release_what_was_lost)  # refused: the same, behind options
ask_for_stock.compensate(give_back_reservation)  # refused: it takes the result of a step
ask_for_stock.compensate(release_by_an_event)  # refused: a compensation returns a command or nothing
ask_for_stock.compensate(say_what_was_undone)  # refused: it takes another result, and returns text
ask_for_stock.compensate(reply=ReleaseInventory)  # refused: a command is no reply
reserved_by: InventoryReserved = ask_for_stock(order)  # refused: calling a request makes the command
reserve.compensate(reply=InventoryReserved)  # refused: a step that is no request sends nothing
fulfilment.wait_for(InventoryLost)  # refused: which saga is the event for?
fulfilment.wait_for(InventoryLost, key=name_the_order)  # refused: the key of another event
fulfilment.wait_for(InventoryLost, key=lambda event: event.lost_by)  # refused: the event has no such field
fulfilment.wait_for(ReserveInventory, key=lambda command: command.order_id)  # refused: commands are not waited for
fulfilment.wait_for(InventoryLost, key=lambda event: event.order_id, timeout="1h")  # refused: a timeout is seconds
fulfilment.sleep("1h")  # refused: a pause is seconds or a timedelta
fulfilment.step(retry=Retry(for_="1h"))  # refused: a time is seconds or a timedelta
fulfilment.step(retry=Retry(attempts="3"))  # refused: attempts are counted
fulfilment.sleep(None)  # refused: a pause ends
fulfilment.started_by(OrderPlaced, key=lambda event: event.order_id)  # refused: what is its input?
fulfilment.started_by(OrderPlaced, input=lambda event: event.order_id)  # refused: the input is an order
fulfilment.started_by(OrderPlaced, input=lambda event: Order(event.customer))  # refused: the event has no such field
fulfilment.started_by(OrderPlaced, input=return_an_event)  # refused: it makes the input of the event
