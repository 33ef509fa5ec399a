"""A worker that an older version began shows no sign of life, and is judged by its lease alone."""

from databases.catalogs import plain
from databases.stores import opened

from sagalog.testing.contracts.store.samples import NOW, SECOND, lease


def test_a_worker_without_a_lock_is_not_taken_for_dead(each_sql_database: str) -> None:
    """Invariant 35."""
    with plain(each_sql_database) as connection, opened(each_sql_database) as store:
        connection.execute(
            "INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until, lease_length) "
            f"VALUES ('older', 'h', 1, 1, {NOW + 10 * SECOND}, {10 * SECOND})"
        )
        store.register(lease("w1"))
        assert store.free(NOW) == []
        # It renews its lease as it always did.
        connection.execute(f"UPDATE saga_workers SET lease_until = {NOW + 20 * SECOND} WHERE worker_id = 'older'")
        assert store.free(NOW + 9 * SECOND) == []
        assert [one.worker_id for one in store.leases()] == ["older", "w1"]
