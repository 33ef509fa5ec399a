"""Each kind of callable, at each place where one is declared: it works, or is refused in a sentence."""

# mypy: disable-error-code="empty-body, no-untyped-def, misc, untyped-decorator"
# pyright: basic

import asyncio
import functools
import operator
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Struct

from sagalog import Command, Event, Participant, Saga
from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager
from sagalog.saga.callables import annotations_of, is_async, name_of_callable, plain_answer

if TYPE_CHECKING:
    from decimal import Decimal


class Order(Struct, frozen=True):
    order_id: str


class Ask(Command):
    order_id: str


class Asked(Event):
    order_id: str


# ------------------------------------------------------------------------------------------------- what decorators do


def plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function into a plain one, as a decorator does that knows nothing of coroutines."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def asynchronously(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a plain function into a coroutine function."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def awaiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a coroutine function into another one."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


class Counted:
    """Wrap a function into an object that counts."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.times = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.times += 1
        return self.function(*args, **kwargs)


def hiding(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def narrowing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say that it takes what it wraps takes, and take nothing."""

    @functools.wraps(function)
    def wrapper() -> Any: ...

    return wrapper


# ---------------------------------------------------------------------------------------------- kinds, made for a place


class Kinds:
    """All kinds of callables that take one `given` and return one `made`; `given` and `made` are types."""

    def __init__(self, given: type, made: Any, value: Callable[[], Any]) -> None:  # noqa: C901
        def plain(order):
            return value()

        async def later(order):
            return value()

        def two(order, more):
            return value()

        for function in (plain, later, two):
            function.__annotations__ = {"order": given, "return": made}
        two.__annotations__["more"] = given
        self.plain, self.later, self.two = plain, later, two

        class Owner:
            def method(self, order):
                return value()

            async def later_method(self, order):
                return value()

            static = staticmethod(plain)

            @classmethod
            def of_class(cls, order):
                return value()

            bound = functools.partialmethod(lambda self, more, order: value(), 1)

        class Plain:
            def __call__(self, order):
                return value()

        class Later:
            async def __call__(self, order):
                return value()

        for function in (Owner.method, Owner.later_method, Owner.of_class.__func__, Plain.__call__, Later.__call__):
            function.__annotations__ = {"order": given, "return": made}

        def generator(order):
            yield value()

        async def async_generator(order):
            yield value()

        for function in (generator, async_generator):
            function.__annotations__ = {"order": given, "return": made}

        def returning_a_coroutine(order):
            return later(order)

        returning_a_coroutine.__annotations__ = {"order": given, "return": Coroutine[Any, Any, made]}

        def returning_an_awaitable(order):
            return later(order)

        returning_an_awaitable.__annotations__ = {"order": given, "return": Awaitable[made]}

        self.owner = Owner
        self.works = {
            "def": plain,
            "plain wrapper": plainly(plain),
            "wrapper of a wrapper": plainly(plainly(plain)),
            "object around def": Counted(plain),
            "partial by name": functools.partial(two, more=1),
            "partial": functools.partial(plain),
            "bound method": Owner().method,
            "static method": Owner.static,
            "raw static method": staticmethod(plain),
            "class method": Owner.of_class,
            "callable object": Plain(),
            "cached": functools.cache(plain),
        }
        self.works_async = {
            "async def": later,
            "async wrapper of def": asynchronously(plain),
            "async wrapper of async def": awaiting(later),
            "partial of async def": functools.partial(later),
            "bound async method": Owner().later_method,
            "async callable object": Later(),
            "partial of async callable": functools.partial(Later()),
            "raw static async method": staticmethod(later),
        }
        self.never = {
            "plain wrapper of async def": plainly(later),
            "plain wrapper of an async wrapper": plainly(asynchronously(plain)),
            "object around async def": Counted(later),
            "cached async def": functools.cache(later),
            "def that returns a coroutine": returning_a_coroutine,
            "def that returns an awaitable": returning_an_awaitable,
            "async generator": async_generator,
            "partial of an async generator": functools.partial(async_generator),
            "async context manager": asynccontextmanager(async_generator),
            "raw class method": Owner.__dict__["of_class"],
            "partial method": Owner.__dict__["bound"],
            "no function": 5,
        }
        self.generates = {
            "generator": generator,
            "partial of a generator": functools.partial(generator),
            "context manager": contextmanager(generator),
            "wrapper of a generator": plainly(generator),
        }
        self.untyped = {
            "lambda": lambda order: value(),
            "class": type("Made", (), {"__init__": lambda self, order: None}),
            "builtin": len,
            "made in C": operator.attrgetter("order_id"),
            "wrapper that hides": hiding(plain),
            "wrapper that takes less": narrowing(plain),
        }


# ------------------------------------------------------------------------------------------------- places of handlers


def order() -> Saga[Order]:
    return Saga("orders", input=Order, timeout=None, key=lambda given: given.order_id)


def as_step(kind: Any) -> Any:
    saga: Any = order()
    saga.step(compensation=None)(kind)
    return saga.definition.steps[name_of_callable(kind)].is_async


