"""A bug to find, as a pytest plugin (`-p lab.planted_bug`): runners go on although their lease was lost."""

import pytest

from sagalog.engine.sagas.worker import Worker


async def ready(self: Worker, worker_id: str) -> bool:
    """Forget to ask whether the saga is still ours."""
    await self._lease.wait(self.worker_id)
    return True


def holds_as(self: Worker, worker_id: str) -> bool:
    """Forget to ask at the last moment, too."""
    return True


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the bug until the test is over."""
    monkeypatch.setattr(Worker, "ready", ready)
    monkeypatch.setattr(Worker, "holds_as", holds_as)


def pytest_configure() -> None:
    """Plant the bug for a whole run."""
    plant(pytest.MonkeyPatch())
