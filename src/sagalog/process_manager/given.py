"""What a process manager is given, when it is built and when it is asked, checked by its type; it opens nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sagalog.errors import DefinitionError, InvalidInput, InvalidQuery, ServiceNotProvided, UnknownSaga
from sagalog.saga.binding import Parameter
from sagalog.saga.choreography.declare import Choreography
from sagalog.saga.declare import Saga
from sagalog.saga.durations import Duration, seconds_of
from sagalog.saga.options import listed, shown

# What is asked of a port, which need be of no class.
STORE = ("open", "close", "append", "read", "claim")
TRANSPORT = ("name", "carries", "open", "send", "close")
CLOCK = ("now", "chance", "token")
BLOCKING = ("read", "write", "handler", "close")

SagaNamed = str | Saga[Any] | Choreography


def port(given: Any, methods: Sequence[str], option: str) -> Any:
    """Return what has these methods, or None; raises `DefinitionError` that names those it lacks."""
    missing = lacking(given, methods)
    if given is None or not missing:
        return given
    raise DefinitionError(f"expected {', '.join(methods)} of {option}=, found {shown(given)} without {missing}")


def ports(given: object, methods: Sequence[str], option: str) -> list[Any]:
    """Return the members of a list, each of which has these methods; raises `DefinitionError`."""
    members = listed(given)
    if members is None:
        raise DefinitionError(f"expected a list for {option}=, found {shown(given)}; write {option}=[...]")
    for one in members:
        if missing := lacking(one, methods):
            raise DefinitionError(
                f"expected {', '.join(methods)} of each of {option}=, found {shown(one)} without {missing}"
            )
    return members


def lacking(given: object, methods: Sequence[str]) -> str:
    """Return the names that something has not, of those that are asked of it."""
    return ", ".join(name for name in methods if isinstance(given, type) or not hasattr(given, name))


def instances(services: object) -> dict[type, Any]:
    """Return services by type; raises `DefinitionError` for what gives none by its type."""
    if services is None:
        return {}
    expected = "expected {Type: instance} for services=, found"
    if not isinstance(services, Mapping):
        raise DefinitionError(f"{expected} {shown(services)}; say of which type each of them is")
    given: dict[Any, Any] = dict(cast("Mapping[object, object]", services))
    for kind in given:
        if not isinstance(kind, type):
            raise DefinitionError(f"{expected} {shown(kind)} in the place of a type")
    return given


def check_kinds(services: Mapping[type, Any], asked: Iterable[tuple[str, Parameter]]) -> None:
    """Raise `ServiceNotProvided` naming every service that cannot be what it is asked for as.

    It is an instance of the type, or has all the public names that the type has, as a proxy or a stand-in has.
    """
    wrong = [
        f"  - {where}: {parameter.name}: expected an instance of {parameter.key.__name__}, found {_found(given)}"
        for where, parameter in asked
        if parameter.source == "service" and parameter.key in services
        if not _can_be(given := services[parameter.key], parameter)
    ]
    if wrong:
        listed = "\n".join(dict.fromkeys(wrong))
        raise ServiceNotProvided(
            f"these services are not of the type under which they are given:\n{listed}\n"
            "give an instance of the type, or something that has all its public names"
        )


def _can_be(given: Any, parameter: Parameter) -> bool:
    if given is None:
        return parameter.optional
    try:
        if isinstance(given, parameter.key):
            return True
    except Exception:
        # A protocol that cannot be asked, or a metaclass with an opinion of its own.
        return True
    names = [name for name in dir(parameter.key) if not name.startswith("_")]
    return bool(names) and not isinstance(given, type) and all(_has(given, name) for name in names)


def _has(given: Any, name: str) -> bool:
    try:
        return hasattr(given, name)
    except Exception:
        # It is there, and says something else at this moment.
        return True


def _found(given: object) -> str:
    return f"the class {given.__name__} itself" if isinstance(given, type) else shown(given)


def check_start(saga: object, value: object) -> None:
    """Raise `UnknownSaga` for what is no saga, its name for example, and `InvalidInput` for the class of an input."""
    if not isinstance(saga, Saga):
        known = "; a name is not enough, give the saga itself" if isinstance(saga, str) else ""
        raise UnknownSaga(f"expected a Saga to start, found {shown(saga)}{known}")
    if isinstance(value, type):
        raise InvalidInput(
            f"the input of saga {saga.name}: expected an instance, found the class {value.__name__} itself"
        )


def name_of_saga(saga: SagaNamed | None) -> str | None:
    """Return the name of a saga that is named, or given itself; raises `InvalidQuery`."""
    if isinstance(saga, Saga | Choreography):
        return saga.name
    if saga is not None and not isinstance(cast(object, saga), str):
        raise InvalidQuery(f"expected the name of a saga, or the saga itself, found {shown(saga)}")
    return saga


def patience(timeout: Duration | None) -> float | None:
    """Return how many seconds are waited; raises `InvalidQuery` for what is no time."""
    if timeout is None:
        return None
    seconds = seconds_of(timeout)
    if seconds < 0:
        raise InvalidQuery(
            f"timeout: expected seconds or a timedelta, from 0 on, or None to wait for ever, found {shown(timeout)}"
        )
    return seconds
