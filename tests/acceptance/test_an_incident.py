"""A bad deploy and an hour's outage: hundreds of sagas stand still, and are repaired from the command line alone.

The commands that are typed are counted, and the effects that were made twice: at most six, and none.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database
from pages.command_line import UNSET, program
from sagas.letters import done, doubled

APP = "sagas.letters"
ORDERS = 500
PATIENCE_SECONDS = 60.0


class Company:
    """A company with one worker, and somebody who types commands, each of which is counted."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self.typed = 0
        self.environment = {name: value for name, value in os.environ.items() if name not in UNSET}
        self.environment |= {"LETTERS": str(folder)}

    def words(self, *words: str) -> Sequence[str]:
        support = str(Path(__file__).parents[1] / "support")
        return program("--db", self.address, "--app-dir", support, "--app", APP, *words)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        words = tuple(self.words(*words))
        return subprocess.run(
            words, check=False, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    def starts(self, *words: str) -> None:
        """Start sagas, as the company's service does."""
        ended = self.run("start", *words)
        assert ended.returncode == 0, ended.stderr[-2000:]

    def type(self, *words: str) -> str:
        """Type a command, which must do what it says."""
        self.typed += 1
        ended = self.run(*words)
        assert ended.returncode == 0, (words, ended.stdout[-2000:], ended.stderr[-2000:])
        return ended.stdout

    def counts(self, column: str = "status") -> dict[str, int]:
        """Return how many sagas have each status, or each value of another column."""
        text = f"select {column} as value, count(*) as number from saga_status group by {column}"
        return {row["value"]: row["number"] for row in json.loads(self.run("sql", text, "-o", "json").stdout)}

    @contextmanager
    def worker(self) -> Generator[None]:
        """A deployed worker."""
        words = self.words("run")
        with subprocess.Popen(words, env=self.environment, stderr=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.kill()

    def breaks(self, what: str) -> None:
        (self.folder / what).touch()

    def mends(self, what: str) -> None:
        (self.folder / what).unlink()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Look again and again until it is so; each look is a process of its own, so nothing need be slept."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends, "it never was so"


@pytest.fixture(params=EACH_KIND[1:])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    address = migrated_database(request.param, tmp_path, request)
    assert isinstance(address, str)
    return Company(address, tmp_path)


def test_five_hundred_orders_are_repaired_with_few_commands(company: Company) -> None:
    """Invariants 23, 24 and 49."""
    company.breaks("letter-shop is wrong")
    orders = company.folder / "orders.jsonl"
    half = ORDERS // 2
    lines = [json.dumps({"order_id": f"o-{number}"}) for number in range(ORDERS)]
    orders.write_text("\n".join(lines[:half]))
    with company.worker():
        company.starts("letters", "--input", str(orders))
        wait_for(lambda: company.counts() == {"stuck": half})
        company.breaks("carrier is down")
        orders.write_text("\n".join(lines[half:]))
        company.starts("letters", "--input", str(orders))
        wait_for(lambda: company.counts("waiting_for").get("retry of ship") == half)
    # The program is mended and deployed, and the carrier is there again.
    company.mends("letter-shop is wrong")
    company.mends("carrier is down")
    with company.worker():
        company.type("list", "--where", "status!=completed", "--limit", "5")
        company.type("retry", "--where", 'status=stuck and error~"letter-shop"', "--reason", "deploy 42", "--yes")
        waiting = 'status=pending and waiting_for~"retry of ship"'
        company.type("retry", "--where", waiting, "--reason", "the carrier is back", "--yes")
        wait_for(lambda: company.counts() == {"completed": ORDERS})
        company.type("list", "--where", "status!=completed")
    assert company.typed <= 6
    assert doubled(company.folder) == {}
    assert done(company.folder) == {"bank": ORDERS, "carrier": ORDERS, "letter-shop": ORDERS}


def test_a_repair_that_does_not_repair_stops_at_the_canary(company: Company) -> None:
    company.breaks("letter-shop is wrong")
    orders = company.folder / "orders.jsonl"
    orders.write_text("\n".join(json.dumps({"order_id": f"o-{number}"}) for number in range(60)))
    with company.worker():
        company.starts("letters", "--input", str(orders))
        wait_for(lambda: company.counts() == {"stuck": 60})
        ended = company.run("retry", "--where", "status=stuck", "--reason", "let us see", "--yes", "-o", "json")
    assert ended.returncode == 4
    job = json.loads(ended.stdout)
    assert (job["status"], job["counts"]["failed"], job["counts"]["pending"]) == ("stopped", 10, 50)
