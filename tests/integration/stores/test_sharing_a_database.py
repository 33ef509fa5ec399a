"""Two sagalogs in two schemas of one PostgreSQL database do not disturb each other; databases that are not fit."""

import threading
import time
from collections.abc import Generator
from typing import Any

import psycopg
import pytest
from databases.catalogs import SQL, names_in, plain
from databases.stores import opened
from eventsourcing.persistence import StoredEvent
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers.postgres_roles import in_schema

from sagalog.errors import StoreUnfit
from sagalog.store import Store
from sagalog.stores.postgres.connection import SQL as OURS
from sagalog.stores.postgres.store import PostgresStore
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, lease, start

pytestmark = pytest.mark.postgres


@pytest.fixture
def schemas(postgres_url: str) -> tuple[str, str]:
    """The addresses of two schemas of one database; names of both need quotes."""
    with plain(postgres_url) as connection:
        for name in ("Shop", "bank of ada"):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    return in_schema(postgres_url, "Shop"), in_schema(postgres_url, "bank of ada")


@pytest.fixture
def stores(schemas: tuple[str, str]) -> Generator[tuple[Any, Any]]:
    with opened(schemas[0]) as shop, opened(schemas[1]) as bank:
        yield shop, bank


def test_each_schema_has_sagas_of_its_own(stores: tuple[Store, Store]) -> None:
    shop, bank = stores
    mine, theirs = start("o-1"), start("o-1")
    assert shop.append([mine]) == bank.append([theirs]) == ["written"]
    for store, one in ((shop, mine), (bank, theirs)):
        store.register(lease("w1"))
        assert [row.saga_id for row in store.claim("w1", [DEFINITION], NOW, 9)] == [one.saga_id]
        assert [event.saga_id for event in store.read_log(0, 9)] == [one.saga_id]
        assert [event.position for event in store.read_log(0, 9)] == [1]


def test_nothing_is_made_outside_the_schema_that_was_named(schemas: tuple[str, str], postgres_url: str) -> None:
    with opened(schemas[0]):
        pass
    with plain(postgres_url) as connection:
        found = connection.execute(SQL["schemas_with_tables"]).fetchall()
    assert found == [("Shop",)]
    assert ("relation", "saga_tracking") in names_in(postgres_url)


def test_what_happens_in_one_schema_wakes_nobody_in_the_other(stores: tuple[Any, Any]) -> None:
    shop, bank = stores
    heard = {"shop": threading.Semaphore(0), "bank": threading.Semaphore(0)}
    for name, store in (("shop", shop), ("bank", bank)):
        store.watch(heard[name].release)
        # Whoever begins to listen looks once.
        assert heard[name].acquire(timeout=5)
    with opened(another(shop)) as peer:
        for _ in range(3):
            peer.append([start(owner=None)])
        assert heard["shop"].acquire(timeout=5)
        # What the recorder of `eventsourcing` writes is told to the same, and only to them.
        while heard["shop"].acquire(timeout=0.2):
            pass
        peer.recorder.insert_events([StoredEvent("a-1", 1, "topic", b"{}")])  # type: ignore[attr-defined]
        assert heard["shop"].acquire(timeout=5)
    assert not heard["bank"].acquire(timeout=0.2)


def another(store: Any) -> PostgresStore:
    """Return another store on the same schema, as another process would have it."""
    return PostgresStore(make_conninfo(**store._address.parameters))


def test_a_migration_of_one_schema_holds_up_no_other(schemas: tuple[str, str]) -> None:
    opening = PostgresStore(schemas[1])
    done = threading.Event()

    def open_the_other() -> None:
        opening.open()
        done.set()

    with psycopg.connect(schemas[0]) as connection:
        # As `apply` does, for as long as its statements take.
        connection.execute(OURS["try_lock_schema"])
        thread = threading.Thread(target=open_the_other, daemon=True)
        thread.start()
        assert done.wait(10)
    thread.join()
    opening.close()