def as_compensation(kind: Any) -> Any:
    saga: Any = order()

    @saga.step
    def first(given: Order) -> Order: ...

    first.compensate(kind)
    return saga.definition.steps["first"].compensation.is_async


def as_request(kind: Any) -> Any:
    saga: Any = order()
    saga.request(Asked, compensation=None)(kind)
    return saga.definition.steps[name_of_callable(kind)].is_async


def as_element_step(kind: Any) -> Any:
    saga: Any = Saga("orders", input=str)
    saga.step(for_each=lambda text: [Order(text)], compensation=None)(kind)
    return saga.definition.steps[name_of_callable(kind)].is_async


def as_command_handler(kind: Any) -> Any:
    one: Any = Participant("shop")
    one.handles(Ask)(kind)
    return one.definition.handlers["Ask"][0].is_async


def as_reaction(kind: Any) -> Any:
    one: Any = Participant("shop")
    one.on()(kind) if isinstance(kind, type) else one.on(kind)
    return one.definition.handlers["Asked"][0].is_async


HANDLERS: dict[str, tuple[Callable[[Any], Any], Kinds]] = {
    "step": (as_step, Kinds(Order, str, lambda: "done")),
    "compensation": (as_compensation, Kinds(Order, None, lambda: None)),
    "request": (as_request, Kinds(Order, Ask, lambda: Ask(order_id="o"))),
    "step for each": (as_element_step, Kinds(Order, str, lambda: "done")),
    "handles": (as_command_handler, Kinds(Ask, Asked, lambda: Asked(order_id="o"))),
    "on": (as_reaction, Kinds(Asked, None, lambda: None)),
}
WORKS = [(place, kind, False) for place, (_, kinds) in HANDLERS.items() for kind in kinds.works]
WORKS += [(place, kind, True) for place, (_, kinds) in HANDLERS.items() for kind in kinds.works_async]
# Where a function is given what it needs by position, it need not say more than how many there are.
REFUSED = [
    (place, kind)
    for place, (_, kinds) in HANDLERS.items()
    for kind in {**kinds.never, **kinds.generates, **kinds.untyped}
]


@pytest.mark.parametrize(("place", "kind", "later"), WORKS)
def test_a_kind_that_works_is_known_for_what_calling_it_gives(place: str, kind: str, later: bool) -> None:
    declare, kinds = HANDLERS[place]
    assert declare({**kinds.works, **kinds.works_async}[kind]) is later


@pytest.mark.parametrize(("place", "kind"), REFUSED)
def test_a_kind_that_cannot_work_is_refused_when_it_is_declared(place: str, kind: str) -> None:
    declare, kinds = HANDLERS[place]
    with pytest.raises(DefinitionError) as caught:
        declare({**kinds.never, **kinds.generates, **kinds.untyped}[kind])
    assert len(str(caught.value).splitlines()) <= 6, str(caught.value)


# ------------------------------------------------------------------------------------------------ places of questions


def asked(**options: Any) -> Any:
    saga: Any = order()

    @saga.step(compensation=None, **options)
    def first(given: Order) -> None: ...

    return saga.definition


def asked_for_elements(kind: Any) -> Any:
    saga: Any = order()

    @saga.step(compensation=None, for_each=kind)
    def first(given: str) -> None: ...

    return saga.definition


def asked_for_key(kind: Any) -> Any:
    saga: Any = Saga("orders", input=Order, key=kind)

    @saga.step(compensation=None)
    def first(given: Order) -> None: ...

    return saga.definition


def asked_by_wait(kind: Any) -> Any:
    saga: Any = order()
    saga.wait_for(Asked, key=kind)
    return saga.definition


def asked_by_start(kind: Any) -> Any:
    saga: Any = order()
    saga.started_by(Asked, input=kind)
    return asked_again(saga)


def asked_by_start_for_key(kind: Any) -> Any:
    saga: Any = order()
    saga.started_by(Asked, input=lambda event: Order(event.order_id), key=kind)
    return asked_again(saga)


def asked_again(saga: Any) -> Any:
    @saga.step(compensation=None)
    def first(given: Order) -> None: ...

    return saga.definition


def asked_for_child(kind: Any) -> Any:
    child: Any = Saga("child", input=str)

    @child.step(compensation=None)
    def only(given: str) -> None: ...

    saga: Any = order()
    saga.child(child, input=kind)
    return saga.definition


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "when": lambda kind: asked(when=kind),
    "for_each": asked_for_elements,
    "key": asked_for_key,
    "wait_for key": asked_by_wait,
    "started_by input": asked_by_start,
    "started_by key": asked_by_start_for_key,
    "child input": asked_for_child,
}
ANY = Kinds(Order, str, lambda: "done")
FITS = {**ANY.works, **{kind: ANY.untyped[kind] for kind in ("lambda", "class", "builtin", "made in C")}}
UNFIT = {**ANY.works_async, **ANY.never, "two": ANY.two, "none": lambda: True, "less": lambda *, order: True}


