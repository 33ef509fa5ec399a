"""All kinds of callables, made for a place where one is declared: those that work there, and those that never do."""

# mypy: disable-error-code="empty-body, no-untyped-def, misc, untyped-decorator"
# pyright: basic

import functools
import operator
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AsyncContextDecorator, ContextDecorator, asynccontextmanager, contextmanager
from typing import Any

from msgspec import Struct


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
    """A function wrapped into an object that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.times = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.times += 1
        return self.function(*args, **kwargs)


def _nothing() -> Generator[None]:
    yield


def hiding(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def narrowing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say that it takes what it wraps takes, and take nothing."""

    @functools.wraps(function)
    def wrapper() -> Any: ...

    return wrapper


def choosing(function: Callable[..., Any], *others: Callable[..., Any]) -> Any:
    """Make a function that chooses by the type of what it is given first; the others are for `int` and `str`."""
    made = functools.singledispatch(function)
    for kind, other in zip((int, str), others, strict=False):
        made.register(kind, other)
    return made


# ---------------------------------------------------------------------------------------------- kinds, made for a place


Named = dict[str, Any]


class Kinds(Struct, frozen=True):
    """Callables by the name of their kind; `generates` is what gives nothing before it is iterated over or entered."""

    works: Named
    works_async: Named
    never: Named
    generates: Named
    untyped: Named
    chooses: Named
    """What works where it is given something first by position."""

    @property
    def refused(self) -> Named:
        """Return what is no handler anywhere."""
        return {**self.never, **self.generates, **self.untyped}


def _typed(given: type, made: Any, *functions: Any) -> None:
    for function in functions:
        function.__annotations__ = {"order": given, "return": made}


def _functions(given: type, made: Any, value: Callable[[], Any]) -> tuple[Any, Any, Any]:
    """Return a plain function, a coroutine function, and a plain one that takes one argument more."""

    def plain(order):
        return value()

    async def later(order):
        return value()

    def two(order, more):
        return value()

    _typed(given, made, plain, later, two)
    two.__annotations__["more"] = given
    return plain, later, two


def _owner(given: type, made: Any, value: Callable[[], Any], plain: Any) -> Any:
    """Return a class with all kinds of methods."""

    class Owner:
        def method(self, order):
            return value()

        async def later_method(self, order):
            return value()

        static = staticmethod(plain)

        @classmethod
        def of_class(cls, order):
            return value()

        chooses = functools.singledispatchmethod(lambda self, order: value())
        bound = functools.partialmethod(lambda self, more, order: value(), 1)

    of_class: Any = Owner.__dict__["of_class"]
    _typed(given, made, Owner.method, Owner.later_method, of_class.__func__)
    return Owner


def _objects(given: type, made: Any, value: Callable[[], Any]) -> tuple[Any, Any]:
    """Return an object that can be called, and one whose call has to be awaited."""

    class Plain:
        def __call__(self, order):
            return value()

    class Later:
        async def __call__(self, order):
            return value()

    _typed(given, made, Plain.__call__, Later.__call__)
    return Plain(), Later()


def _odd_objects(plain: Any, later: Any) -> tuple[Any, Any, Any]:
    """Return objects that are called by a static method and by a method of their class, and an async one."""

    class Static:
        __call__ = staticmethod(plain)

    class OfClass:
        @classmethod
        def __call__(cls, order):
            return plain(order)

    class LaterStatic:
        __call__ = staticmethod(later)

    # Python knows a method of a class by what stands there.
    OfClass.__dict__["__call__"].__func__.__annotations__ = plain.__annotations__
    return Static(), OfClass(), LaterStatic()


