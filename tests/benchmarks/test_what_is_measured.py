"""What the benchmark rests on: meters, watched loops, figures, and the comparison with an earlier commit."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from servers.postgres_server import PostgresServer

from tests.benchmarks import against, kinds, parts, scale, waiting
from tests.benchmarks.databases import PostgresDatabase, make_schema
from tests.benchmarks.figures import figures
from tests.benchmarks.meters import PostgresMeter, SQLiteMeter
from tests.benchmarks.passes import WatchedLoop


def test_every_part_names_what_there_is() -> None:
    assert tuple(kind.part for kind in kinds.KINDS) == parts.KINDS
    assert tuple(waiting.WAITS) == parts.WAITS
    assert all(callable(way.found()) for part in parts.PARTS.values() for way in part.ways)


def test_commits_on_sqlite_are_counted_and_so_are_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE numbers (number INTEGER)")
        meter = SQLiteMeter(path)
        meter.begin()
        for number in range(3):
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        connection.execute("SELECT * FROM numbers").fetchall()
        spent = meter.end()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    assert spent.commits == 3
    assert spent.bytes == 32 + 3 * (24 + page), "each changes one page"
    assert spent.transactions is None
    assert spent.for_each(3).commits == 1


@pytest.mark.postgres
def test_commits_on_postgresql_are_counted_once_everybody_has_left(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as address:
        meter = PostgresMeter(address)
        meter.begin()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE TABLE numbers (number bigint)")
            for number in range(3):
                connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
            connection.execute("SELECT * FROM numbers")
        spent = meter.end()
    # The server is not ours alone: what it does by itself may be among them.
    assert spent.commits >= 4
    assert spent.bytes > 0
    assert spent.transactions is not None
    assert spent.transactions >= 5


def test_a_watched_loop_keeps_each_of_its_passes() -> None:
    async def three_more() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WatchedLoop)
        loop.take()
        for _ in range(3):
            await asyncio.sleep(0)
        passes = loop.take()
        assert all(seconds >= 0 and processor >= 0 for seconds, processor in passes)
        return len(passes), len(loop.take())

    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        assert runner.run(three_more()) == (3, 0)


def test_every_number_that_was_found_is_a_figure_and_no_number_that_was_asked_for() -> None:
    found = {
        "number": 1000,
        "beside": {
            "engine": {"name": "engine", "seconds": [0.4, 0.1, 0.2]},
            "floors": [{"name": "slow", "seconds": [0.3]}, {"name": "fast", "seconds": [0.1]}],
        },
        "written": [{"part": "three-steps", "alone": {"bytes": 12.5, "transactions": None}}],
        "shares": [0.5, 0.25, 0.75],
        "batches": [[500, {"name": "batches", "seconds": [1.0] * 99 + [3.0]}]],
    }
    assert {figure.name: (figure.value, figure.unit) for figure in figures(found, "sqlite")} == {
        "sqlite, beside, engine": (0.2, "s"),
        "sqlite, beside, fast": (0.1, "s"),
        "sqlite, beside, share of the floor": (0.5, "share"),
        "sqlite, written, three-steps, alone, bytes": (12.5, ""),
        "sqlite, shares": (0.5, ""),
        "sqlite, batches, 500, batches": (1.0, "s"),
        "sqlite, batches, 500, batches, p99": (1.0, "s"),
    }


def test_this_tree_is_measured_against_a_commit_in_turns(capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["--store=sqlite", "--part=compensating", "--turns=1", "--quick", "--sagas=5", "--rounds=1"]
    assert against.main(["HEAD", *asked]) == 0
    printed = capfd.readouterr().out
    assert "this tree against HEAD" in printed
    assert "sqlite, kinds, compensating, beside, share of the floor" in printed
    (rows,) = [line.split() for line in printed.splitlines() if "writes, saga_events" in line]
    assert rows[-6:] == ["8", "8", "1.00", "1.00", "to", "1.00"]


def test_a_commit_that_is_not_there_is_named() -> None:
    with pytest.raises(SystemExit, match="error: no-such-commit: "):
        against.main(["no-such-commit"])


@pytest.mark.postgres
def test_sagas_are_started_in_all_workers_and_in_one_process_that_does_not_work(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database() as address:
        database = PostgresDatabase(address)
        make_schema(database)
        with database.looking() as look:
            found = scale.of_workers(database, 2, 3, look)
            assert look().ended == 2 * (scale.ROUNDS + 1) * 3
    assert found.workers == 2
    assert [len(found.in_all.seconds), len(found.in_one.seconds)] == [scale.ROUNDS] * 2
