"""Which callables can be handlers, and what is wrong with the others; none is called here.

What a call returns depends on the outermost callable. The annotations are those of the function inside: behind
`functools.wraps`, `functools.partial`, a bound method, or an object's `__call__`.
"""

import functools
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeGuard, cast

from sagalog.saga.payload.annotations import unhashable_in

# Return annotations of plain functions whose result must be awaited.
_AWAITED: tuple[object, ...] = (abc.Awaitable, abc.Coroutine)
_DEEPEST = 100


def _sample(given: Any) -> Any:
    return given


# Wrappers of the standard library, recognized by their type or by the code object that all of one kind share.
_CACHED: type = type(functools.lru_cache(_sample))
_CHOOSING: object = cast(Any, functools.singledispatch(_sample)).__code__
_CHOOSING_METHOD: object = getattr(functools.singledispatchmethod(_sample).__get__(object()), "__code__", None)
_CONTEXT_MANAGERS: tuple[object, ...] = (contextmanager(_sample).__code__, asynccontextmanager(_sample).__code__)


def is_async(function: object) -> bool:
    """Tell whether calling `function` returns a coroutine, as far as can be known without calling it."""
    called = _outermost(function)
    # Calling a class returns an instance, even if that instance is itself callable.
    return not isinstance(called, type) and any(
        _is_one(inspect.iscoroutinefunction, one) for one in (function, called, _call_of(called))
    )


