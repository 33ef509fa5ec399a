"""Python's settings in a process that only runs sagas."""

import subprocess
import sys

SHOWN = """
import gc, sys
from sagalog.cli.worker_process import tune
{}
print(gc.get_freeze_count() > 5_000, sys.getswitchinterval())
"""


def shown(first: str) -> str:
    """Return what another Python says of itself, so that this one keeps its settings."""
    done = subprocess.run([sys.executable, "-c", SHOWN.format(first)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_threads_wait_less_for_each_other_and_imports_are_not_looked_through_again() -> None:
    assert shown("") == "False 0.005"
    assert shown("tune()") == "True 0.001"
