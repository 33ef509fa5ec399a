"""The stores: one port (`sagalog.store`), kept in memory, in SQLite, or in PostgreSQL."""

from sagalog.errors import InvalidSettings
from sagalog.store import Store, StoreOptions


def store_for(address: str, options: StoreOptions | None = None) -> Store:
    """Return the closed store that a database address names.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user@host/database`, `memory://`. Drivers are
    imported only for the store that is asked for. Raises `InvalidSettings` for any other address.
    """
    options = options or StoreOptions()
    scheme = address.split(":", 1)[0]
    if scheme == "sqlite" and address.startswith("sqlite:///"):
        from sagalog.stores.sqlite import SQLiteStore

        return SQLiteStore(address.removeprefix("sqlite:///"), options)
    if scheme in ("postgresql", "postgres"):
        from sagalog.stores.postgres import PostgresStore

        return PostgresStore(address, options)
    if address == "memory://":
        from sagalog.stores.memory import MemoryStore

        return MemoryStore()
    raise InvalidSettings(
        f"expected a database such as sqlite:///shop.db or postgresql://user@host/shop, found {scheme or 'nothing'}:..."
    )
