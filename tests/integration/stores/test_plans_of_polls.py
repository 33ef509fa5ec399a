"""What a worker asks by itself takes no more in a full database than in an empty one: counted, never timed.

SQLite counts its instructions, PostgreSQL the pages and rows that it looked at. Both are asked with statistics and
without: SQLite has none unless somebody has run ANALYZE, and PostgreSQL gathers them whenever it likes.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from backlog.backlog import fill, settle
from backlog.statements import BY_OTHERS, FRAGMENTS, POSTGRES, SQLITE, WRITTEN
from backlog.walked import Planned, Walked, first_parked, planned, walked
from databases.catalogs import plain
from databases.stores import empty_database, migrated_database, opened
from servers.postgres_server import PostgresServer

from sagalog.stores import migrations
from sagalog.stores.postgres.connection import BLOCKS as OF_POSTGRES
from sagalog.stores.sqlite.writing import BLOCKS as OF_SQLITE

SAGAS = 20_000
LANES = 300
# Far below what there is to be walked through, and above the few levels that the larger trees are deeper.
MORE = {"sqlite": 300, "postgres": 100}

Taken = Mapping[str, Walked]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two databases of one kind with the same work for a worker: one has nothing else, one very much."""
    with ExitStack() as stack:
        found: list[str] = []
        for number in (0, SAGAS):
            if request.param == "sqlite":
                database = migrated_database(request.param, tmp_path_factory.mktemp("polled"), request)
            else:
                server: PostgresServer = request.getfixturevalue("postgres_server")
                database = stack.enter_context(server.database(request.getfixturevalue("migrated_template")))
            assert isinstance(database, str)
            fill(database, number, number)
            found.append(database)
        yield found[0], found[1]


def compare(kind: str, empty: Taken, full: Taken) -> list[str]:
    """Return what takes more in the full database, with its plan."""
    assert empty.keys() == full.keys()
    return [
        f"{name}: {one} instead of {empty[name]}"
        for name, one in full.items()
        if one.effort > 1.5 * empty[name].effort + MORE[kind] or one.rows > 1.5 * empty[name].rows + MORE[kind]
    ]


def test_a_worker_asks_as_little_of_a_full_database_as_of_an_empty_one(databases: tuple[str, str]) -> None:
    empty, full = databases
    kind = empty.split(":")[0].removesuffix("ql")
    plans: tuple[Planned, ...] = ("generic", "custom")
    least = walked(empty)
    assert [compare(kind, least, walked(full, plan)) for plan in plans] == [[], []]
    settle(full)
    assert [compare(kind, least, walked(full, plan)) for plan in plans] == [[], []]


