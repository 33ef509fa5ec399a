"""The attributes of sagas in memory, under the lock of the store that holds them."""

from collections.abc import Sequence

from msgspec.structs import replace

from sagalog.store import Append, AttributeRow


class MemoryAttributes:
    """The rows of `saga_attributes` by saga id and name."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, AttributeRow]] = {}

    def write(self, append: Append, position: int) -> None:
        """Write what an append changes."""
        if append.attributes or append.forgotten:
            rows = self._rows.setdefault(append.saga_id, {})
            for name in append.forgotten:
                rows.pop(name, None)
            for row in append.attributes:
                rows[row.name] = replace(row, position=position)

    def one(self, saga_id: str, name: str) -> AttributeRow | None:
        """Return the row of one attribute."""
        return self._rows.get(saga_id, {}).get(name)

    def of(self, saga_ids: Sequence[str]) -> dict[str, list[AttributeRow]]:
        """Return the rows of those of these sagas that have any, by name."""
        found = {saga_id: self._rows.get(saga_id, {}) for saga_id in saga_ids}
        return {saga_id: [rows[name] for name in sorted(rows)] for saga_id, rows in found.items() if rows}

    def names(self) -> list[str]:
        """Return every name that some saga has."""
        return sorted({name for rows in self._rows.values() for name in rows})

    def rewrite(self, saga_ids: Sequence[str], attributes: Sequence[AttributeRow]) -> None:
        """Replace the rows of these sagas."""
        for saga_id in saga_ids:
            self._rows.pop(saga_id, None)
        for row in attributes:
            self._rows.setdefault(row.saga_id, {})[row.name] = row
