"""What a filter asks that a query can ask without one, so that the same indexes find it. Pure; it knows no SQL."""

from msgspec.structs import replace

from sagalog.saga.transitions import STATUSES
from sagalog.store import Query
from sagalog.store.attributes import MOST_CONDITIONS
from sagalog.store.filters import All, AnyOf, AttributeComparison, Comparison, Filter, Not


def narrowed(query: Query) -> Query:
    """Return a query that finds the same, with less of it in its filter.

    Each part that every saga has to meet is moved to where the query has a place for it, and that is still free.
    """
    if query.where is None:
        return query
    left: list[Filter] = []
    for part in _conjuncts(query.where):
        found = _with(query, part)
        if found is None:
            left.append(part)
        else:
            query = found
    return replace(query, where=None if not left else left[0] if len(left) == 1 else All(tuple(left)))


def _conjuncts(wanted: Filter) -> list[Filter]:
    if isinstance(wanted, All):
        return [one for part in wanted.parts for one in _conjuncts(part)]
    return [wanted]


def _with(query: Query, part: Filter) -> Query | None:
    """Return the query that asks a part, too; None if it cannot."""
    statuses = _statuses(part)
    if statuses is not None:
        both = [one for one in STATUSES if one in statuses and (not query.statuses or one in query.statuses)]
        # None at all would mean any.
        return replace(query, statuses=both) if both else None
    match part:
        case Comparison("saga", "=", str(name)) if query.saga_name in (None, name):
            return replace(query, saga_name=name)
        case Comparison("key", "=", str(key)) if query.key in (None, key):
            return replace(query, key=key)
        case Comparison("error", "~", str(text)) if query.error in (None, text):
            return replace(query, error=text)
        case Comparison("started", "<" | "<=", int(time)):
            before = time if part.operator == "<" else time + 1
            own = before if query.started_before is None else query.started_before
            return replace(query, started_before=min(before, own))
        case Comparison("started", ">" | ">=", int(time)):
            after = time + 1 if part.operator == ">" else time
            own = after if query.started_after is None else query.started_after
            return replace(query, started_after=max(after, own))
        case AttributeComparison() if len(query.attributes) < MOST_CONDITIONS:
            condition = part.wanted()
            return None if condition is None else replace(query, attributes=[*query.attributes, condition])
        case _:
            return None


def _statuses(part: Filter) -> frozenset[str] | None:
    """Return the statuses that meet a part about nothing else; None for any other part."""
    match part:
        case Comparison("status", "=", str(status)):
            return frozenset((status,))
        case AnyOf(parts):
            found = [_statuses(one) for one in parts]
            return None if None in found else frozenset(one for some in found if some is not None for one in some)
        case Not(inner):
            statuses = _statuses(inner)
            return None if statuses is None else frozenset(STATUSES) - statuses
        case _:
            return None
