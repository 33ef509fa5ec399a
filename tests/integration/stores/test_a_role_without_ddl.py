"""A role of PostgreSQL that may make no table works with what `sagalog db grants` prints, and with nothing less."""

import asyncio
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases.stores import opened
from lab.lab import Lab, in_lab
from pages.command_line import ROOT, Ran, sagalog
from pages.pages import page
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from sagas.bank import pay_command
from sagas.read_side import build_read_side
from servers.postgres_roles import in_schema, role_on

from sagalog import Event, Participant
from sagalog.errors import InvalidIdentifier, SchemaTooOld, StoreError, StoreUnfit
from sagalog.participant_kit import ParticipantKit
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import StoreOptions
from sagalog.stores import store_for
from sagalog.stores.postgres.connection import BLOCKS
from sagalog.stores.postgres.privileges import LOCKS, READER, WORKER, Place, grants_for, quoted
from sagalog.stores.postgres.store import PostgresStore

pytestmark = pytest.mark.postgres


class Ordered(Event):
    """Something was ordered."""

    order: str


class Cooked(Event):
    """It is ready."""

    order: str


# Computing the tables from the log again is for the owner of the tables.
REBUILDING = {
    *("rewrite_status", "forget_steps", "rewrite_step"),
    *("rewrite_command", "forget_commands", "forget_messages", "insert_message"),
}
MIGRATING = {"record_migration", "no_timeout", "try_lock_schema"}


def printed(url: str, role: str, *words: str) -> list[str]:
    ran = sagalog("--db", url, "db", "grants", role, *words)
    assert (ran.code, ran.err) == (0, "")
    return ran.lines


def execute(url: str, statements: list[str]) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def granted(url: str, *words: str) -> Generator[str]:
    """Give the address of a role that was granted what is printed, on a database that is up to date."""
    with opened(url):
        pass
    with role_on(url) as (role, address):
        execute(url, printed(url, role, *words))
        yield address


def test_a_worker_does_all_its_work_as_a_role_that_may_make_nothing(postgres_url: str) -> None:
    with granted(postgres_url) as address:
        with psycopg.connect(address) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(b"CREATE TABLE mine (x int)")
        run = on(address)
        started = run("start", "order-fulfilment", "--input", "-", "--wait", given=order("o-1"))
        assert (started.code, started.err) == (0, ""), started
        assert "o-1" in run("list").out
        assert "completed" in run("show", "o-1").out
        # Whoever may make tables builds what the audits ask for.
        build_read_side(postgres_url, address)
        for words in (["audit"], ["check"], ["history", "o-1"], ["db", "status"], ["db", "consumers"], ["wait", "o-1"]):
            ran = run(*words)
            assert (ran.code, ran.err) == (0, ""), (words, ran)


def order(order_id: str) -> str:
    lines, card = [{"sku": "mug", "quantity": 1}], "tok_visa"
    asked = {"customer": "Ada", "lines": lines, "total_cents": 1200, "card_token": card, "destination": "Lisbon"}
    return json.dumps({"order_id": order_id, **asked})


def on(address: str) -> Any:
    def run(*words: str, given: str = "") -> Ran:
        return sagalog(
            "--app-dir", str(ROOT), *words, "--db", address, given=given, environment={"SHOP_DB": ":memory:"}
        )

    return run


def test_participants_are_handed_messages_by_a_role_that_may_make_nothing(postgres_url: str) -> None:
    cooked: list[str] = []
    kitchen = Participant("kitchen")

    @kitchen.on
    async def cook(event: Ordered) -> Cooked:
        cooked.append(event.order)
        return Cooked(order=event.order)

    assert cook.__name__ == "cook"

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[kitchen])
        await process.do(process.manager.publish(Ordered(order="soup")))
        await lab.until(lambda: len(lab.stores[0].read_messages(0, 9)) == 2)
        assert cooked == ["soup"]

    with granted(postgres_url) as address:
        in_lab(address, story)


