"""What is looked at all the time is found through indexes, never by reading what has ended or waits for others."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from backlog.statements import FRAGMENTS
from databases.stores import opened

from sagalog.stores.postgres.connection import SQL as POSTGRES
from sagalog.stores.postgres.store import PostgresStore
from sagalog.stores.sqlite.recorder import APPENDING
from sagalog.stores.sqlite.store import SQLiteStore
from sagalog.stores.sqlite.writing import SQL as SQLITE
from sagalog.testing.contracts.store.jobs import prepared
from sagalog.testing.contracts.store.message_samples import event, for_saga, published, put, waiting
from sagalog.testing.contracts.store.samples import start

# A row for each worker or each consumer of the fleet; and what a person asks for.
SMALL = {"saga_workers", "saga_consumers"}
ASKED_BY_A_PERSON = {"counts", "find", "find_open", "find_with_an_error"} | {
    # Each of these ends at a limit.
    *("some_in_trouble", "some_with_an_error", "some_open", "some_misdated"),
}


def sqlite_plan(connection: sqlite3.Connection, text: str) -> Iterator[str]:
    # Some statements have parameters of both kinds: the values of conditions, as many as there are.
    named = dict.fromkeys(re.findall(r":(\w+)", text))
    text = text.replace("?", "NULL") if named else text
    for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", named or [None] * text.count("?")):
        yield str(row[3])


def test_no_look_scans_a_table_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "sagas.db"
    with opened(SQLiteStore(str(path))):
        pass
    connection = sqlite3.connect(path)
    for text in APPENDING:
        connection.execute(text)
    looked_at: set[str] = set()
    for name, text in SQLITE.items():
        if not re.match(r"SELECT|WITH|UPDATE|DELETE|INSERT", text) or name in ASKED_BY_A_PERSON | FRAGMENTS:
            continue
        aliases = dict(re.findall(r"(saga_\w+) AS (\w+)", text))
        for step in sqlite_plan(connection, text):
            scanned = re.match(r"SCAN (\w+)", step)
            if scanned is None:
                continue
            table = next((table for table, alias in aliases.items() if alias == scanned[1]), scanned[1])
            assert not table.startswith("saga_") or table in SMALL, f"{name}: {step}"
        looked_at.add(name)
    connection.close()
    assert {
        "mail",
        "inbox",
        "with_mail",
        "anything_due",
        "due",
        "sagas_by_correlation",
        "find_message",
        "takeable_job",
        "unloaded",
        "unmatched",
    } <= looked_at


# The names of blocks, whether the connection that writes runs them, and parameters of their kinds.
LOOKS: list[tuple[str, bool, tuple[Any, ...]]] = [
    ("claim", True, (["digest"], 1, 10, "w1", ["s"])),
    ("free_some", True, (10, ["s"])),
    ("lost", False, (1, 10, ["s"])),
    ("free_these", True, (["s"],)),
    ("forget_their_owners", True, (1, ["s"])),
    ("forget_their_readers", True, (1, ["saga:a"])),
    ("due", False, (["digest"], 1, 10, ["s"])),
    ("with_mail", False, (["digest"], 10, ["s"])),
    ("forget_the_dead", True, (1,)),
    ("read_messages", False, (0, 10)),
    ("messages_of", False, (["c-1"],)),
    ("find_message", False, ("m-1",)),
    ("commands", False, (["c"],)),
    ("commands_of", False, ("s",)),
    ("sagas_by_key", False, ("order-fulfilment", ["k"])),
    ("sagas_by_correlation", False, (None, ["c-1"])),
    ("mail", False, ("w1", 10, ["s"])),
    ("mailed", False, ("w1", 10, ["s"])),
    ("claim_due", True, (["digest"], 1, 10, "w1", ["s"])),
    ("anything_lost", False, (1, ["s"], "w1")),
    ("inbox", False, ("participant:payments", 1, 10)),
    ("redelivering", False, (["saga:a"], 10, "")),
    ("takeable_consumers", False, (["saga:a"], "w1", 1)),
    ("takeable_job", False, ("w1", 1)),
    ("forget_their_runners", True, ("w1", 1)),
    ("take_job", True, ("w1",)),
    ("give_back_jobs", True, ("w1",)),
    ("add_job_items", True, ("j", 1, ["s"])),
    ("job_items", False, ("j", ["pending"], 10, 0)),
    ("job_counts", False, (["j"],)),
    ("jobs", False, (10, None)),
    ("settle_job_item", True, (["j"], [1], ["acted"], [None], [1])),
]


def literal(value: Any) -> str:
    if isinstance(value, list):
        values: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        return f"ARRAY[{', '.join(literal(one) for one in values)}]"
    return "NULL" if value is None else repr(value)


@pytest.mark.postgres
def test_no_look_scans_a_table_of_postgres(migrated_postgres_url: str) -> None:
    """Neither while the tables are empty nor with statistics that say they are, when they have filled up since."""
    with opened(PostgresStore(migrated_postgres_url)) as one:
        store = cast(PostgresStore, one)
        for filled in (False, True):
            if filled:
                fill(store)
            connections = cast(Any, store)._connections
            for name, writes, parameters in LOOKS:
                with connections.writer() if writes else connections.reader() as connection:
                    prepared = f"look_{name}_{filled}"
                    values = ", ".join(literal(value) for value in parameters)
                    connection.execute(f"PREPARE {prepared} AS {POSTGRES[name].decode()}".encode())
                    plan = [row[0] for row in connection.execute(f"EXPLAIN EXECUTE {prepared} ({values})".encode())]
                for step in plan:
                    scanned = re.search(r"Seq Scan on (\w+)", step)
                    assert scanned is None or scanned[1] in SMALL, f"{name}: {step}"


@pytest.mark.postgres
def test_what_is_written_to_an_inbox_of_postgres_is_found_by_its_key(migrated_postgres_url: str) -> None:
    """Planned once, while the tables are empty: another index that begins with the recipient would read all it has."""
    with opened(PostgresStore(migrated_postgres_url)) as one, cast(Any, one)._connections.writer() as connection:
        for name in ("post", "attach"):
            text = POSTGRES[name].decode()
            connection.execute(f"PREPARE write_{name} AS {text}".encode())
            nothing = ", ".join(["NULL"] * max(int(number) for number in re.findall(r"\$(\d+)", text)))
            plan = [row[0] for row in connection.execute(f"EXPLAIN EXECUTE write_{name} ({nothing})".encode())]
            used = {match[1] for step in plan if (match := re.search(r"using (saga_inbox\w+)", step))}
            assert used == {"saga_inbox_pkey"}, name
            assert not [step for step in plan if "Seq Scan on saga_" in step], name


@pytest.mark.postgres
def test_an_item_of_a_job_of_postgres_is_found_by_itself(migrated_postgres_url: str) -> None:
    """Planned once, while the table is empty: whoever adds to a large job would read all of it for each saga."""
    with opened(PostgresStore(migrated_postgres_url)) as one:
        connections = cast(Any, one)._connections
        for name, writes, columns in (
            ("add_job_items", True, ("job_id", "saga_id")),
            ("settle_job_item", True, ("job_id", "number")),
            ("job_items", False, ("job_id", "status", "number")),
        ):
            [parameters] = [values for block, _, values in LOOKS if block == name]
            with connections.writer() if writes else connections.reader() as connection:
                values = ", ".join(literal(value) for value in parameters)
                connection.execute(f"PREPARE item_{name} AS {POSTGRES[name].decode()}".encode())
                plan = [row[0] for row in connection.execute(f"EXPLAIN EXECUTE item_{name} ({values})".encode())]
            conditions = [step for step in plan if "Index Cond" in step]
            assert conditions, name
            for condition in conditions:
                assert all(f"{column} " in condition for column in columns), f"{name}: {condition}"
            assert not [step for step in plan if "Seq Scan" in step or "Materialize" in step], name


def fill(store: PostgresStore) -> None:
    """Write what no statistics know of: sagas, and far more that waits for a participant than for them."""
    sagas = [start(owner="w1") for _ in range(500)]
    store.append(sagas)
    messages = published(store, *[event(correlation_id=f"c-{number}") for number in range(500)])
    put(store, *[waiting(one) for one in messages], *[for_saga(messages[0], one.saga_id) for one in sagas[:20]])
    for _ in range(300):
        prepared(store, "s-1", "s-2")
    prepared(store, *[one.saga_id for one in sagas])
