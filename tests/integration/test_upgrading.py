"""A database of an older sagalog is brought up to date when it is opened, with all that is in it."""

from pathlib import Path
from typing import Any, cast

import pytest
from stores import empty_database, opened

from sagalog.errors import SchemaTooOld
from sagalog.store import Store
from sagalog.stores import migrations, postgres, store_for
from sagalog.testing.message_samples import PAYMENTS, event, for_saga, ids_of, published, put, requesting, waiting
from sagalog.testing.store_appending import numbered, stream_of
from sagalog.testing.store_samples import DEFINITION, NOW, ending, following, lease, start, step

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
ALL = migrations.migrations
# What the first release prepared on a connection that writes.
OF_THE_FIRST = ("begin", "lock_log", "append", "notify", "commit", "rollback")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(empty_database(request.param, tmp_path, request))


def as_of(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know no more migrations than a release of then did."""

    def known(dialect: migrations.Dialect) -> tuple[migrations.Migration, ...]:
        return ALL(dialect)[:number]

    monkeypatch.setattr(migrations, "migrations", known)
    monkeypatch.setattr(postgres, "PREPARED", OF_THE_FIRST)


def schema_of(store: Store) -> int:
    return int(cast(Any, store).schema_version())


def test_a_database_of_the_first_schema_is_upgraded_with_its_sagas(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, ended = start("o-1", owner="w1", due_at=None), start("o-2", correlation_id="c-2")
    decided = following(running, holder="w1", steps=[step(running.saga_id, "reserve_inventory")])
    with monkeypatch.context() as then:
        as_of(1, then)
        with opened(database) as store:
            assert schema_of(store) == 1
            store.register(lease("w1"))
            assert store.append([running, ended, decided, ending(ended)]) == ["written"] * 4
            before = [store.status(one.saga_id) for one in (running, ended)], store.steps(running.saga_id)
    with opened(database) as store:
        assert schema_of(store) == 2
        assert ([store.status(one.saga_id) for one in (running, ended)], store.steps(running.saga_id)) == before
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
    with pytest.raises(SchemaTooOld, match=r"expected schema 2 .* found schema 1; run `sagalog db upgrade` first"):
        store.open(migrate=False)
    with monkeypatch.context() as then:
        as_of(1, then)
        with opened(database) as first:
            assert schema_of(first) == 1
