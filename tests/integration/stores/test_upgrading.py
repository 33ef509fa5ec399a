"""A database of an older sagalog is brought up to date when it is opened, with all that is in it."""

import subprocess
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, cast

import pytest
from databases.catalogs import ask, names_in, plain, run_all
from databases.of_then import write_as_then
from databases.stores import empty_database, opened
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from eventsourcing.sqlite import SQLiteDatastore, SQLiteProcessRecorder
from pages.command_line import program
from sagas.bank import pay_command

from sagalog.errors import InvalidAction, SchemaTooOld
from sagalog.participant_kit import ParticipantKit, connections
from sagalog.store import Store
from sagalog.stores import migrations, store_for
from sagalog.stores.sql import statements
from sagalog.testing.contracts.store.appending import numbered, stream_of
from sagalog.testing.contracts.store.message_samples import (
    PAYMENTS,
    event,
    for_saga,
    ids_of,
    published,
    put,
    requesting,
    waiting,
)
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, ending, following, start, step

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
FIRST_RELEASE = Path(__file__).parents[2] / "support" / "databases" / "first_release"
NEWEST = {dialect: migrations.newest(dialect) for dialect in ("sqlite", "postgres")}
# What the first release prepared on a connection that writes.


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(empty_database(request.param, tmp_path, request))


