"""The hand on the processes that are killed: a zygote forks them, this tells it whom to fork and what to send."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self


class EndedByItself(Exception):
    """A process that should have run until it was ended was gone already."""


class Processes:
    """Processes that are forked from one zygote; all of them end with this one, however it ends."""

    def __init__(self, log: Path) -> None:
        self.log = log
        # A session of its own: what interrupts us at a terminal leaves the ending to us.
        self._zygote = subprocess.Popen(
            [sys.executable, "-P", "-m", "torture.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,
        )

    def fork(self, role: str, **order: object) -> int:
        """Start a process in a role of `torture.roles`, and return its pid."""
        return int(self._ask({"fork": {"role": role, "log": str(self.log), **order}}))

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal; raises `EndedByItself` if the process had ended before."""
        ended = self._ask({"signal": [pid, number]})
        if ended is not None:
            raise EndedByItself(f"process {pid} had ended by itself with exit code {ended}; see {self.log}")

    def kill(self, pid: int) -> None:
        """End a process with SIGKILL and return when it is gone; raises `EndedByItself`."""
        self.signal(pid, signal.SIGKILL)
        if self.wait(pid, 10.0) is None:
            raise TimeoutError(f"process {pid} still runs 10 s after SIGKILL")

    def wait(self, pid: int, seconds: float) -> int | None:
        """Return the exit code (negative: the signal that ended it), or None if it still runs after so long."""
        ended = self._ask({"wait": [pid, seconds]})
        return None if ended is None else int(ended)

    def close(self) -> None:
        """End every process."""
        self._zygote.communicate()

    def _ask(self, command: dict[str, object]) -> Any:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(command).encode() + b"\n")
        self._zygote.stdin.flush()
        answer = self._zygote.stdout.readline()
        if not answer:
            raise RuntimeError(f"the zygote ended with exit code {self._zygote.wait()}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
