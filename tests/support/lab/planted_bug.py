"""A bug to find, as a pytest plugin (`-p lab.planted_bug`): runners go on although their lease was lost."""

import pytest

from sagalog.engine.sagas.worker import Worker


def holds_as(self: Worker, worker_id: str) -> bool:
    """Ask for a lease, and forget to ask whether it is still the one under which the saga is ours."""
    return self.holds


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the bug until the test is over."""
    monkeypatch.setattr(Worker, "holds_as", holds_as)


def pytest_configure() -> None:
    """Plant the bug for a whole run."""
    plant(pytest.MonkeyPatch())
