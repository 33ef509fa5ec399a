"""The SQL contract: the same columns, order and types on both stores, by version; and every example on both."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from databases.catalogs import plain
from databases.stores import migrated_database, opened
from pages.page_run import assert_shown, columns_of
from pages.pages import page
from pages.sql_story import Example, answer, examples, run_story

from sagalog.cli.address import SqlStore
from sagalog.cli.contract import check_needs, is_need, opening_comment
from sagalog.store import Store

REFERENCE, GUIDE = page("reference/sql.md"), page("howto/audit-with-sql.md")
RECORDED = Path(__file__).with_name("sql_contract.txt")
# Made by services, not by the process manager.
ELSEWHERE = "saga_participant_inbox"
TYPES = {
    "bigint": "integer",
    "text": "text",
    "json": "json",
    "bytea": "bytes",
    "INTEGER": "integer",
    "BLOB": "bytes",
} | {"double precision": "real"}
POSITION_ON_POSTGRES = ("saga_events", "notification_id")
KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
Shapes = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def recorded() -> dict[tuple[str, int], list[tuple[str, str]]]:
    """The columns of each table and view, by version; lines are added, and never changed."""
    found: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for line in RECORDED.read_text("utf-8").splitlines():
        match = re.fullmatch(r"(\w+) (\d+): (.+)", line)
        assert match is not None or line.startswith("#"), line
        if match is not None:
            pairs = [column.split(" ") for column in match[3].split(", ")]
            assert (match[1], int(match[2])) not in found, line
            found[match[1], int(match[2])] = [(name, kind) for name, kind in pairs]
    return found


@pytest.fixture(scope="module", params=KINDS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """A database of each kind with the story of the reference."""
    if request.param == "sqlite":
        database = migrated_database("sqlite", tmp_path_factory.mktemp("told"), request)
        assert isinstance(database, str)
        run_story(REFERENCE, database)
        with opened(database) as store:
            yield database, store
    else:
        server = request.getfixturevalue("postgres_server")
        with server.database(request.getfixturevalue("migrated_template")) as url:
            run_story(REFERENCE, url)
            with opened(url) as store:
                yield url, store


def versions(store: Store) -> dict[str, int]:
    return dict(store.query("SELECT name, version FROM saga_contract")[1])


def shapes(database: str, names: list[str]) -> Shapes:
    """Return the names and types of columns, by the catalog of the database."""
    found: Shapes = {}
    with plain(database) as connection:
        for name in names:
            if database.startswith("sqlite"):
                rows = connection.execute(f"SELECT name, type FROM pragma_table_info('{name}')").fetchall()
            else:
                rows = connection.execute(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    f"WHERE table_schema = current_schema() AND table_name = '{name}' ORDER BY ordinal_position"
                ).fetchall()
            found[name] = [(str(column), TYPES.get(kind, str(kind))) for column, kind in rows]
    return found


def test_the_columns_of_each_version_are_those_that_were_recorded(
    told: tuple[str, Store], recorded: dict[tuple[str, int], list[tuple[str, str]]]
) -> None:
    """A column that is added, renamed or removed takes a new version: a line there, and one in the reference."""
    database, store = told
    there = versions(store)
    for name, columns in shapes(database, list(there)).items():
        expected = recorded.get((name, there[name]))
        assert expected is not None, f"{name} {there[name]} is not in {RECORDED.name}"
        if store.name == "sqlite":
            expected = [column for column in expected if (name, column[0]) != POSITION_ON_POSTGRES]
            assert [column for column, _ in columns] == [column for column, _ in expected], name
        else:
            assert columns == expected, (
                f"{name} has other columns than version {there[name]} had: give it a new version"
            )


def test_values_are_of_the_recorded_types_on_both_stores(
    told: tuple[str, Store], recorded: dict[tuple[str, int], list[tuple[str, str]]]
) -> None:
    """SQLite keeps no type for the columns of a view, so the rows of the story are looked at."""
    _, store = told
    python = {"integer": int, "text": str, "json": str, "bytes": bytes, "real": float}
    seen = 0
    for name, version in versions(store).items():
        types = dict(recorded[name, version])
        columns, rows = store.query(f"SELECT * FROM {name}")
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                assert value is None or type(value) is python[types[column]], (name, column, value)
                seen += 1
    assert seen > 1_000


def test_everything_that_a_database_has_of_ours_is_in_the_contract(told: tuple[str, Store]) -> None:
    database, store = told
    documented = {heading for heading in REFERENCE.headings if re.fullmatch(r"saga_\w+", heading)} - {ELSEWHERE}
    assert set(versions(store)) == documented
    tables = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    if store.name == "postgres":
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    with plain(database) as connection:
        assert {row[0] for row in connection.execute(tables).fetchall()} == documented


def test_every_version_has_a_line_of_what_changed(
    told: tuple[str, Store], recorded: dict[tuple[str, int], list[tuple[str, str]]]
) -> None:
    rows = [(row[0].strip("`"), int(row[1])) for row in REFERENCE.rows("name") if len(row) == 4]
    assert sorted(rows) == sorted(recorded)
    newest = {name: max(version for one, version in recorded if one == name) for name, _ in recorded}
    assert versions(told[1]) == newest


def test_every_example_gives_the_same_on_both_stores(told: tuple[str, Store]) -> None:
    """The story is told anew on each store; what the page shows is what SQLite answered."""
    database, store = told
    dialect = "sqlite" if store.name == "sqlite" else "postgres"
    shown = 0
    for source in (REFERENCE, GUIDE):
        for example in examples(source, dialect):
            if example.sql.startswith("CREATE VIEW"):
                with plain(database) as connection:
                    connection.execute(example.sql)
                continue
            check_needs(cast(SqlStore, store), example.sql)
            found = answer(store, example.sql)
            if example.shown is not None:
                assert_shown(columns_of(example.shown), columns_of(found))
                shown += 1
    assert shown > 30


@pytest.mark.parametrize("name", [heading for heading in REFERENCE.headings if heading.startswith("saga_")])
def test_each_table_and_view_has_an_example_that_asks_it(name: str) -> None:
    if name == ELSEWHERE:
        return  # it is in the database of a service
    section = REFERENCE.section(name)
    assert re.search(rf"```sql\n(?:(?!```).)*\b{name}\b", section, re.DOTALL), f"{name} has no example"


def test_both_pages_tell_the_same_story() -> None:
    stories = [[block.text for block in source.blocks if block.language == "python"] for source in (REFERENCE, GUIDE)]
    assert stories[0] == stories[1]


def test_what_an_example_needs_is_said_in_the_right_form() -> None:
    lines = [line for one in (*examples(REFERENCE), *examples(GUIDE)) for line in opening_comment(one.sql)]
    assert sum(map(is_need, lines)) >= 3


def test_the_guide_answers_the_questions_of_auditors() -> None:
    asked: list[Example] = [one for one in examples(GUIDE) if one.shown is not None]
    assert len(asked) >= 12
