"""Processes that sell and react to sagas are killed again and again: everything is heard, in order, with one effect."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom

import pytest
from databases.catalogs import plain
from databases.stores import EACH_KIND, migrated_database, opened
from reactions.ledger import Call, Ledger
from reactions.listeners import UNANSWERED, WANTED, Closed, Entry, chance_of, entries, fields_of

from sagalog.store import Store

PROCESSES = 3
KILLS = 10
# So many calls of handlers, at most, and so many seconds from one kill to the next.
MOST_CALLS = 40
LONGEST = 0.05
PATIENCE = 60.0
EVERY = 0.02
WAITING = "SELECT count(*) FROM saga_inbox"

pytestmark = [pytest.mark.crash, pytest.mark.slow]


class Scene:
    """A database, the ledger of what was heard, and processes that are started and killed by their names."""

    def __init__(self, database: str, store: Store, folder: Path) -> None:
        self.database = database
        self.store = store
        self._path = folder / "ledger.db"
        self._said = folder / "said.txt"
        self.ledger = Ledger(self._path)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, bug: str = "") -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-P", "-m", "reactions.reacting_process", self.database, str(self._path), name, bug]
        with self._said.open("a") as said:
            self.running[name] = subprocess.Popen(command, env=environment, stdout=said, stderr=said)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def end(self) -> None:
        for name in list(self.running):
            self.kill(name)
        self.ledger.close()

    def wait_until(self, has_happened: Callable[[], bool]) -> None:
        """Wait for what processes write; fail if it does not come."""
        began = time.monotonic()
        while not has_happened():
            assert time.monotonic() - began < PATIENCE, self._said.read_text()[-4000:]
            # Other processes work meanwhile; what is waited for is what they write, and for no time.
            time.sleep(EVERY)

    def heard(self, more: int) -> None:
        """Wait for so many calls of handlers more."""
        number = self.ledger.number() + more
        self.wait_until(lambda: self.ledger.number() >= number)

    def rest(self, bug: str = "") -> int:
        """Let a last process finish everything; return where the log ended before it came."""
        for name in list(self.running):
            self.kill(name)
        head = self.store.head()
        self.start("last", bug)
        self.wait_until(self._is_at_rest)
        return head

    def _is_at_rest(self) -> bool:
        """Tell whether each participant has heard the last that it wants, and nothing is to come of that any more."""
        log = list(entries(self.store))
        ends = [entry for entry in log if WANTED["clerk"](entry.event) and str(entry.about.key).startswith("last-")]
        if len(ends) < 2:
            return False
        heard = {(call.participant, call.position) for call in self.ledger.calls()}
        last = {name: [one.about.position for one in log if wants(one.event)][-1] for name, wants in WANTED.items()}
        with plain(self.database) as connection:
            [(waiting,)] = connection.execute(WAITING).fetchall()
        return last.items() <= heard and not waiting and self.store.head() == log[-1].about.position


@pytest.fixture
def scene(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A scene without a process in it."""
    database = migrated_database(kind, tmp_path, request)
    assert isinstance(database, str)
    with opened(database) as store:
        scene = Scene(database, store, tmp_path)
        try:
            yield scene
        finally:
            scene.end()


def wrongs(scene: Scene, head: int) -> set[str]:
    """Return what is wrong with what was heard, compared with the log; `head`: where it ended before the newcomer."""
    log, calls, effects = list(entries(scene.store)), scene.ledger.calls(), scene.ledger.effects()
    found: set[str] = set()
    for name, wants in WANTED.items():
        mine = [call for call in calls if call.participant == name]
        wanted = [entry for entry in log if wants(entry.event)]
        if name == "newcomer":
            if any(call.position <= head for call in mine):
                found.add("older than the newcomer")
            wanted = [entry for entry in wanted if entry.about.position >= min(call.position for call in mine)]
        found |= _wrong_with(
            mine, wanted, {event: fields for (whose, event), fields in effects.items() if whose == name}
        )
    answered = Counter(entry.about.causation_id for entry in log if isinstance(entry.event, Closed))
    if answered != Counter(entry.about.id for entry in log if WANTED["clerk"](entry.event)):
        found.add("not answered once")
    return found


def _wrong_with(calls: list[Call], wanted: list[Entry], effects: dict[str, str]) -> set[str]:
    """Return what is wrong with the calls and the effects of one participant."""
    found: set[str] = set()
    expected = {entry.about.id: fields_of(*entry) for entry in wanted}
    if expected.keys() - effects.keys():
        found.add("missed")
    if effects.keys() - expected.keys():
        found.add("not asked for")
    if any(expected.get(call.id, call.fields) != call.fields or effects[call.id] != call.fields for call in calls):
        found.add("told differently")
    lanes: dict[str, dict[str, int]] = {}
    for call in calls:
        lanes.setdefault(call.lane, {}).setdefault(call.id, call.position)
    if any(later < earlier for lane in lanes.values() for earlier, later in pairwise(lane.values())):
        found.add("out of order")
    return found


@pytest.mark.parametrize("kind", EACH_KIND[1:])
def test_everything_is_heard_in_order_and_has_one_effect_whoever_is_killed(scene: Scene) -> None:
    """Invariants 5, 7, 36 and 43: three processes sell and react; whichever heard something last is killed."""
    seed = SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    random = Random(seed)
    for number in range(PROCESSES):
        scene.start(f"w{number}.0")
    for times in range(1, KILLS + 1):
        scene.heard(random.randrange(1, MOST_CALLS))
        # Nothing is waited for: the moment is any, and not only one at which something was just written.
        time.sleep(random.uniform(0, LONGEST))
        killed = [name for name in scene.running if random.random() < 0.25 or name == scene.ledger.last_process()]
        for name in killed:
            scene.kill(name)
            scene.start(f"{name.partition('.')[0]}.{times}")
    head = scene.rest()
    calls, effects = scene.ledger.calls(), scene.ledger.effects()
    again = sum(chance_of(call.id) != UNANSWERED for call in calls)
    again -= sum(chance_of(event) != UNANSWERED for _, event in effects)
    print(f"{scene.store.head()} events, {len(effects)} effects; {again} heard again because somebody was killed")
    # Otherwise nobody was killed between an effect and its answer, and the run has shown little.
    assert again > 0
    assert wrongs(scene, head) == set()


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    ("bug", "wrong"),
    [("hasty", "missed"), ("jumbled", "out of order"), ("nostalgic", "older than the newcomer")],
)
def test_a_planted_bug_is_found(scene: Scene, bug: str, wrong: str) -> None:
    """The bugs are planted: what is compared above would not be equal without the rules that it holds."""
    scene.start("w0")
    scene.heard(20)
    scene.start("w1", bug)
    scene.kill("w0")
    if bug == "hasty":
        scene.running["w1"].wait(PATIENCE)
    else:
        scene.heard(100)
    assert wrong in wrongs(scene, scene.rest("" if bug == "hasty" else bug))
