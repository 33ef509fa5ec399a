"""Text that came from outside, made harmless for wherever it is shown: a terminal, a log, a table, a picture.

It imports nothing of sagalog: every room shows something.
"""

import re

# What moves a cursor, ends a line, or turns the direction of what is read, and so can forge what stands beside it:
# C0 and C1 controls, DEL, the marks of bidirectional text, line and paragraph separators, lone surrogates.
_MOVING = "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
# What shows nothing at all, and so lets two texts look the same: Unicode's format characters (but those of Arabic,
# Syriac and Kaithi numbers, which are seen), and what else it says is not to be drawn. Written out, because the tables
# of a Python know the characters of their year.
_UNSEEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
# What shows nothing itself, and how what stands before it is written: Persian and Hindi words are joined by it or kept
# apart, emoji and names in Chinese characters are told by it. Behind anything else it is unseen as well.
_JOINERS, _SELECTORS = "\u200c\u200d", "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_CHANGED = f"[^\x00-\x7f{_MOVING}{_UNSEEN}{_JOINERS}{_SELECTORS}]"
_ALONE = (
    f"(?<!{_CHANGED})(?<!{_CHANGED}[{_SELECTORS}])[{_JOINERS}]"
    # In front of a keycap it stands behind a digit.
    f"|(?<!{_CHANGED})[{_SELECTORS}](?!\u20e3)"
)
CONTROLS = re.compile(f"[\n{_MOVING}{_UNSEEN}]|{_ALONE}")
_SUSPECT = re.compile(f"[\n{_MOVING}{_UNSEEN}{_JOINERS}{_SELECTORS}]")
_LINES = re.compile(f"[{_MOVING}{_UNSEEN}]|{_ALONE}")


class Lines(str):
    """Text that is harmless and meant to have several lines; the filter of log records leaves those it has."""

    __slots__ = ()


def is_plain(text: str) -> bool:
    """Tell whether a text is known to be harmless without a closer look at what stands beside what."""
    return text.isprintable() if text.isascii() else _SUSPECT.search(text) is None


def harmless(text: str, longest: int | None = None) -> str:
    r"""Return `text` with all that moves or shows nothing as its escape (`\x1b`, `\u202e`): it stays on its line.

    What is longer than `longest` characters is cut, and ends with an ellipsis.
    """
    if longest is not None and len(text) > longest:
        text = text[:longest] + "…"
    return text if is_plain(text) else CONTROLS.sub(_escape, text)


def harmless_lines(text: str, longest: int | None = None) -> Lines:
    """Return `text` as `harmless` does, but with its line feeds: for what is meant to have several lines."""
    if longest is not None and len(text) > longest:
        text = text[:longest] + "\n…"
    return Lines(text if is_plain(text) else _LINES.sub(_escape, text))


def abridged(text: str, longest: int = 2_000) -> str:
    """Return a text; of a longer one its beginning and its end, where stands what was found, and what to do."""
    return text if len(text) <= longest else f"{text[: longest * 3 // 4]} … {text[-longest // 4 :]}"


def harmless_json(text: str) -> str:
    r"""Return a text of JSON with all that moves or shows nothing as `\uXXXX`: whoever reads it gets the same values.

    JSON itself escapes only what is below U+0020.
    """
    return text if is_plain(text) else _LINES.sub(_json_escape, text)


def harmless_cell(text: str) -> str:
    """Return `text` as `harmless` does, with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{harmless(text)}" if text.startswith(_FORMULA) else harmless(text)


# As the spreadsheets have it, and the same letters as wide as East Asian ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named is not None:
        return named
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    # JSON has two escapes, a pair of surrogates, for what stands above U+FFFF.
    digits = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{digits[n : n + 4]}" for n in range(0, len(digits), 4))
