"""A job over many sagas whose workers are killed again and again: each saga is acted on once, and the job ends.

`--sagas 10000 --kills 100` is the whole; the suite of every day has a part of it.
"""

import asyncio
import json
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database
from pages.command_line import UNSET, program
from sagas.letters import Order, Town, done, doubled, letters

from sagalog.codec import CODEC
from sagalog.process_manager import ProcessManager
from sagalog.saga.events import ActionTaken
from sagalog.settings import Settings
from sagalog.stores import store_for

APP = "sagas.letters"
SETTINGS = Settings(lease=2.0)
# How long a worker lives before it is killed, at most, in seconds.
LONGEST_LIFE = 1.5


async def stuck(address: str, folder: Path, number: int) -> None:
    """Leave so many sagas stuck."""
    (folder / "letter-shop is wrong").touch()
    async with ProcessManager(address, sagas=[letters], services={Town: Town(folder)}, settings=SETTINGS) as manager:
        for begin in range(0, number, 500):
            keys = [f"o-{n}" for n in range(begin, min(begin + 500, number))]
            await asyncio.gather(*(manager.start(letters, Order(key), key=key) for key in keys))
            await asyncio.gather(*(manager.result(key, 60) for key in keys))
    (folder / "letter-shop is wrong").unlink()


async def begun(address: str, canary: int) -> str:
    async with ProcessManager(address, worker=False) as manager:
        job = await manager.begin_job("retry", "status=stuck", actor="ada", reason="deploy 42", canary=canary)
        return job.row.job_id


@pytest.mark.parametrize("canary", [10, 100])
@pytest.mark.parametrize("kind", EACH_KIND[1:])
def test_each_saga_is_acted_on_once(kind: str, canary: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Invariants 5, 33 and 49."""
    number, kills = int(request.config.getoption("--sagas") or 0), int(request.config.getoption("--kills") or 0)
    address = migrated_database(kind, tmp_path, request)
    assert isinstance(address, str)
    asyncio.run(stuck(address, tmp_path, number))
    job_id = asyncio.run(begun(address, canary))
    seeded = random.Random(canary)
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment |= {"LETTERS": str(tmp_path), "SAGALOG_LEASE": "2"}
    support = str(Path(__file__).parents[1] / "support")
    words = program("--db", address, "--app-dir", support, "--app", APP, "run")
    for _ in range(kills):
        with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as worker:
            # The pause is the life of the worker: it is killed at a moment chosen at random.
            time.sleep(0.4 + seeded.random() * LONGEST_LIFE)
            worker.kill()
    print(f"{acted(address, job_id)} of {number} were acted on in {kills} lives that were killed")
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as worker:
        watch = program("--db", address, "jobs", "watch", job_id, "-o", "json")
        ended = subprocess.run(watch, env=environment, capture_output=True, text=True, timeout=300, check=True)
        worker.kill()
    job = json.loads(ended.stdout)
    assert (job["status"], job["counts"]["well"]) == ("done", number)
    assert acted(address, job_id) == number
    assert doubled(tmp_path) == {}
    assert done(tmp_path)["letter-shop"] == number


def acted(address: str, job_id: str) -> int:
    """Return how many sagas have taken the action of a job, each of which must have taken it once."""
    store = store_for(address)
    store.open()
    try:
        after, taken = 0, Counter[str]()
        while page := store.read_log(after, 5_000):
            after = page[-1].position
            for stored in page:
                if stored.topic == ActionTaken.TOPIC:
                    (event,) = CODEC.decode_all([(stored.topic, stored.state)])
                    assert isinstance(event, ActionTaken)
                    assert event.action_id.startswith(f"{job_id}:")
                    taken[stored.saga_id] += 1
        assert set(taken.values()) <= {1}
        return len(taken)
    finally:
        store.close()
