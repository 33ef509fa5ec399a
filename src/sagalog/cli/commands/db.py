"""`sagalog db`: the schema of the database, what it lacks, and how it is brought up to date."""

from typing import Any, NamedTuple

import click

from sagalog.cli.address import SqlStore, address_of, opened, require_file, sql_store, store_of
from sagalog.cli.contract import Versioned, versions
from sagalog.cli.failures import FAILURE
from sagalog.cli.options import Command, Invocation, RowsCommand
from sagalog.cli.output import emit, note, write
from sagalog.cli.quantities import moment
from sagalog.cli.table import Column, status_text
from sagalog.cli.words import command_line
from sagalog.errors import InvalidSettings, SchemaTooOld, StoreUnavailable
from sagalog.stores.migrations import Dialect, Migration, migrations
from sagalog.stores.postgres.privileges import Place, grants_for, limits_for
from sagalog.stores.sql import statements

SQL = statements("sagalog.cli.commands", "db.sql")
FITNESS = statements("sagalog.stores.postgres", "fitness.sql")


class Applied(NamedTuple):
    """A migration, and whether the database has it: ok or missing."""

    number: int
    name: str
    status: str


COLUMNS: tuple[Column[Applied], ...] = (
    Column("NUMBER", lambda one: one.number, right=True),
    Column("MIGRATION", lambda one: one.name),
    Column("STATUS", lambda one: status_text(one.status)),
)


@click.group("db", context_settings={"help_option_names": ["-h", "--help"]})
def database() -> None:
    """Upgrade the database and see its schema."""


@database.command("upgrade", cls=Command)
@click.pass_obj
def upgrade(invocation: Invocation) -> None:
    """Create the database's tables, or bring them up to date. Safe at any time, and by several at once."""
    address = address_of(invocation)
    try:
        require_file(address)
    except StoreUnavailable:
        before = 0
    else:
        before, _ = schema_of(address)
    with opened(address, migrate=True) as store:
        applied = [one for one in migrations(store.dialect) if one.number > before]
    for migration in applied:
        click.echo(f"applied {migration.number:04} {migration.name}")
    if not applied:
        click.echo("the database is up to date")


class Consumer(NamedTuple):
    """A consumer, its position, how many messages follow that position, and the worker that reads for it."""

    consumer: str
    position: int
    lag: int | None
    owner: str | None
    updated_at: int


CONTRACT_COLUMNS: tuple[Column[Versioned], ...] = (
    Column("TABLE", lambda one: one.name),
    Column("VERSION", lambda one: one.version, right=True),
)
CONSUMER_COLUMNS: tuple[Column[Consumer], ...] = (
    Column("CONSUMER", lambda one: one.consumer),
    Column("POSITION", lambda one: f"{max(one.position, 0):,}", right=True),
    Column("LAG", lambda one: "" if one.lag is None else f"{one.lag:,}", right=True),
    Column("WORKER", lambda one: one.owner or "", style="dim", spare=1),
)


@database.command("consumers", cls=RowsCommand)
@click.pass_obj
def consumers(invocation: Invocation) -> None:
    """Show who reads the log of messages, and how far.

    The position of a followed application is one of its own log, so it has no lag here.
    """
    with store_of(invocation) as store:
        rows = consumers_of(store)
    emit(invocation.output, rows, CONSUMER_COLUMNS, _consumer_record)
    if not rows and invocation.output == "table":
        note("nobody reads messages yet")


def consumers_of(store: SqlStore) -> list[Consumer]:
    """Return every consumer and its lag."""
    return [Consumer(*row) for row in store.query(SQL["consumers"])[1]]


def _consumer_record(one: Consumer) -> dict[str, Any]:
    return {**one._asdict(), "updated_at": moment(one.updated_at, "microseconds")}


@database.command("status", cls=RowsCommand)
@click.pass_context
def status(ctx: click.Context) -> None:
    """Show which migrations the database has.

    In a table it also shows the version of each table and view, and who reads the log of messages. The exit code is 1
    if a migration is missing.
    """
    invocation = ctx.ensure_object(Invocation)
    address = address_of(invocation)
    require_file(address)
    version, known = schema_of(address)
    rows = [Applied(one.number, one.name, "ok" if one.number <= version else "missing") for one in known]
    emit(invocation.output, rows, COLUMNS, Applied._asdict)
    if version < known[-1].number:
        note(f"bring it up to date: {command_line(invocation, 'db', 'upgrade')}")
        ctx.exit(FAILURE)
    if invocation.output == "table":
        with store_of(invocation) as store:
            contract = versions(store)
            reading = consumers_of(store)
        write()
        emit(invocation.output, contract, CONTRACT_COLUMNS, Versioned._asdict)
        if reading:
            write()
            emit(invocation.output, reading, CONSUMER_COLUMNS, _consumer_record)


@database.command("sql", cls=Command)
@click.option("--dialect", type=click.Choice(("sqlite", "postgres")), help="[default: that of --db]")
@click.pass_obj
def sql(invocation: Invocation, dialect: Dialect | None) -> None:
    """Print the SQL that makes the tables, to read it or to apply it to an empty database by other means."""
    if dialect is None:
        dialect = sql_store(address_of(invocation)).dialect
    for migration in migrations(dialect):
        click.echo(f"-- {migration.number:04} {migration.name}\n{migration.when_new}\n{recorded(migration, dialect)}\n")


@database.command("grants", cls=Command)
@click.argument("role")
@click.option("--read-only", is_flag=True, help="What a role needs that only looks.")
@click.option("--auditor", is_flag=True, help="The same for a person, whose sessions only read and end in time.")
@click.pass_obj
def grants(invocation: Invocation, role: str, read_only: bool, auditor: bool) -> None:
    """Print the SQL that lets a role of PostgreSQL work with the tables, without being able to make or change any.

    Run it as their owner, and again after an upgrade.
    """
    address = address_of(invocation)
    if sql_store(address).dialect != "postgres":
        raise InvalidSettings(
            f"expected a PostgreSQL database, found {address}; who may use a SQLite file is said by the permissions of "
            "the file and of its folder"
        )
    with opened(address) as store:
        place = Place(*store.query(FITNESS["for_grants"])[1][0])
    for statement in grants_for(role, place, reads_only=read_only or auditor):
        click.echo(statement)
    for statement in limits_for(role, place) if auditor else ():
        click.echo(statement)


def recorded(migration: Migration, dialect: Dialect) -> str:
    """Return the statement that records in the database that it has a migration."""
    return f"{SQL[f'recorded_{dialect}']};".format(number=migration.number, name=migration.name)


def schema_of(address: str) -> tuple[int, tuple[Migration, ...]]:
    """Return the number of a database's schema, and all migrations; raises `SchemaTooNew`."""
    store = sql_store(address)
    try:
        store.open(migrate=False)
    except SchemaTooOld as problem:
        return problem.found, migrations(store.dialect)
    try:
        return store.schema_version(), migrations(store.dialect)
    finally:
        store.close()
