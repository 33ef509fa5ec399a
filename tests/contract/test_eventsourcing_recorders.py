"""Holds our recorders to the contract tests that `eventsourcing` ships: its applications can stand on our log."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from databases.stores import migrated_database, opened
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)


class OnOurRecorder:
    """Give the shipped tests a recorder of one kind on an empty database."""

    kind: str

    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
        with ExitStack() as stack:
            self._recorder = cast(
                Any, stack.enter_context(opened(migrated_database(self.kind, tmp_path, request)))
            ).recorder
            yield

    def create_recorder(self) -> Any:
        return self._recorder

    def new_originator_id(self) -> str:
        return str(uuid4())


class OnSQLite(OnOurRecorder):
    kind = "sqlite"


class OnPostgres(OnOurRecorder):
    kind = "postgres"


# What the shipped tests only measure (test_performance, test_concurrent_throughput) is left to `make bench`.
measured: Any = None


class TestApplicationsOnSQLite(OnSQLite, ApplicationRecorderTestCase[Any]):
    test_performance = test_concurrent_throughput = measured


class TestProcessesOnSQLite(OnSQLite, ProcessRecorderTestCase):
    test_performance = measured


class TestTrackingOnSQLite(OnSQLite, TrackingRecorderTestCase):
    pass


class TestNonInterleavingOnSQLite(OnSQLite, NonInterleavingNotificationIDsBaseCase):
    pass


@pytest.mark.postgres
class TestApplicationsOnPostgres(OnPostgres, ApplicationRecorderTestCase[Any]):
    test_performance = test_concurrent_throughput = measured

    def test_subscriptions(self) -> None:
        self.optional_test_insert_subscribe()


@pytest.mark.postgres
class TestProcessesOnPostgres(OnPostgres, ProcessRecorderTestCase):
    test_performance = measured


@pytest.mark.postgres
class TestTrackingOnPostgres(OnPostgres, TrackingRecorderTestCase):
    pass


@pytest.mark.postgres
class TestNonInterleavingOnPostgres(OnPostgres, NonInterleavingNotificationIDsBaseCase):
    pass
