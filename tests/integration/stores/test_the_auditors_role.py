"""The role that `sagalog db grants --auditor` makes reads what is documented, on a real server, and nothing else."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from databases.stores import opened
from pages.command_line import ROOT, Ran, sagalog
from pages.page_run import assert_shown, columns_of
from pages.pages import page
from pages.sql_story import answer, examples, run_story
from psycopg.sql import SQL, Identifier
from sagas.read_side import build_read_side
from servers.postgres_roles import role_on
from servers.postgres_server import PostgresServer

from sagalog.store import StoreOptions
from sagalog.stores import store_for
from sagalog.stores.postgres.privileges import LIMITS, Place, grants_for, limits_for

pytestmark = pytest.mark.postgres

PAGES = (page("reference/sql.md"), page("howto/audit-with-sql.md"))


class Shop(NamedTuple):
    """The shop of the guide: its database for its owner, and for its auditor."""

    owner: str
    auditor: str
    role: str


@pytest.fixture(scope="module")
def shop(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Shop]:
    with postgres_server.database(migrated_template) as owner:
        run_story(PAGES[1], owner)
        with psycopg.connect(owner, autocommit=True) as connection, role_on(owner) as (role, auditor):
            connection.execute("CREATE TABLE payroll (cents int)")
            printed = sagalog("--db", owner, "db", "grants", "--auditor", role)
            assert (printed.code, printed.err) == (0, "")
            for statement in printed.lines:
                connection.execute(statement.encode())
            for one in examples(PAGES[1], "postgres"):
                if one.sql.startswith("CREATE VIEW"):
                    # A view of the owner's own, which the auditor was given.
                    connection.execute(one.sql.encode())
                    connection.execute(SQL("GRANT SELECT ON order_money TO {}").format(Identifier(role)))
            yield Shop(owner, auditor, role)


def test_the_auditor_gets_the_answer_of_every_example(shop: Shop) -> None:
    store = store_for(shop.auditor, StoreOptions(reads_only=True))
    with opened(store):
        for source in PAGES:
            for example in examples(source, "postgres"):
                if example.shown is not None:
                    assert_shown(columns_of(example.shown), columns_of(answer(store, example.sql)))


COMMANDS: list[list[str]] = [
    ["sql", "SELECT * FROM saga_attempts"],
    ["list"],
    ["show", "o-3"],
    ["show", "o-3", "--trace"],
    ["history", "o-3"],
    ["replay", "o-3"],
    ["export", "--all"],
    ["unmatched", "list", "--status", "any"],
    ["db", "status"],
    ["db", "consumers"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_auditor_can_use_every_command_that_looks(shop: Shop, words: list[str]) -> None:
    ran = sagalog("--app-dir", str(ROOT), "--db", shop.auditor, *words)
    assert ran.code == 0, ran
    assert ran.out


def test_the_auditor_asks_every_audit_of_the_shop(migrated_postgres_url: str) -> None:
    """Of the read side it sees what whoever built it lets it see."""
    owner = migrated_postgres_url
    with role_on(owner) as (role, auditor):
        with psycopg.connect(owner, autocommit=True) as connection:
            for statement in sagalog("--db", owner, "db", "grants", "--auditor", role).lines:
                connection.execute(statement.encode())
        build_read_side(owner, auditor)
        ran = sagalog("--app-dir", str(ROOT), "--db", auditor, "audit")
        assert (ran.code, ran.err) == (0, "")
        # Of an earlier moment it may make no copy, and says so.
        refused = sagalog("--app-dir", str(ROOT), "--db", auditor, "audit", "--at", "0")
        assert (refused.code, refused.out) == (5, "")
        assert f"GRANT CREATE ON DATABASE ... TO {role}" in refused.err
        with psycopg.connect(owner, autocommit=True) as connection:
            database = Identifier(connection.info.dbname)
            connection.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, Identifier(role)))
            assert sagalog("--app-dir", str(ROOT), "--db", auditor, "audit", "--at", "0").code == 0
            assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'saga%'").fetchone() is None


WRITES = [
    "INSERT INTO saga_events (originator_id, originator_version) VALUES ('x', 1)",
    "UPDATE saga_status SET status = 'completed'",
    "DELETE FROM saga_unmatched",
    "TRUNCATE saga_steps",
    "SELECT nextval('saga_events_notification_id_seq')",
    "SELECT * FROM saga_status FOR UPDATE",
    "SELECT * FROM saga_status FOR KEY SHARE",
    "LOCK TABLE saga_events IN EXCLUSIVE MODE",
    "LOCK TABLE saga_events IN SHARE MODE",
    "LOCK TABLE saga_events IN ROW EXCLUSIVE MODE",
    "CREATE TABLE mine (x int)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "DROP VIEW saga_attempts",
    "ALTER TABLE saga_status ADD COLUMN mine int",
    "COPY saga_contract FROM PROGRAM 'echo'",
    "COPY saga_contract TO '/tmp/sagalog-copied'",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT lo_export(1, '/tmp/sagalog-copied')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "SELECT * FROM payroll",
    "GRANT SELECT ON saga_status TO PUBLIC",
    "ANALYZE saga_events",
]
# These do nothing for a role that may not, and only warn.
WARNED = ("ANALYZE", "GRANT")


@pytest.mark.parametrize("lifted", [False, True], ids=["as it is", "with its limits lifted"])
@pytest.mark.parametrize("sql", WRITES)
def test_the_auditor_writes_nothing_locks_nothing_and_makes_nothing(shop: Shop, sql: str, lifted: bool) -> None:
    """With a client of its own, and also once the session has set what it may set."""
    with psycopg.connect(shop.auditor, autocommit=True) as connection:
        if lifted:
            connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.Error) as refused, connection.transaction():
            connection.execute(sql.encode())
            if sql.startswith(WARNED):
                # PostgreSQL skips what the role may not do, with a warning.
                raise psycopg.errors.InsufficientPrivilege
        allowed = {"42501"} if lifted else {"42501", "25006"}
        assert refused.value.sqlstate in allowed | {None}, refused.value


def test_a_session_of_the_auditor_only_reads_and_ends_in_time(shop: Shop) -> None:
    expected = {"default_transaction_read_only": "on", "statement_timeout": "1min", "lock_timeout": "5s"}
    with psycopg.connect(shop.auditor, autocommit=True) as connection:
        for name, value in expected.items():
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == (value,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TEMPORARY TABLE mine (x int)")
    assert set(expected) < set(LIMITS)


def test_the_grants_are_of_the_contract_and_of_nothing_else(shop: Shop) -> None:
    with psycopg.connect(shop.owner) as connection:
        granted = connection.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = %s",
            [shop.role],
        ).fetchall()
        contract = connection.execute("SELECT name FROM saga_contract").fetchall()
    assert sorted(granted) == sorted([(name, "SELECT") for (name,) in contract] + [("order_money", "SELECT")])


def test_what_is_printed_for_an_auditor_is_what_a_reader_gets_and_limits() -> None:
    place = Place("sagas", 'sh"op', everybody_connects=True, server_version=180_000)
    assert all("GRANT" in one and " SELECT " in one for one in grants_for("ada", place, reads_only=True)[1:])
    assert limits_for("a b", place) == [
        f'ALTER ROLE "a b" IN DATABASE "sh""op" SET {name} = {value};' for name, value in LIMITS.items()
    ]


def test_the_auditor_starts_nothing_and_is_told_why(shop: Shop) -> None:
    ran: Ran = sagalog("--app-dir", str(ROOT), "--db", shop.auditor, "start", "order-fulfilment", "--input", "-")
    assert ran.code == 5
    assert "lacks INSERT" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_no_right_of_an_auditor_depends_on_who_made_the_views(shop: Shop) -> None:
    """A view reads the log by the right of its owner, so the auditor would see it without a right to the log."""
    with psycopg.connect(shop.owner, autocommit=True) as connection, role_on(shop.owner) as (role, address):
        to: Any = Identifier(role)
        connection.execute(SQL("GRANT SELECT ON saga_attempts TO {}").format(to))
        with psycopg.connect(address) as theirs:
            assert theirs.execute("SELECT count(*) > 20 FROM saga_attempts").fetchone() == (True,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                theirs.execute("SELECT * FROM saga_events")