def as_of(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know no more migrations than a release of then did, and these as they were worded then."""

    def known(dialect: migrations.Dialect) -> tuple[migrations.Migration, ...]:
        files = sorted(FIRST_RELEASE.glob(f"{dialect}_00*.sql"))[:number]
        return tuple(
            migrations.Migration(place, path.stem.split("_", 2)[2], path.read_text(encoding="utf-8"))
            for place, path in enumerate(files, 1)
        )

    monkeypatch.setattr(migrations, "migrations", known)


def schema_of(store: Store) -> int:
    return int(cast(Any, store).schema_version())


def test_a_database_of_the_first_schema_is_upgraded_with_its_sagas(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 52."""
    running, ended = start("o-1", owner="w1", due_at=None), start("o-2", correlation_id="c-2")
    decided = following(running, holder="w1", steps=[step(running.saga_id, "reserve_inventory")])
    with monkeypatch.context() as then:
        as_of(1, then)
        with opened(database) as store:
            assert schema_of(store) == 1
        sagas, steps = write_as_then(database, running, ended, decided, ending(ended))
        with plain(database) as connection:
            run_all(connection, "leased_by_the_first_release")
    with opened(database) as store:
        assert schema_of(store) == NEWEST[cast(Any, store).dialect]
        assert store.statuses([running.saga_id, ended.saga_id]) == sagas
        assert store.steps(running.saga_id) == steps
        assert stream_of(store, running) == numbered(running, decided)
        assert [row.saga_id for row in store.sagas_by_correlation(None, ["c-2"])] == [ended.saga_id]
        asked = requesting(decided, holder="w1")
        assert store.append([asked]) == ["written"]
        [place] = published(store, event())
        put(store, waiting(place), for_saga(place, running.saga_id), for_saga(place, ended.saga_id))
        assert ids_of(store.mail("w1", 9)) == ids_of(store.inbox(PAYMENTS, NOW, 9)) == [place[1].id]
        assert ids_of(store.read_messages(0, 9)) == [asked.messages[0][1].id, place[1].id]
        assert [row.saga_id for row in store.claim("w1", [DEFINITION], NOW, 9)] == [ended.saga_id]


def test_an_old_database_is_left_as_it_is_when_no_upgrade_is_wanted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        as_of(1, then)
        with opened(database):
            pass
    store = cast(Any, store_for(database))
    with pytest.raises(SchemaTooOld, match=r"expected schema \d+ .* found schema 1; run `sagalog db upgrade` first"):
        store.open(migrate=False)
    with monkeypatch.context() as then:
        as_of(1, then)
        with opened(database) as first:
            assert schema_of(first) == 1


# ---------------------------------------------------------------------------------------------- tracking


def of_the_first_release(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        as_of(2, then)
        with opened(database):
            pass
        write_as_then(database, start("o-1"))
    assert ("table" if database.startswith("sqlite") else "relation", "tracking") in names_in(database)


def test_an_older_database_gives_the_name_tracking_back(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_first_release(database, monkeypatch)
    with opened(database) as store:
        cast(Any, store).recorder.insert_tracking(Tracking("upstream", 7))
        assert store.latest_run("order-fulfilment", "o-1") is not None
    assert [name for _, name in names_in(database) if not name.startswith(("saga_", "sqlite_"))] == []
    with plain(database) as connection:
        run_all(connection, "tables_of_others")
    with opened(database) as store:
        assert cast(Any, store).recorder.max_tracking_id("upstream") == 7
    assert ask(database, "parcels") == [("parcel 7", "Lisbon")]


def test_what_was_tracked_before_an_upgrade_is_known_after_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_first_release(database, monkeypatch)
    with plain(database) as connection:
        run_all(connection, "tracked_by_the_first_release")
    with opened(database) as store:
        assert cast(Any, store).recorder.max_tracking_id("upstream") == 41
    assert ask(database, "tracked") == [("__migration__", 1), ("upstream", 41)]
    with opened(database):
        pass
    assert ask(database, "tracked") == [("__migration__", 1), ("upstream", 41)]


def test_an_application_that_shared_the_older_table_goes_on_with_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process application of `eventsourcing` uses a table of that name too; without it, it would begin anew."""
    of_the_first_release(database, monkeypatch)
    recorder = stock_recorder(database)
    recorder.create_table()
    recorder.insert_tracking(Tracking("upstream", 41))
    with opened(database):
        pass
    assert recorder.max_tracking_id("upstream") == 41
    recorder.insert_tracking(Tracking("upstream", 42))
    recorder.datastore.close()
    assert ask(database, "tracked_of_old") == [("__migration__", 1), ("upstream", 42)]


def stock_recorder(database: str) -> Any:
    """Return a recorder of `eventsourcing` as its own factories make it, beside our tables."""
    if database.startswith("sqlite"):
        return SQLiteProcessRecorder(SQLiteDatastore(database.removeprefix("sqlite:///"), originator_id_type="text"))
    with plain(database) as connection:
        info = connection.info
        datastore = PostgresDatastore(
            info.dbname, info.host, str(info.port), info.user, info.password, originator_id_type="text"
        )
    return PostgresProcessRecorder(datastore, tracking_table_name="tracking")


def test_a_database_is_upgraded_by_several_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_first_release(database, monkeypatch)
    with plain(database) as connection:
        run_all(connection, "tracked_by_the_first_release")
    together, failed = Barrier(6), list[BaseException]()

    def upgrade() -> None:
        try:
            together.wait()
            with opened(database):
                pass
        except BaseException as problem:
            failed.append(problem)

    threads = [Thread(target=upgrade) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert ask(database, "tracked") == [("__migration__", 1), ("upstream", 41)]
    with opened(database) as store:
        assert schema_of(store) == NEWEST[cast(Any, store).dialect]
        assert store.latest_run("order-fulfilment", "o-1") is not None


def test_a_database_is_upgraded_by_several_processes_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_first_release(database, monkeypatch)
    with plain(database) as connection:
        run_all(connection, "tracked_by_the_first_release")
    upgrading = [
        subprocess.Popen(program("db", "upgrade", "--db", database), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60) for process in upgrading]
    assert [process.returncode for process in upgrading] == [0] * 3, said
    assert ask(database, "tracked") == [("__migration__", 1), ("upstream", 41)]


@pytest.mark.postgres
def test_what_was_built_on_the_older_table_does_not_fail_the_upgrade(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_first_release(postgres_url, monkeypatch)
    with plain(postgres_url) as connection:
        run_all(connection, "built_on_tracking")
    with opened(postgres_url):
        pass
    assert ask(postgres_url, "tracked") == ask(postgres_url, "tracked_of_old") == [("__migration__", 1)]


# ---------------------------------------------------------------------------------------------- participants


def inbox_of_the_first_release(connection: Any, database: str) -> None:
    """Make the inbox of a participant as the first release did, and take a payment."""
    blocks = statements("tests.support.databases", f"first_release/{dialect_of(database)}_kit.sql")
    connection.execute(blocks["create"])
    with pytest.MonkeyPatch.context() as then:
        then.setattr(connections, dialect_of(database).upper(), blocks)
        assert len(pay(connection)) == 1


def dialect_of(database: str) -> str:
    return "sqlite" if database.startswith("sqlite") else "postgres"


def pay(connection: Any) -> list[str]:
    done: list[str] = []
    ParticipantKit("bank").handle(connection, pay_command("o-1"), lambda: done.append("paid"))
    return done


def test_an_older_inbox_is_gone_on_with(database: str) -> None:
    with plain(database) as connection:
        inbox_of_the_first_release(connection, database)
        for _ in range(2):
            ParticipantKit("bank").create(connection)
            assert pay(connection) == []
    assert [name for _, name in names_in(database) if not name.startswith(("saga_", "sqlite_"))] == []


def test_a_second_inbox_that_an_older_process_made_is_no_reason_to_do_things_twice(database: str) -> None:
    with plain(database) as connection:
        ParticipantKit("bank").create(connection)
        inbox_of_the_first_release(connection, database)
        with pytest.raises(
            InvalidAction, match="expected one inbox, found participant_inbox and saga_participant_inbox"
        ):
            ParticipantKit("bank").create(connection)


def test_an_older_inbox_is_taken_over_by_several_at_once(database: str) -> None:
    with plain(database) as connection:
        inbox_of_the_first_release(connection, database)
    together, failed = Barrier(4), list[BaseException]()

    def create() -> None:
        try:
            with plain(database) as own:
                together.wait()
                ParticipantKit("bank").create(own)
        except BaseException as problem:
            failed.append(problem)

    threads = [Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with plain(database) as connection:
        assert pay(connection) == []