class Entered(ContextDecorator, AsyncContextDecorator):
    """A context manager that is a decorator, too: what it decorates is called inside of it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def _later(given: type, made: Any, value: Callable[[], Any], later: Any) -> tuple[Any, Any, Any, Any]:
    """Return two kinds of generators, and two plain functions that say that what they return is to be awaited."""

    def generator(order):
        yield value()

    async def async_generator(order):
        yield value()

    def returning_a_coroutine(order):
        return later(order)

    def returning_an_awaitable(order):
        return later(order)

    _typed(given, made, generator, async_generator)
    _typed(given, Coroutine[Any, Any, made], returning_a_coroutine)
    _typed(given, Awaitable[made], returning_an_awaitable)
    return generator, async_generator, returning_a_coroutine, returning_an_awaitable


def _untyped(plain: Any, value: Callable[[], Any]) -> Named:
    """Return callables that do not say what they take or return."""
    return {
        "lambda": lambda order: value(),
        "class": type("Made", (), {"__init__": lambda self, order: None}),
        "builtin": len,
        "made in C": operator.attrgetter("order_id"),
        "wrapper that hides": hiding(plain),
        "wrapper that takes less": narrowing(plain),
    }


def _awaited(plain: Any, later: Any, owner: Any, called_later: Any, later_static: Any) -> Named:
    """Return callables whose call has to be awaited."""
    return {
        "async def": later,
        "async wrapper of def": asynchronously(plain),
        "async wrapper of async def": awaiting(later),
        "partial of async def": functools.partial(later),
        "bound async method": owner.later_method,
        "async callable object": called_later,
        "async object with a static call": later_static,
        "decorated by an async context manager": AsyncContextDecorator.__call__(Entered(), later),
        "partial of async callable": functools.partial(called_later),
        "raw static async method": staticmethod(later),
    }


def _generating(generator: Any) -> Named:
    """Return callables that give nothing before they are iterated over or entered."""
    return {
        "generator": generator,
        "partial of a generator": functools.partial(generator),
        "context manager": contextmanager(generator),
        "wrapper of a generator": plainly(generator),
    }


def _choosing(plain: Any) -> Named:
    """Return callables that choose by the type of what they are given first."""
    return {
        "chooses from def": choosing(plain),
        "chooses from several": choosing(plain, plain, plain),
        "wrapper of what chooses": plainly(choosing(plain)),
        "partial of what chooses": functools.partial(choosing(plain)),
        "cached, and chooses": functools.cache(choosing(plain)),
    }


def kinds_of(given: type, made: Any, value: Callable[[], Any]) -> Kinds:
    """Make all kinds of callables that take one `given` and return one `made`, which are types."""
    plain, later, two = _functions(given, made, value)
    owner = _owner(given, made, value, plain)
    called, called_later = _objects(given, made, value)
    static, of_class, later_static = _odd_objects(plain, later)
    generator, async_generator, coroutine, awaitable = _later(given, made, value, later)
    return Kinds(
        works={
            "def": plain,
            "plain wrapper": plainly(plain),
            "wrapper of a wrapper": plainly(plainly(plain)),
            "object around def": Counted(plain),
            "partial by name": functools.partial(two, more=1),
            "partial": functools.partial(plain),
            "bound method": owner().method,
            "static method": owner.static,
            "raw static method": staticmethod(plain),
            "class method": owner.of_class,
            "callable object": called,
            "object with a static call": static,
            "object with a call of its class": of_class,
            "decorated by a context manager": ContextDecorator.__call__(Entered(), plain),
            "decorated by a generator": contextmanager(_nothing)()(plain),
            "cached": functools.cache(plain),
        },
        works_async=_awaited(plain, later, owner(), called_later, later_static),
        never={
            "plain wrapper of async def": plainly(later),
            "chooses from async def": choosing(later),
            "chooses from def and async def": choosing(plain, plain, later),
            "chooses from def and a generator": choosing(plain, generator),
            "plain wrapper of an async wrapper": plainly(asynchronously(plain)),
            "object around async def": Counted(later),
            "cached async def": functools.cache(later),
            "def that returns a coroutine": coroutine,
            "def that returns an awaitable": awaitable,
            "async generator": async_generator,
            "partial of an async generator": functools.partial(async_generator),
            "async context manager": asynccontextmanager(async_generator),
            "method that chooses": owner().chooses,
            "raw class method": owner.__dict__["of_class"],
            "partial method": owner.__dict__["bound"],
            "no function": 5,
        },
        generates=_generating(generator),
        untyped=_untyped(plain, value),
        chooses=_choosing(plain),
    )
