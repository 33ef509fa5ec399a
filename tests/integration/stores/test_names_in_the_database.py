"""Whatever we make in a database has a name with our prefix, so that it never stands where a service's own would."""

from pathlib import Path

import pytest
from databases.catalogs import ask, names_in, plain, run_all
from databases.stores import empty_database, opened

from sagalog.participant_kit import ParticipantKit

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(empty_database(request.param, tmp_path, request))


def test_everything_that_we_make_has_a_name_with_our_prefix(database: str) -> None:
    with opened(database):
        pass
    with plain(database) as connection:
        ParticipantKit("bank").create(connection)
    names = names_in(database)
    assert {"saga_events", "saga_tracking", "saga_participant_inbox"} <= {name for _, name in names}
    assert [(kind, name) for kind, name in names if not name.startswith("saga_")] == []


def test_a_service_keeps_its_own_tables_whatever_they_are_called(database: str) -> None:
    with plain(database) as connection:
        run_all(connection, "tables_of_others")
    before = names_in(database)
    with opened(database):
        pass
    with plain(database) as connection:
        ParticipantKit("bank").create(connection)
    assert [one for one in names_in(database) if not one[1].startswith(("saga_", "sqlite_"))] == [
        one for one in before if not one[1].startswith("sqlite_")
    ]
    assert ask(database, "parcels") == [("parcel 7", "Lisbon")]
