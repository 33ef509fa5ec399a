"""In which encoding a file was written: UTF-8 is read, with a mark before it or not, and any other is named."""

from typing import Final

from sagalog.errors import InvalidInput

MARK: Final = b"\xef\xbb\xbf"
# What nothing tells the encoding of.
NO_UTF8: Final = "expected UTF-8, found another encoding, such as Latin-1; save it as UTF-8"
# The longer marks first: that of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def checked(head: bytes, name: str) -> bytes:
    """Return the beginning of a file without the mark of UTF-8; raises `InvalidInput` for another encoding."""
    other = _other(head)
    if other is not None:
        raise InvalidInput(
            f"{name}: expected UTF-8, found {other}; save it as UTF-8, or convert it: iconv -f {other} -t UTF-8"
        )
    return head.removeprefix(MARK)


def text_of(data: bytes, name: str) -> str:
    """Return what a file says; raises `InvalidInput` if it is no UTF-8."""
    try:
        return checked(data, name).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name}: {NO_UTF8}") from None


def _other(head: bytes) -> str | None:
    for mark, encoding in _MARKS:
        # Bytes alone may be anything; in text of these there are zeros as soon as there is ASCII.
        if head.startswith(mark) and b"\0" in head[:64]:
            return encoding
    # What begins with two characters of ASCII tells by its zeros how many bytes each has, and which stands first.
    zeros = "".join("." if byte else "0" for byte in head[:4])
    return {".000": "UTF-32LE", "000.": "UTF-32BE", ".0.0": "UTF-16LE", "0.0.": "UTF-16BE"}.get(zeros)
