"""The part of the port about the read model: rows of sagas and steps, found, counted, and replaced by a rebuild."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.requests import Query
from sagalog.store.rows import AttributeRow, CommandRow, StatusRow, StepRow


class Finding(Protocol):
    """The role of a store to find sagas."""

    def status(self, saga_id: str) -> StatusRow | None:
        """Return a saga's row; None if there is no such saga."""
        ...

    def statuses(self, saga_ids: Sequence[str]) -> dict[str, StatusRow]:
        """Return the rows of those sagas that exist, by saga id."""
        ...

    def latest_run(self, saga_name: str, key: str) -> StatusRow | None:
        """Return the newest run of a key; None if there is none."""
        ...

    def find(self, query: Query) -> list[StatusRow]:
        """Return the rows that match, newest first."""
        ...

    def sagas_by_key(self, saga_name: str, keys: Sequence[str]) -> dict[str, StatusRow]:
        """Return, by key, the newest run of each of these keys that has one."""
        ...

    def sagas_by_correlation(self, saga_name: str | None, correlation_ids: Sequence[str]) -> list[StatusRow]:
        """Return the sagas with these correlation ids, ended or not, oldest first; `saga_name=None` means any name."""
        ...

    def steps(self, saga_id: str) -> list[StepRow]:
        """Return a saga's step rows in the order in which they began."""
        ...

    def steps_many(self, saga_ids: Sequence[str]) -> dict[str, list[StepRow]]:
        """Return, by saga id, what `steps` returns of each of these sagas."""
        ...

    def attributes(self, saga_ids: Sequence[str]) -> dict[str, list[AttributeRow]]:
        """Return, by saga id, the attributes of those of these sagas that have any, by name."""
        ...

    def attribute_names(self) -> list[str]:
        """Return every name of an attribute that some saga has, in order."""
        ...

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (saga name, status, number of sagas) for each name and status."""
        ...

    def unloaded(self, definitions: Sequence[str]) -> list[tuple[str, int, str, int]]:
        """Return (name, version, digest, number) of open sagas whose definition's digest is not in `definitions`."""
        ...

    def rewrite(
        self,
        rows: Sequence[StatusRow],
        steps: Sequence[StepRow],
        commands: Sequence[CommandRow] = (),
        attributes: Sequence[AttributeRow] = (),
    ) -> None:
        """Replace the rows of these sagas in the read model by ones computed from the log.

        The owner of a saga and the deliveries of a command are kept: they are not in the log.
        """
        ...
