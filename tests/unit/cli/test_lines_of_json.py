"""Lines from a file or a pipe: numbered as an editor numbers them, and never more of one in memory than the cap."""

import asyncio
import io
from typing import IO

import pytest

from sagalog.cli.lines import LONGEST, Line, numbered, prefetched


def test_blank_lines_are_skipped_and_counted() -> None:
    assert list(numbered(io.BytesIO(b"a\n\n  \nb"))) == [(1, b"a\n"), (4, b"b")]


def test_a_line_that_is_too_long_is_cut_off_and_the_next_one_is_whole() -> None:
    source = io.BytesIO(b"a\n" + b"x" * (3 * LONGEST) + b"\nb\n")
    assert list(numbered(source)) == [(1, b"a\n"), (2, None), (3, b"b\n")]


def test_a_line_that_is_too_long_may_be_the_last_one_and_have_no_end() -> None:
    assert list(numbered(io.BytesIO(b"x" * (LONGEST + 2)))) == [(1, None)]


def test_a_line_of_just_the_longest_length_is_whole() -> None:
    line = b"x" * (LONGEST - 1) + b"\n"
    assert list(numbered(io.BytesIO(line + b"b"))) == [(1, line), (2, b"b")]


async def _all_of(source: IO[bytes]) -> list[Line]:
    return [line async for line in prefetched(source)]


def test_a_thread_reads_ahead_and_gives_the_same_lines() -> None:
    text = b"".join(b"%d\n" % number for number in range(5_000))
    assert asyncio.run(_all_of(io.BytesIO(text))) == list(numbered(io.BytesIO(text)))


def test_a_file_that_cannot_be_read_tells_its_reader() -> None:
    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        asyncio.run(_all_of(Broken()))
