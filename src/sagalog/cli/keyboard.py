"""A terminal for one person: keys as they are pressed, screens that are drawn over, and everything as it was after.

It knows no saga. Where a key leads is said by who reads it.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import Any, Final, Literal

import click

Key = Literal["forward", "back", "first", "last", "down", "up", "quit", "other", "resized"]

# How a terminal is told to keep what it shows and give a clean page, without a cursor; and to go back.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_CLEAR: Final = "\x1b[H\x1b[2J"
_ESCAPE: Final = b"\x1b"
_SEQUENCES: Final[dict[bytes, Key]] = {
    **dict.fromkeys((b"[C", b"OC", b"[B", b"OB"), "forward"),
    **dict.fromkeys((b"[D", b"OD", b"[A", b"OA"), "back"),
    **dict.fromkeys((b"[H", b"OH", b"[1~", b"[7~"), "first"),
    **dict.fromkeys((b"[F", b"OF", b"[4~", b"[8~"), "last"),
    b"[6~": "down",
    b"[5~": "up",
}
_LETTERS: Final[dict[bytes, Key]] = {
    **dict.fromkeys((b"\n", b"\r", b" ", b"n", b"f", b"l"), "forward"),
    **dict.fromkeys((b"b", b"p", b"h", b"\x7f", b"\x08"), "back"),
    b"g": "first",
    b"G": "last",
    b"j": "down",
    b"k": "up",
    # Ctrl-D is the end of what is typed.
    **dict.fromkeys((b"q", b"Q", b"\x04"), "quit"),
}
# A terminal sends the rest of a key's bytes at once; a line over a network may be slower.
_REST_SECONDS: Final = 0.1
_RESIZED_SECONDS: Final = 0.5


def is_there() -> bool:
    """Tell whether a person sits at a terminal that can be drawn on, and this system lets keys be read."""
    if find_spec("termios") is None:
        # Windows has none.
        return False
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Screen:
    """The page of a terminal while it is ours."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._size = self.size()

    def size(self) -> tuple[int, int]:
        """Return the columns and the lines."""
        found = shutil.get_terminal_size()
        return found.columns, found.lines

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, and nothing else."""
        self._size = self.size()
        click.echo(_CLEAR + "\n".join(lines), nl=False, color=True)
        sys.stdout.flush()

    def key(self) -> Key:
        """Wait for the next key; "resized" if the terminal has another size than when it was drawn on."""
        while True:
            if self._readable(_RESIZED_SECONDS):
                return self._pressed()
            if self.size() != self._size:
                return "resized"

    def _pressed(self) -> Key:
        try:
            pressed = os.read(self._source, 1)
        except OSError:
            # The terminal is gone.
            return "quit"
        if not pressed:
            return "quit"
        if pressed != _ESCAPE:
            return _LETTERS.get(pressed, "other")
        rest = b""
        while not _is_whole(rest) and self._readable(_REST_SECONDS):
            rest += os.read(self._source, 1)
        return _SEQUENCES.get(rest, "other")

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._source], [], [], seconds)[0])


def _is_whole(rest: bytes) -> bool:
    """Tell whether the bytes after an escape are all that one key sends."""
    if rest[:1] == b"[":
        return len(rest) > 1 and 0x40 <= rest[-1] <= 0x7E
    return len(rest) >= (2 if rest[:1] == b"O" else 1)


@contextmanager
def screen() -> Generator[Screen]:
    """Take the terminal, and give it back as it was, however the block ends: an error, Ctrl-C, SIGTERM."""
    import termios

    source = sys.stdin.fileno()
    before = termios.tcgetattr(source)
    try:
        with _terminated_in_turn():
            termios.tcsetattr(source, termios.TCSADRAIN, _by_key(before))
            click.echo(_ENTER, nl=False, color=True)
            yield Screen(source)
    finally:
        # A terminal that was closed meanwhile has nothing to be restored.
        with contextlib.suppress(OSError, termios.error):
            click.echo(_LEAVE, nl=False, color=True)
            termios.tcsetattr(source, termios.TCSADRAIN, before)


def _by_key(settings: list[Any]) -> list[Any]:
    """Return settings with which each key is given at once and not shown; Ctrl-C stays a signal, Ctrl-Z is nothing."""
    import termios

    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = settings
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    # A suspended process would leave its page to the shell.
    characters[termios.VSUSP] = b"\0"
    return [iflag, oflag, cflag, lflag & ~(termios.ECHO | termios.ICANON), ispeed, ospeed, characters]


@contextmanager
def _terminated_in_turn() -> Generator[None]:
    """Let SIGTERM end the block as an exception, so that the terminal is given back."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
