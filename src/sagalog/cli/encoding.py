"""Checks the encoding of a file: UTF-8 is read, with or without a byte order mark; any other is named in the error."""

from typing import Final

from sagalog.errors import InvalidInput

MARK: Final = b"\xef\xbb\xbf"
# Said of text whose encoding cannot be recognized.
NO_UTF8: Final = "expected UTF-8, found another encoding, such as Latin-1; save it as UTF-8"
# The longer byte order marks first, because that of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def checked(head: bytes, name: str) -> bytes:
    """Return the beginning of a file without UTF-8's byte order mark; raises `InvalidInput` for another encoding."""
    other = _other(head)
    if other is not None:
        raise InvalidInput(
            f"{name}: expected UTF-8, found {other}; save it as UTF-8, or convert it: iconv -f {other} -t UTF-8"
        )
    return head.removeprefix(MARK)


def text_of(data: bytes, name: str) -> str:
    """Return the text of a file; raises `InvalidInput` if it is not UTF-8."""
    try:
        return checked(data, name).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name}: {NO_UTF8}") from None


def _other(head: bytes) -> str | None:
    for mark, encoding in _MARKS:
        # Without a mark, ASCII characters in UTF-16 or UTF-32 can be recognized by their zero bytes.
        if head.startswith(mark) and b"\0" in head[:64]:
            return encoding
    # The zero bytes of the first two characters show how many bytes each has, and the byte order.
    zeros = "".join("." if byte else "0" for byte in head[:4])
    return {".000": "UTF-32LE", "000.": "UTF-32BE", ".0.0": "UTF-16LE", "0.0.": "UTF-16BE"}.get(zeros)
