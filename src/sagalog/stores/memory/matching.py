"""Whether a row matches a query, as pure functions, for stores without a database to ask."""

from sagalog.store import Query, StatusRow, UnmatchedQuery, UnmatchedRow
from sagalog.store.attributes import wanted_of
from sagalog.store.filters import Attribute, Comparison, meets


def saga_matches(row: StatusRow, query: Query) -> bool:
    """Tell whether a saga matches a query."""
    return (
        (query.saga_name is None or row.saga_name == query.saga_name)
        and (not query.statuses or row.status in query.statuses)
        and (query.key is None or row.saga_key == query.key)
        and (query.error is None or meets(Comparison("error", "~", query.error), row, no_attribute))
        and (query.started_before is None or row.started_at < query.started_before)
        and (query.started_after is None or row.started_at >= query.started_after)
        and (query.before is None or row.saga_id < query.before)
    )


def no_attribute(saga_id: str, name: str) -> None:
    """Find no attribute, for what compares none."""


def meets_conditions(row: StatusRow, query: Query, attribute: Attribute) -> bool:
    """Tell whether a saga meets all conditions on its attributes, which `attribute` finds, and the filter."""
    if query.where is not None and not meets(query.where, row, attribute):
        return False
    return all(one.is_met_by(attribute(row.saga_id, one.name)) for one in map(wanted_of, query.attributes))


def message_matches(row: UnmatchedRow, query: UnmatchedQuery) -> bool:
    """Tell whether an unmatched message matches a query."""
    return (
        (not query.statuses or row.status in query.statuses)
        and (query.name is None or row.name == query.name)
        and (query.consumer is None or row.consumer == query.consumer)
        and (query.correlation_id is None or row.correlation_id == query.correlation_id)
        and (query.unmatched_id is None or row.unmatched_id == query.unmatched_id)
        and (query.before is None or row.unmatched_id < query.before)
    )
