"""The simulator finds a bug, and the command that it prints repeats it: tests of the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab import planted_bug
from lab.scenarios import SEEDED, at_random, told

from sagalog.testing.simulation.faults import RandomFaults

ROOT = Path(__file__).parents[2]


def first_failing(seeds: range) -> int:
    for seed in seeds:
        if at_random(seed).findings():
            return seed
    raise AssertionError(f"the planted bug was not found with {len(seeds)} seeds")


@pytest.mark.simulation
def test_a_planted_bug_is_found_and_the_printed_command_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        planted_bug.plant(patched)
        seed = first_failing(range(5_000))
        findings = at_random(seed).findings()
    assert at_random(seed).findings() == []
    command = f"python -m pytest {SEEDED} --seed {seed}"
    assert command in told({seed: findings})

    arguments = [sys.executable, *command.split()[1:], "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path}
    healthy, broken = (
        subprocess.run(
            [*arguments, *more], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        for more in ([], ["-p", "lab.planted_bug"])
    )
    assert healthy.returncode == 0, healthy.stdout
    assert broken.returncode == 1, broken.stdout
    assert findings[0][:60] in broken.stdout


@pytest.mark.simulation
def test_the_seeds_reach_every_end_and_every_kind_of_trouble() -> None:
    ends: set[str] = set()
    kinds: set[str] = set()
    faults = crashes = 0
    for seed in range(150):
        scenario = at_random(seed)
        assert scenario.findings() == []
        world = scenario.simulation.world
        ends |= set(scenario.ends().values())
        kinds |= {entry.kind for entry in world.trace}
        faults += world.faults.made if isinstance(world.faults, RandomFaults) else 0
        crashes += sum(entry.kind == "leased" for entry in world.trace)
    # Whoever waits for a child that is stuck is pending.
    assert ends - {"pending"} == {"completed", "failed", "stuck"}
    # "fenced", an append after the lease was lost, is what must never be.
    assert kinds == {"began", "ended", "written", "leased", "lost"}
    assert faults > 300
    assert crashes > 300