def test_a_role_that_only_reads_sees_everything_and_changes_nothing(postgres_url: str) -> None:
    with granted(postgres_url) as owner:
        assert on(owner)("start", "order-fulfilment", "--input", "-", "--wait", given=order("o-1")).code == 0
        with granted(postgres_url, "--read-only") as address:
            build_read_side(postgres_url, address)
            run = on(address)
            looks = (
                ["list"],
                ["show", "o-1"],
                ["history", "o-1"],
                ["audit"],
                ["check"],
                ["wait", "o-1"],
                ["unmatched", "list"],
            )
            for words in (*looks, ["db", "status"], ["db", "consumers"], ["export", "--all"], ["replay", "o-1"]):
                ran = run(*words)
                assert ran.code == 0, (words, ran)
            refused = run("start", "order-fulfilment", "--input", "-", given=order("o-2"))
            assert refused.code == 5
            assert re.search(
                r"lacks INSERT, .* on saga_events; .* USAGE on saga_events_notification_id_seq", refused.err
            )
            with psycopg.connect(address) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(b"DELETE FROM saga_workers")


def test_each_privilege_that_is_missing_is_named_when_the_store_is_opened(postgres_url: str) -> None:
    with granted(postgres_url) as address:
        role = PostgresStore(address)._address.parameters["user"]
        wanted = [(table, one) for table, privileges in WORKER.items() for one in privileges]
        for table, privilege in [*wanted, ("saga_events_notification_id_seq", "USAGE"), ("saga_events", "MAINTAIN")]:
            kind = "SEQUENCE" if table.endswith("_seq") else "TABLE"
            try:
                execute(postgres_url, [f'REVOKE {privilege} ON {kind} {table} FROM "{role}"'])
            except psycopg.errors.SyntaxError:
                # MAINTAIN is not known before version 17: there UPDATE lets lock.
                execute(postgres_url, [f'REVOKE UPDATE ON {table} FROM "{role}"'])
            with pytest.raises(
                StoreUnfit, match=f"{role} lacks .*{table}; grant what `sagalog db grants {role}` prints"
            ):
                PostgresStore(address).open()
            execute(postgres_url, printed(postgres_url, role))
            with opened(address):
                pass


def test_the_grants_are_exactly_what_the_statements_of_the_store_need() -> None:
    """A statement that is added needs what it needs: this compares all of them with what is granted."""
    verbs = {
        "INSERT": r"INSERT INTO (saga_\w+)",
        "UPDATE": r"(?:UPDATE|FOR UPDATE OF) (saga_\w+)",
        "DELETE": r"DELETE FROM (saga_\w+)",
    }
    found: set[tuple[str, str]] = set()
    for name, text in BLOCKS.items():
        if name not in REBUILDING | MIGRATING:
            found |= {(table, verb) for verb, form in verbs.items() for table in re.findall(form, text)}
            upserted = re.findall(r"INSERT INTO (saga_\w+)(?:(?!INSERT INTO).)*?DO UPDATE", text, re.DOTALL)
            found |= {(table, "UPDATE") for table in upserted}
    granted_writes = {(table, one) for table, privileges in WORKER.items() for one in privileges if one != "SELECT"}
    assert found == granted_writes


def test_without_a_right_to_the_schema_it_is_said_so(postgres_url: str) -> None:
    url = in_schema(postgres_url, "shop")
    execute(postgres_url, ["CREATE SCHEMA shop"])
    with opened(url), role_on(url) as (role, address):
        with pytest.raises(StoreUnfit, match=f"expected a schema that {role} may use, found none in search_path"):
            PostgresStore(address).open()
        execute(url, printed(url, role))
        with opened(address):
            pass


def test_a_role_that_may_make_nothing_does_not_upgrade(postgres_url: str) -> None:
    with granted(postgres_url) as address:
        execute(postgres_url, ["DELETE FROM saga_schema WHERE number > 2"])
        with pytest.raises(
            StoreUnfit, match=r"found schema 2, and \S+ may create nothing here; run `sagalog db upgrade`"
        ):
            PostgresStore(address).open()
        with pytest.raises(SchemaTooOld, match="found schema 2; run `sagalog db upgrade` first"):
            PostgresStore(address, StoreOptions(migrate=False)).open()


def test_an_empty_database_is_not_made_by_a_role_that_may_make_nothing(postgres_url: str) -> None:
    with (
        role_on(postgres_url) as (_, address),
        pytest.raises(StoreUnfit, match=r"found schema 0, and .* may create nothing"),
    ):
        PostgresStore(address).open()