def test_tables_that_are_found_behind_the_first_schema_are_not_taken_for_its_own(
    postgres_url: str, schemas: tuple[str, str]
) -> None:
    """One that makes its tables in one schema and finds another's in the next would write into both."""
    with opened(postgres_url) as public:
        assert public.append([start("o-1")]) == ["written"]
    both = in_schema(postgres_url, "Shop", "public")
    with pytest.raises(
        StoreUnfit, match=r"expected our tables in the schema Shop, .* found them in public; name the one"
    ):
        PostgresStore(both).open()
    with opened(in_schema(postgres_url, "Shop")):
        pass
    with opened(both) as shop:
        assert shop.latest_run("order-fulfilment", "o-1") is None


def test_a_schema_that_is_not_there_is_named(postgres_url: str) -> None:
    with pytest.raises(StoreUnfit, match=r'found none in search_path \("nowhere"\); create it, or grant what'):
        PostgresStore(in_schema(postgres_url, "nowhere")).open()


@pytest.mark.parametrize(("encoding", "locale"), [("LATIN1", "C"), ("SQL_ASCII", "C"), ("EUC_JP", "C")])
def test_a_database_that_cannot_hold_our_texts_is_refused_when_it_is_opened(
    postgres_server: Any, encoding: str, locale: str
) -> None:
    name = f"sagalog_{encoding.lower()}_{time.time_ns()}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE '{locale}' TEMPLATE template0".encode()
        )
    try:
        with pytest.raises(StoreUnfit, match=f"expected a database with encoding UTF8, found {encoding}, which cannot"):
            PostgresStore(postgres_server.url(name)).open()
        assert names_in(postgres_server.url(name)) == []
    finally:
        postgres_server.drop_database(name)


@pytest.mark.parametrize(
    "settings",
    [
        {"client_encoding": "latin1"},
        {"options": "-cclient_encoding=latin1"},
        {"options": "-cdefault_transaction_isolation=serializable"},
        {"options": "-cdefault_transaction_deferrable=on"},
        {"options": "-cstandard_conforming_strings=off -cbackslash_quote=on -cescape_string_warning=off"},
        {"options": "-carray_nulls=off"},
        {"options": "-ctransform_null_equals=on"},
        {"options": "-cDateStyle=German,DMY -cIntervalStyle=sql_standard"},
        {"options": "-cbytea_output=escape -cextra_float_digits=-5"},
        {"options": "-cTimeZone=Asia/Kathmandu -clc_messages=C -cxmloption=document"},
        {"options": "-cplan_cache_mode=force_custom_plan -cenable_indexscan=off -cenable_seqscan=off"},
        {"options": "-cdefault_toast_compression=pglz -cquote_all_identifiers=on -crow_security=off"},
    ],
)
def test_no_setting_of_a_session_changes_what_is_kept(postgres_url: str, settings: dict[str, str]) -> None:
    url = make_conninfo(postgres_url, **settings)
    with opened(PostgresStore(url)) as store, opened(PostgresStore(url)) as peer:
        begun = start("o-1 ÄÖÜ 🙂 \\ 'quoted' NULL {null} 日本", correlation_id="NULL")
        none = start("NULL", owner=None)
        assert store.append([begun, none]) == ["written"] * 2
        assert peer.append([start("NULL")]) == ["exists"]
        row = peer.status(begun.saga_id)
        assert row is not None
        assert (row.saga_key, row.correlation_id, row.causation_id) == (begun.status.saga_key, "NULL", None)
        assert [(event.topic, event.state) for event in peer.read(begun.saga_id)] == [
            tuple(one) for one in begun.events
        ]
        assert peer.latest_run("order-fulfilment", begun.status.saga_key) == row
        store.register(lease("w1"))
        assert none.saga_id in [one.saga_id for one in store.claim("w1", [DEFINITION], NOW, 9)]
