"""A finished demo of the reference service, run once for all tests that only look at it."""

from collections import Counter
from pathlib import Path

import pytest
from pages.command_line import ROOT, Ran, sagalog

from domain.sample import CHOREOGRAPHED, EXPECTED_COUNTS, ORDERS_COUNT

SAGAS_COUNT = ORDERS_COUNT + len(CHOREOGRAPHED)
"""Every sample order with a coordinator, and a few without."""
COUNTS = Counter(EXPECTED_COUNTS) + Counter(CHOREOGRAPHED.values())


class FinishedDemo:
    """The folder with the demo's databases, and what the demo wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: Ran = sagalog("--app-dir", str(ROOT), "demo", "--db", str(folder / "demo.db"))

    def sagalog(self, *words: str, **options: str) -> Ran:
        """Run a command on the demo's database."""
        return sagalog(*words, shop=self.folder, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """Run the demo once."""
    return FinishedDemo(tmp_path_factory.mktemp("demo"))