def name_of_callable(function: object) -> str:
    """Return the `__name__` of a callable, else that of the function inside, else the name of its class."""
    for one in (function, _outermost(function)):
        name: object = getattr(one, "__name__", None)
        if isinstance(name, str) and name:
            return name
    return type(_outermost(function)).__name__


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the resolved annotations; names local to the declaring function are found through its closure.

    Raises `NameError` if an annotation names something that cannot be found.
    """
    target = _innermost(function)
    if not _is_function(target):
        return {}
    # `inspect.unwrap` raises if functions wrap each other in a circle; `get_type_hints` would never return.
    inspect.unwrap(target)
    local: Mapping[str, Any] = inspect.getclosurevars(target).nonlocals
    return typing.get_type_hints(target, localns=dict(local))


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters still to be passed, without those that a `functools.partial` passes by keyword."""
    taken = signature_of(function).parameters.values()
    given: Mapping[str, Any] = cast(Any, function).keywords if isinstance(function, functools.partial) else {}
    return [one for one in taken if one.name not in given]


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a callable; raises `TypeError` or `ValueError` if it has none."""
    # If a class has a static or class method as `__call__`, `inspect.signature` wrongly drops the first parameter.
    own = inspect.getattr_static(type(function), "__call__", None)
    called: Any = cast(Any, function).__call__ if isinstance(own, staticmethod | classmethod) else function
    return inspect.signature(called)


def handler_mistake(function: object, first: bool) -> str | None:
    """Return why `function` cannot be a handler, and what to write instead; None if it can.

    With `first`, the first argument is passed by position; all others are passed by keyword.
    """
    if not callable(function):
        return f"it is no function but {_a(function)}; {_instead(function)}"
    if isinstance(function, type):
        return f"it is the class {function.__name__}; write a function that returns what is made of it"
    if _returns(function) in _AWAITED and not is_async(function):
        return "it is a plain function that returns something to await; declare it with async def"
    for one in _layers(function):
        if _is_generator(one):
            if one is _outermost(function) or not is_async(function):
                return "it is a generator, so that calling it does nothing yet; write one that returns its result"
        elif is_async(one) and not is_async(function):
            return (
                "it is a plain function around a coroutine function, which nobody would await; "
                "let the decorator make an async def that awaits it"
            )
    if not _is_function(_innermost(function)):
        return "it is not written in Python, so that nobody knows its types; write a function that calls it"
    return _signature_mistake(function, first) or _choice_mistake(function, first) or _cache_mistake(function)


def question_mistake(function: object, what: str, given: object, may_generate: bool = False) -> str | None:
    """Return why `function` cannot be called with one value and return its answer at once; None if it can.

    `what` names the value in the text, `given` is the value's type. `may_generate` also accepts a generator function.
    """
    if not callable(function):
        return f"takes a function of {what}, found {function!r:.80}"
    later = answers_later(function)
    if later is not None and not (may_generate and later == "a generator"):
        return f"takes a function of {what} that returns its answer at once, found one that is {later}"
    wrong = asked_mistake(function, given)
    if wrong is not None:
        return f"takes a function of {what}, but {wrong}"
    try:
        signature = signature_of(function)
    except (TypeError, ValueError):
        # Some functions written in C have no signature; they are accepted.
        return None
    return None if _binds(signature, 1, ()) else f"takes a function of {what} alone, found one of {signature}"


def asked_mistake(function: Callable[..., Any], given: object) -> str | None:
    """Return why a function that functools wraps cannot take a value of type `given`; None if it can."""
    return _choice_mistake(function, first=True) or _cache_mistake(function, given)


def answers_later(function: Callable[..., Any]) -> str | None:
    """Return what kind of function it is ("async", "a generator", ...) if its result comes later; otherwise None."""
    layers = list(_layers(function))
    if any(map(is_async, layers)) or _returns(function) in _AWAITED:
        return "async"
    if any(_is_one(inspect.isasyncgenfunction, one) for one in layers):
        return "an async generator"
    if any(map(_is_context_manager, layers)):
        return "a context manager"
    return "a generator" if any(map(_is_generator, layers)) else None


def plain_answer(value: Any, given_by: object) -> Any:
    """Return `value`; raises `TypeError` if it still has to be awaited, after closing a coroutine."""
    kind: object = cast(object, value).__class__
    if not hasattr(kind, "__await__") and kind is not types.AsyncGeneratorType:
        return value
    if inspect.iscoroutine(value):
        value.close()
    who = given_by if isinstance(given_by, str) else name_of_callable(given_by)
    raise TypeError(
        f"{who} returned {_a(cast(object, value))}, which nobody awaits; declare it with async def, and await it there"
    )


def _choice_mistake(function: Callable[..., Any], first: bool) -> str | None:
    """Return why a `functools.singledispatch` function cannot be used; None if it can, or is something else."""
    if any(_is_function(one) and one.__code__ is _CHOOSING_METHOD for one in _handing_on(function)):
        return "it is a functools.singledispatchmethod, and nobody knows what it takes; write a function that calls it"
    chosen = next((made for one in _handing_on(function) if (made := _chosen_from(one)) is not None), None)
    if chosen is None:
        return None
    if not first:
        return (
            "it is made by functools.singledispatch, which chooses by what is given first by position, and all is "
            "given to it by name; write a function that calls it"
        )
    for one in chosen:
        if (later := answers_later(one)) is not None:
            return (
                "it is made by functools.singledispatch and chooses from functions of which "
                f"{name_of_callable(one)} is {later}; let all of them be plain ones"
            )
    return None


def _cache_mistake(function: Callable[..., Any], given: object = None) -> str | None:
    """Return why a `functools.lru_cache` function cannot take `given`, or its annotated types; None if it can."""
    if not any(isinstance(one, _CACHED) for one in _handing_on(function)):
        return None
    taken = [given]
    if given is None:
        try:
            taken = [kind for name, kind in annotations_of(function).items() if name != "return"]
        except Exception:
            # Annotations that cannot be resolved are reported where the parameters are bound.
            return None
    found = next((kind for one in taken if (kind := unhashable_in(one)) is not None), None)
    if found is None:
        return None
    return (
        f"it is cached by functools, which looks up what can be hashed, and a {found} cannot; declare it without the "
        "cache, and let it call a cached function of what can be hashed"
    )


def _handing_on(function: object) -> Iterator[object]:
    """Yield the callables that receive the same arguments as `function`, the outermost first."""
    for one in _layers(function):
        yield one
        called = one if _is_function(one) else _call_of(one)
        own = called.__code__.co_argcount + called.__code__.co_kwonlyargcount if _is_function(called) else 0
        if own > (0 if called is one else 1):
            # A wrapper with parameters of its own may pass different arguments to the function it wraps.
            return


def _chosen_from(function: object) -> list[Callable[..., Any]] | None:
    """Return the functions that a `functools.singledispatch` function chooses from; None for any other function."""
    if not _is_function(function) or function.__code__ is not _CHOOSING:
        return None
    registry: object = getattr(function, "registry", None)
    return list(cast("Mapping[type, Callable[..., Any]]", registry).values()) if hasattr(registry, "values") else None


def _outermost(function: object) -> object:
    """Return the callable that a call reaches first, behind partials, methods and static methods."""
    for _ in range(_DEEPEST):
        made = getattr(function, "__partialmethod__", None) or getattr(function, "_partialmethod", None)
        if isinstance(function, functools.partial):
            function = cast(object, function.func)
        elif isinstance(made, functools.partialmethod):
            function = cast(object, made.func)
        elif isinstance(function, staticmethod | types.MethodType):
            function = cast(object, function.__func__)
        else:
            break
    return function


def _layers(function: object) -> Iterator[object]:
    """Yield the callables along `__wrapped__`, the outermost first; stops at a depth limit, so circles end, too."""
    for _ in range(_DEEPEST):
        function = _outermost(function)
        yield function
        inside: object = getattr(function, "__wrapped__", None)
        if inside is None or not callable(inside):
            return
        function = inside


def _innermost(function: object) -> object:
    *_, last = _layers(function)
    if not inspect.isroutine(last) and not isinstance(last, type):
        own = _call_of(last)
        return last if own is None else _innermost(own)
    return last


def _call_of(thing: object) -> object:
    return getattr(type(thing), "__call__", None)  # noqa: B004


def _is_generator(function: object) -> bool:
    tried = (function, _call_of(function))
    kinds = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(_is_one(kind, one) for kind in kinds for one in tried)


def _is_one(kind: Callable[[Any], bool], function: object) -> bool:
    """Return `kind(function)`; False if that raises, as it does for some mocks that pose as functions."""
    try:
        return kind(function)
    except Exception:
        return False


def _is_function(function: object) -> TypeGuard[types.FunctionType]:
    """Tell whether this is exactly a Python function, whatever its `__class__` claims."""
    return type(function) is types.FunctionType


def _is_context_manager(function: object) -> bool:
    return _is_function(function) and function.__code__ in _CONTEXT_MANAGERS


def _returns(function: Callable[..., Any]) -> object:
    """Return the annotated return type without its arguments; None if there is none or it cannot be resolved."""
    try:
        found = annotations_of(function).get("return")
    except Exception:
        # Annotations that cannot be resolved are reported where the parameters are bound.
        return None
    return typing.get_origin(found) or found


def _signature_mistake(function: Callable[..., Any], first: bool) -> str | None:
    """Return how a function's real parameters differ from its signature, which a decorator can replace; None if not."""
    try:
        said = signature_of(function)
    except (TypeError, ValueError) as problem:
        return f"nobody knows what it takes ({problem}); write a function that calls it"
    own = _outermost(function)
    if not _is_function(own) or own is not function:
        return None
    # A copy of the function without attributes such as `__signature__` shows the real parameters.
    bare = types.FunctionType(own.__code__, own.__globals__, own.__name__, own.__defaults__, own.__closure__)
    bare.__kwdefaults__ = own.__kwdefaults__
    truth = inspect.signature(bare)
    parameters = list(said.parameters.values())[1 if first else 0 :]
    if any(one.kind is one.POSITIONAL_ONLY for one in parameters):
        return None
    named = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if not said.parameters or _binds(truth, int(first), named):
        return None
    return f"it says that it takes {said}, and takes {truth}; let its decorator pass on *args and **kwargs"


def _binds(signature: inspect.Signature, first: int, names: abc.Iterable[str]) -> bool:
    try:
        signature.bind(*range(first), **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _instead(function: object) -> str:
    if isinstance(function, classmethod | functools.partialmethod):
        return "declare what the class or the object gives, such as Class.method, after the class was made"
    return "write a function"