@pytest.mark.postgres
def test_plans_that_were_made_for_an_empty_database_do_for_a_full_one(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    """PostgreSQL keeps them, and makes others only once it has gathered statistics."""
    found: list[dict[str, Walked]] = []
    for number in (0, SAGAS):
        with postgres_server.database(migrated_template) as database, planned(database) as asked:
            fill(database, number, number)
            found.append(asked())
    assert compare("postgres", *found) == []


def test_a_projection_looks_at_no_event_that_waits_behind_another(databases: tuple[str, str]) -> None:
    empty, full = databases
    settle(full)
    assert (first_parked(full).rows, first_parked(empty).rows) == (1, 1)
    assert first_parked(full).effort <= first_parked(empty).effort + MORE["sqlite"]


def test_every_statement_is_measured_or_run_by_somebody_else() -> None:
    """A new statement must be named here: as one of a worker, and then it is held to be a seek, or why it is not."""
    for blocks, asked in ((OF_SQLITE, SQLITE), (OF_POSTGRES, POSTGRES)):
        named = {*asked, *WRITTEN, *BY_OTHERS, *FRAGMENTS}
        assert set(blocks) - named == set()
        assert not set(asked) & {*BY_OTHERS, *FRAGMENTS}
    assert {*WRITTEN, *BY_OTHERS, *FRAGMENTS} <= {*OF_SQLITE, *OF_POSTGRES}


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_is_behind_follows_whoever_writes(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Rows come in any order and leave from anywhere, by hand too: of each lane the first one is in front."""
    database = migrated_database(kind, tmp_path, request)
    assert isinstance(database, str)
    columns = "recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at"
    with plain(database) as connection:

        def front() -> list[tuple[str, str]]:
            sql = "SELECT lane, message_id FROM saga_inbox WHERE behind = 0 ORDER BY lane, position, message_id"
            return [(lane, message_id) for lane, message_id in connection.execute(sql).fetchall()]

        def rows(*given: tuple[int, str]) -> None:
            values = (f"('participant:a', 'm-{n}', {n}, '{lane}', 'E', 'pending', 0, 1, 1)" for n, lane in given)
            connection.execute(f"INSERT INTO saga_inbox ({columns}) VALUES {', '.join(values)}")

        rows((5, "x"), (6, "x"), (7, "y"))
        assert front() == [("x", "m-5"), ("y", "m-7")]
        rows((4, "x"), (3, "x"), (9, "y"), (2, "x"))
        assert front() == [("x", "m-2"), ("y", "m-7")]
        connection.execute("DELETE FROM saga_inbox WHERE message_id IN ('m-2', 'm-3', 'm-5')")
        assert front() == [("x", "m-4"), ("y", "m-7")]
        connection.execute("DELETE FROM saga_inbox WHERE message_id = 'm-7'")
        rows((8, "y"))
        assert front() == [("x", "m-4"), ("y", "m-8")]
        connection.execute("DELETE FROM saga_inbox WHERE lane = 'x'")
        assert front() == [("y", "m-8")]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_each_lane_has_one_row_in_front_whatever_comes_and_goes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """At random: many rows in one statement, in any order, some of them here already from another place."""
    database = migrated_database(kind, tmp_path, request)
    assert isinstance(database, str)
    columns = "recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at"
    random = Random(11)
    with plain(database) as connection:
        for _ in range(400):
            if random.random() < 0.6:
                rows = (
                    f"('{random.choice(('s-1', 'participant:a'))}', 'm-{random.randrange(40)}', "
                    f"{random.randrange(20)}, '{random.choice('xyz')}', 'E', 'pending', 0, 1, 1)"
                    for _ in range(random.randint(1, 6))
                )
                connection.execute(
                    f"INSERT INTO saga_inbox ({columns}) VALUES {', '.join(rows)} ON CONFLICT DO NOTHING"
                )
            else:
                of_these = ", ".join(f"'m-{random.randrange(40)}'" for _ in range(random.randint(1, 8)))
                connection.execute(f"DELETE FROM saga_inbox WHERE message_id IN ({of_these})")
            sql = "SELECT lane, recipient, behind FROM saga_inbox ORDER BY lane, recipient, position, message_id"
            found = [tuple(row) for row in connection.execute(sql).fetchall()]
            lanes = [(lane, recipient) for lane, recipient, _ in found]
            assert [behind for *_, behind in found] == [int(one in lanes[:place]) for place, one in enumerate(lanes)]


@pytest.mark.postgres
def test_the_triggers_of_an_inbox_look_at_one_lane_also_when_they_were_planned_for_an_empty_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All rows of a recipient, sorted, look as cheap then as the index of its lane; and the plan is kept."""
    database = migrated_database("postgres", tmp_path, request)
    assert isinstance(database, str)
    come = (
        "INSERT INTO saga_inbox (recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at) "
        "SELECT 'participant:a', n, n, n, 'E', 'pending', 0, 1, 1 FROM generate_series(%s::bigint, %s::bigint) AS n"
    )
    looked_at = (
        "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class "
        "WHERE oid = 'saga_inbox'::regclass OR oid IN "
        "(SELECT indexrelid FROM pg_index WHERE indrelid = 'saga_inbox'::regclass)"
    )
    with plain(database) as connection:
        for first in range(0, 4 * LANES, LANES):
            connection.execute("BEGIN")
            connection.execute(come, (first, first + LANES - 1))
            connection.execute("DELETE FROM saga_inbox")
            rows = connection.execute(looked_at).fetchone()[0]
            connection.execute("COMMIT")
            # All that was ever here may be read a few times, and not for each row.
            assert LANES <= rows <= 5 * (first + LANES)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_waits_in_an_older_database_is_found_after_the_upgrade(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = empty_database(kind, tmp_path, request)
    assert isinstance(database, str)
    known = migrations.migrations

    def as_of_then(dialect: migrations.Dialect) -> tuple[migrations.Migration, ...]:
        return known(dialect)[:10]

    with monkeypatch.context() as then:
        then.setattr(migrations, "migrations", as_of_then)
        with opened(database):
            pass
    columns = "recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at"
    with plain(database) as connection:
        connection.execute(
            "INSERT INTO saga_status (saga_id, saga_name, saga_version, definition, saga_key, run, status, attempt, "
            "correlation_id, started_at, updated_at, version, position) "
            "VALUES ('s', 'orders', 1, 'd', 'k', 1, 'pending', 0, 'c', 1, 1, 1, 1)"
        )
        for recipient, lane in (("s", "s"), ("later", "later"), ("participant:a", "c")):
            for position in (2, 1):
                values = (recipient, f"{recipient}-{position}", position, lane, "E", "pending", 0, 1, 1)
                connection.execute(f"INSERT INTO saga_inbox ({columns}) VALUES {values}")
    with opened(database):
        pass
    with plain(database) as connection:
        sql = "SELECT message_id, behind, definition FROM saga_inbox ORDER BY recipient, position"
        assert [tuple(row) for row in connection.execute(sql).fetchall()] == [
            ("later-1", 0, ""),
            ("later-2", 1, ""),
            ("participant:a-1", 0, None),
            ("participant:a-2", 1, None),
            ("s-1", 0, "d"),
            ("s-2", 1, "d"),
        ]
