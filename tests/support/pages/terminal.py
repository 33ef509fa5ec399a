"""A pseudo-terminal with a process on it: keys are pressed, screens are read. It draws nothing itself."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

PATIENCE_SECONDS = 20.0
CLEAR = "\x1b[H\x1b[2J"
ENTERED, LEFT = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")

# Makes the terminal that of the new session, so that Ctrl-C is a signal to the command, and becomes the command.
# Whoever runs the tests in the background may ignore that signal, and what they begin would, too.
WITH_A_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A process with a terminal of its own; `written` is all that it has written there."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int = 100, lines: int = 40
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, lines)
        self.settings_before = self.settings()
        self.written = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", WITH_A_TERMINAL, *command],
            env=dict(environment) | {"TERM": "xterm-256color"},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, _: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def settings(self) -> list[Any]:
        """Return how the terminal treats what is typed."""
        return termios.tcgetattr(self._theirs)

    def press(self, keys: str) -> str:
        """Press a key and return the screen that is drawn then, line by line, without colours."""
        before = self.written.count(CLEAR)
        os.write(self._ours, keys.encode())
        return self.screen(before + 1)

    def type(self, keys: str) -> None:
        """Press keys after which no screen is drawn."""
        os.write(self._ours, keys.encode())

    def screen(self, number: int = 1) -> str:
        """Wait for the screen of this number, and return it without colours."""
        self._read_until(lambda: self.written.count(CLEAR) >= number and "q: end" in self.written.rpartition(CLEAR)[2])
        return COLOURS.sub("", self.written.rpartition(CLEAR)[2]).replace("\r\n", "\n")

    def until(self, text: str) -> None:
        """Wait until a text was written."""
        self._read_until(lambda: text in self.written)

    def ended(self) -> int:
        """Wait for the end of the process and return its exit code."""
        self._read_until(lambda: self.process.poll() is not None)
        return self.process.wait()

    def after(self) -> str:
        """Return what was written since the terminal was given back."""
        return self.written.rpartition(LEFT)[2]

    def _read_until(self, done: Any) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            while select.select([self._ours], [], [], 0.02)[0]:
                self.written += os.read(self._ours, 65_536).decode()
            if done():
                return
            assert time.monotonic() < ends, f"nothing more came after {self.written!r}"
