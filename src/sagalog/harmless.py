"""Text that came from outside, made harmless for wherever it is shown: a terminal, a log, a table, a picture.

It imports nothing of sagalog: every ring shows something.
"""

import re

# What moves a cursor, ends a line, or turns the direction of what is read, and so can forge what stands beside it:
# C0 and C1 controls, DEL, the marks of bidirectional text, line and paragraph separators, lone surrogates.
_ALL_BUT_LF = "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
CONTROLS = re.compile(f"[\n{_ALL_BUT_LF}]")
_LINES = re.compile(f"[{_ALL_BUT_LF}]")


class Lines(str):
    """Text that is harmless and meant to have several lines; the filter of log records leaves those it has."""

    __slots__ = ()


def harmless(text: str, longest: int | None = None) -> str:
    r"""Return `text` with every control as its escape (`\x1b`, `\u202e`), so that it stays on its line.

    What is longer than `longest` characters is cut, and ends with an ellipsis.
    """
    if longest is not None and len(text) > longest:
        text = text[:longest] + "…"
    return text if text.isprintable() else CONTROLS.sub(_escape, text)


def harmless_lines(text: str, longest: int | None = None) -> Lines:
    """Return `text` as `harmless` does, but with its line feeds: for what is meant to have several lines."""
    if longest is not None and len(text) > longest:
        text = text[:longest] + "\n…"
    return Lines(text if text.isprintable() else _LINES.sub(_escape, text))


def abridged(text: str, longest: int = 2_000) -> str:
    """Return a text; of a longer one its beginning and its end, where stands what was found, and what to do."""
    return text if len(text) <= longest else f"{text[: longest * 3 // 4]} … {text[-longest // 4 :]}"


def harmless_json(text: str) -> str:
    r"""Return a text of JSON with every control in its strings as `\uXXXX`: whoever reads it gets the same values.

    JSON itself escapes only what is below U+0020.
    """
    return text if text.isprintable() else _LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless_cell(text: str) -> str:
    """Return `text` as `harmless` does, with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{harmless(text)}" if text.startswith(_FORMULA) else harmless(text)


# As the spreadsheets have it, and the same letters as wide as East Asian ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