@pytest.mark.parametrize("kind", FITS)
@pytest.mark.parametrize("place", QUESTIONS)
def test_a_function_of_one_value_can_be_asked_whatever_its_kind(place: str, kind: str) -> None:
    assert QUESTIONS[place](FITS[kind])


@pytest.mark.parametrize("kind", {**UNFIT, **ANY.generates})
@pytest.mark.parametrize("place", QUESTIONS)
def test_what_cannot_be_asked_about_one_value_at_once_is_refused_when_it_is_declared(place: str, kind: str) -> None:
    if place == "for_each" and kind in ("generator", "partial of a generator", "wrapper of a generator"):
        assert QUESTIONS[place](ANY.generates[kind]), "what yields elements is what for_each= asks for"
        return
    with pytest.raises(DefinitionError, match="takes a function of the"):
        QUESTIONS[place]({**UNFIT, **ANY.generates}[kind])


# ------------------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("plain wrapper of async def", "plain function around a coroutine function"),
        ("def that returns a coroutine", "declare it with async def"),
        ("def that returns an awaitable", "declare it with async def"),
        ("async generator", "it is a generator"),
        ("generator", "it is a generator"),
        ("context manager", "it is a generator"),
        ("raw class method", "it is no function but a classmethod; declare what the class"),
        ("partial method", "it is no function but a partialmethod; declare what the class"),
        ("no function", "it is no function but an int; write a function"),
        ("class", "it is the class Made; write a function"),
        ("builtin", "not written in Python"),
        ("lambda", "has no type, so nothing provides it; annotate it"),
        ("wrapper that hides", "functools.wraps"),
        ("wrapper that takes less", r"says that it takes \(order.*, and takes \(\)"),
    ],
)
def test_the_sentence_says_what_to_write_instead(kind: str, said: str) -> None:
    declare, kinds = HANDLERS["step"]
    with pytest.raises(DefinitionError, match=said):
        declare({**kinds.never, **kinds.generates, **kinds.untyped}[kind])


def test_a_function_that_says_it_wraps_itself_or_what_is_none_is_told_from_outside() -> None:
    def round_about(given: Order) -> str: ...

    round_about.__wrapped__ = round_about  # type: ignore[attr-defined]
    with pytest.raises(DefinitionError, match="nobody knows what it takes"):
        as_step(round_about)

    def lying(given: Order) -> str: ...

    lying.__wrapped__ = 5  # type: ignore[attr-defined]
    with pytest.raises(DefinitionError):
        as_step(lying)


def test_a_name_that_only_type_checkers_know_is_told() -> None:
    def pay(given: Order) -> "Decimal": ...

    with pytest.raises(DefinitionError, match=r"annotations cannot be resolved .*Decimal"):
        as_step(pay)


def test_types_written_as_text_are_found_where_the_function_was_declared() -> None:
    class Local(Struct):
        name: str

    def pay(given: "Order", more: "int" = 0) -> "Local":
        return Local("x")

    assert annotations_of(functools.partial(pay, more=2)) == {"given": Order, "more": int, "return": Local}


def test_a_step_may_be_the_function_of_another_saga_too() -> None:
    saga: Any = order()

    @saga.step(compensation=None)
    async def pay(given: Order) -> str:
        return "paid"

    assert as_step(pay) is True
    assert is_async(pay)
    assert asyncio.run(pay(Order("o-1"))) == "paid"


# --------------------------------------------------------------------------------------------------------- at run time


async def ended(saga: Saga[Order]) -> Any:
    async with ProcessManager("memory://", sagas=[saga]) as manager:
        run = await manager.start(saga, Order("o-1"))
        result = await run.result(20)
        return result, await run.status()


@pytest.mark.parametrize("kind", [*ANY.works, *ANY.works_async])
def test_a_step_of_every_kind_runs_to_its_end(kind: str) -> None:
    saga: Any = order()
    saga.step(compensation=None)({**ANY.works, **ANY.works_async}[kind])
    result, _ = asyncio.run(ended(saga))
    assert result.status == "completed"
    assert result.data == {name_of_callable({**ANY.works, **ANY.works_async}[kind]): "done"}


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_a_function_says_nothing_of_is_a_fault_and_is_closed() -> None:
    def pay(given: Order) -> str:
        return ANY.later(given)

    async def pay_later(given: Order) -> str:
        return ANY.later(given)

    for function in (pay, pay_later):
        saga: Any = order()
        saga.step(compensation=None)(function)
        result, row = asyncio.run(ended(saga))
        assert result.status == "stuck"
        assert f"{function.__name__} returned a coroutine, which nobody awaits" in (row.error_text or "")


@pytest.mark.filterwarnings("error")
def test_a_condition_that_gives_a_coroutine_is_no_condition() -> None:
    saga: Any = order()

    @saga.step(compensation=None, when=lambda given: ANY.later(given) or True)
    def pay(given: Order) -> None: ...

    result, _ = asyncio.run(ended(saga))
    assert result.status == "stuck"


def test_what_was_given_at_once_is_given_on() -> None:
    for value in (None, "text", [1], iter(()), Order("o")):
        assert plain_answer(value, "it") is value
