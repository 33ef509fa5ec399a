"""What is alike in a filter is so by a to z in every locale: with its capitals each database would differ."""

import psycopg
import pytest
from databases.stores import opened
from servers.postgres_server import PostgresServer

from sagalog.store import Query
from sagalog.store.where import parse
from sagalog.testing.contracts.store.samples import NOW, ending, start

A_LOCALE = "C.UTF-8"


@pytest.mark.postgres
def test_a_locale_of_postgres_adds_no_capitals(postgres_server: PostgresServer) -> None:
    name = "in_a_locale"
    with psycopg.connect(postgres_server.url(), autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' LOCALE '{A_LOCALE}' TEMPLATE template0".encode())
        try:
            assert owner.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            with psycopg.connect(postgres_server.url(name)) as other:
                assert other.execute("SELECT lower('Ä')").fetchone() == ("ä",), "so it could be otherwise"
            with opened(postgres_server.url(name)) as store:
                saga = start("Ä-A")
                store.append([saga])
                store.append([ending(saga, "stuck", error_type="Ärger", error_text="B")])
                for alike, found in (("Ä", 1), ("-a", 1), ("ä", 0)):
                    assert len(store.find(Query(where=parse(f"key~{alike}", NOW)))) == found
                for alike, found in (("ÄR", 1), ("är", 0), ("GER b", 1)):
                    assert len(store.find(Query(error=alike))) == found
                    assert len(store.find(Query(where=parse(f'error~"{alike}" or run=2', NOW)))) == found
        finally:
            postgres_server.drop_database(name)