@pytest.mark.parametrize(
    "suffix", ["", ' x"; DROP TABLE saga_events; --', "ümläut \\ 'n'", "\n\x1b[31m\u202e\U0001f600\\"]
)
def test_any_name_of_a_role_and_of_a_schema_is_quoted(postgres_url: str, suffix: str) -> None:
    schema = f"sh op{suffix}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    url = in_schema(postgres_url, schema)
    with opened(url), role_on(url, suffix) as (role, address):
        lines = printed(url, role)
        assert all(line.isprintable() and line.endswith(";") for line in lines)
        execute(url, lines)
        with opened(address):
            pass


def test_a_participant_keeps_its_inbox_as_a_role_that_may_make_nothing(postgres_url: str) -> None:
    kit, done = ParticipantKit("bank"), list[str]()
    with role_on(postgres_url) as (role, address):
        with psycopg.connect(postgres_url) as owner:
            kit.create(owner)
        grant = SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON saga_participant_inbox TO {}").format(Identifier(role))
        with psycopg.connect(postgres_url) as owner:
            owner.execute(grant)
        with psycopg.connect(address) as connection:
            kit.create(connection)
            for _ in range(2):
                kit.handle(connection, pay_command("o-1"), lambda: done.append("paid"))
            assert kit.forget(connection, older_than=timedelta(days=1)) == 0
    assert done == ["paid"]


def test_the_page_shows_what_is_printed() -> None:
    """The page that tells of it is true."""
    place = Place("sagas", "shop", everybody_connects=True, server_version=170_000)
    shown = [
        block.text.split("\n") for block in page("howto/share-a-database.md").blocks if "GRANT USAGE" in block.text
    ]
    assert [line for line in shown[0] if line] == grants_for("shop_worker", place, reads_only=False)


@pytest.mark.parametrize("role", ["public", "none", "", "a\0b"])
def test_what_is_no_role_is_refused(role: str) -> None:
    with pytest.raises(InvalidIdentifier, match="expected the name of a role, found"):
        grants_for(role, Place("public", "shop", True, 170_000), reads_only=False)


def test_grants_before_version_17_let_lock_by_a_right_to_change() -> None:
    older, newer = (Place("public", "shop", True, version) for version in (160_000, 170_000))
    assert 'GRANT SELECT, INSERT, UPDATE ON TABLE "public"."saga_events" TO "w";' in grants_for(
        "w", older, reads_only=False
    )
    assert 'GRANT SELECT, INSERT, MAINTAIN ON TABLE "public"."saga_events" TO "w";' in grants_for(
        "w", newer, reads_only=False
    )
    assert set(chain(*READER.values())) == {"SELECT"}
    assert LOCKS[0] == "UPDATE"


def test_who_may_not_connect_is_granted_that_too(postgres_url: str) -> None:
    name = conninfo_to_dict(postgres_url)["dbname"]
    execute(postgres_url, [f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"])
    with opened(postgres_url), role_on(postgres_url) as (role, address):
        execute(postgres_url, printed(postgres_url, role))
        with opened(address):
            pass
    assert quoted('a"b') == '"a""b"'


def test_a_sqlite_file_has_no_roles(tmp_path: Path) -> None:
    ran = sagalog("--db", f"sqlite:///{tmp_path / 'shop.db'}", "db", "grants", "worker")
    assert ran.code == 2
    assert "expected a PostgreSQL database" in ran.err
    assert not (tmp_path / "shop.db").exists()


# ---------------------------------------------------------------------------------------------- migrate as a setting


def test_a_worker_that_may_not_migrate_leaves_a_database_as_it_is(postgres_url: str) -> None:
    with pytest.raises(SchemaTooOld, match="found schema 0; run `sagalog db upgrade` first"):
        asyncio.run(open_manager(postgres_url))
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(b"SELECT to_regclass('saga_schema')").fetchone() == (None,)
    with opened(postgres_url):
        pass
    asyncio.run(open_manager(postgres_url))


async def open_manager(database: str) -> None:
    settings = Settings.from_environment({"SAGALOG_MIGRATE": "false"})
    async with ProcessManager(database, settings=settings):
        pass


def test_a_worker_that_may_not_migrate_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no database .*create it with `sagalog db upgrade`"):
        asyncio.run(open_manager(f"sqlite:///{tmp_path / 'shop.db'}"))
    assert list(tmp_path.iterdir()) == []
    store = store_for(f"sqlite:///{tmp_path / 'shop.db'}", StoreOptions(migrate=True))
    with opened(store):
        pass
    asyncio.run(open_manager(f"sqlite:///{tmp_path / 'shop.db'}"))
