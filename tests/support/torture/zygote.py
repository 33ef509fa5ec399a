"""A process that has imported everything and forks workers in milliseconds; it must not open a database itself.

It reads one JSON command a line from its standard input and answers each with one line. It ends, and ends whatever it
forked, when its input is closed, which happens however its parent dies. Only it reaps its children, so that a pid that
it knows is never another process.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from torture.roles import ROLES

LOOK_EVERY_SECONDS = 0.002


class Zygote:
    """What forks, signals and waits for children, as it is told."""

    def __init__(self) -> None:
        # Nobody ever writes to this pipe: its end tells a child that this process is gone.
        self._life, self._alive = os.pipe()
        self._children: set[int] = set()

    def serve(self) -> Callable[[], int] | None:
        """Obey until the input ends; in a forked child return at once, with what the child is to do."""
        gc.collect()
        gc.freeze()  # what was imported is never looked at again, in no child
        # Not the buffered reader: a child would inherit what it has read ahead.
        for line in iter(self._line, b""):
            command = json.loads(line)
            if "fork" in command:
                pid = os.fork()
                if pid == 0:
                    return self._become(command["fork"])
                self._children.add(pid)
                answer: Any = pid
            elif "signal" in command:
                answer = self._signal(*command["signal"])
            else:
                answer = self._wait(*command["wait"])
            os.write(1, json.dumps(answer).encode() + b"\n")
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        return None

    @staticmethod
    def _line() -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(0, 1)
            if not piece:
                return b""
            line += piece
        return line

    def _become(self, order: dict[str, Any]) -> Callable[[], int]:
        os.close(self._alive)
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        threading.Thread(target=self._die_with_the_zygote, daemon=True).start()
        role = ROLES[order["role"]]
        return lambda: role(order)

    def _die_with_the_zygote(self) -> None:
        os.read(self._life, 1)
        os._exit(1)

    def _signal(self, pid: int, number: int) -> int | None:
        """Send a signal; None if it was sent, or the exit code of a child that had ended by itself."""
        ended = self._wait(pid, 0)
        if ended is None:
            os.kill(pid, number)
        return ended

    def _wait(self, pid: int, seconds: float) -> int | None:
        """Return the child's exit code (negative: the signal that ended it), or None if it still runs after so long."""
        give_up = time.monotonic() + seconds
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self._children.discard(pid)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= give_up:
                return None
            time.sleep(LOOK_EVERY_SECONDS)


if __name__ == "__main__":
    child = Zygote().serve()
    sys.exit(0 if child is None else child())
