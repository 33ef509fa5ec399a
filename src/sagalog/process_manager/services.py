"""Checks of the services that steps and handlers ask for by type: each must be given, and fit its type."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sagalog.errors import DefinitionError, ServiceNotProvided
from sagalog.saga.binding import Parameter
from sagalog.saga.options import shown


def instances(services: object) -> dict[type, Any]:
    """Return the services by type, none for None; raises `DefinitionError` unless it is a mapping with type keys."""
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


def check_services(services: Mapping[type, Any], asked: Sequence[tuple[str, Parameter]]) -> None:
    """Raise `ServiceNotProvided` that names every parameter whose service is missing or of another type.

    `asked` are the parameters of handlers, each after its place, such as `order.pay`.
    """
    missing = [
        f"  - {where}: {parameter.name}: {parameter.key.__name__}"
        for where, parameter in asked
        if parameter.source == "service" and parameter.key not in services
    ]
    if missing:
        listed = "\n".join(dict.fromkeys(missing))
        given = ", ".join(kind.__name__ for kind in services) or "none"
        raise ServiceNotProvided(
            f"these parameters have a type that nothing provides (services given: {given}):\n{listed}\n"
            "give an instance in services={Type: instance}, or mend the annotation"
        )
    _check_kinds(services, asked)


def _check_kinds(services: Mapping[type, Any], asked: Sequence[tuple[str, Parameter]]) -> None:
    """Raise `ServiceNotProvided` that names every service that does not fit its type.

    A service fits if it is an instance of the type, or has all its public names, as a proxy or a fake has.
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
        # A protocol that is not `runtime_checkable`, or a metaclass that raises: it cannot be checked; accept it.
        return True
    names = [name for name in dir(parameter.key) if not name.startswith("_")]
    return bool(names) and not isinstance(given, type) and all(_has(given, name) for name in names)


def _has(given: Any, name: str) -> bool:
    try:
        return hasattr(given, name)
    except Exception:
        # The attribute exists, but reading it raises at this moment.
        return True


def _found(given: object) -> str:
    return f"the class {given.__name__} itself" if isinstance(given, type) else shown(given)
