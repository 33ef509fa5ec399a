"""Makes text from outside safe to show anywhere: in a terminal, a log, a table, a picture.

It imports nothing of sagalog, because every room shows something.
"""

import re

# Characters that move a cursor, end a line, or change the direction of text, and so can forge what is beside them:
# C0 and C1 controls, DEL, the marks of bidirectional text, line and paragraph separators, lone surrogates.
_MOVING = "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
# Invisible characters, which make different texts look the same: Unicode's format characters (except the visible ones
# for Arabic, Syriac and Kaithi numbers) and its other default-ignorable ones. They are listed here, because Python's
# tables depend on its version.
_UNSEEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
# Invisible characters that change how the character before them is drawn: joiners in Persian and Hindi words, and
# variation selectors of emoji and Chinese characters. After any other character they are just invisible.
_JOINERS, _SELECTORS = "\u200c\u200d", "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_CHANGED = f"[^\x00-\x7f{_MOVING}{_UNSEEN}{_JOINERS}{_SELECTORS}]"
_ALONE = (
    f"(?<!{_CHANGED})(?<!{_CHANGED}[{_SELECTORS}])[{_JOINERS}]"
    # A variation selector between a digit and a keycap.
    f"|(?<!{_CHANGED})[{_SELECTORS}](?!\u20e3)"
)
CONTROLS = re.compile(f"[\n{_MOVING}{_UNSEEN}]|{_ALONE}")
_SUSPECT = re.compile(f"[\n{_MOVING}{_UNSEEN}{_JOINERS}{_SELECTORS}]")
_LINES = re.compile(f"[{_MOVING}{_UNSEEN}]|{_ALONE}")


class Lines(str):
    """Harmless text that may have several lines; the log filter keeps its line ends."""

    __slots__ = ()


def is_plain(text: str) -> bool:
    """Tell whether a text is clearly harmless, without looking at neighbouring characters."""
    return text.isprintable() if text.isascii() else _SUSPECT.search(text) is None


def harmless(text: str, longest: int | None = None) -> str:
    r"""Return `text` on one line, with characters that move or hide text replaced by escapes (`\x1b`, `\u202e`).

    If it is longer than `longest` characters, it is cut and ends with an ellipsis.
    """
    if longest is not None and len(text) > longest:
        text = text[:longest] + "…"
    return text if is_plain(text) else CONTROLS.sub(_escape, text)


def harmless_lines(text: str, longest: int | None = None) -> Lines:
    """Return `text` as `harmless` does, but with its line feeds kept."""
    if longest is not None and len(text) > longest:
        text = text[:longest] + "\n…"
    return Lines(text if is_plain(text) else _LINES.sub(_escape, text))


def abridged(text: str, longest: int = 2_000) -> str:
    """Return a text of at most `longest` characters: its beginning, and its end, which usually has the advice."""
    return text if len(text) <= longest else f"{text[: longest * 3 // 4]} … {text[-longest // 4 :]}"


def harmless_json(text: str) -> str:
    r"""Return JSON text with characters that move or hide text as `\uXXXX`: a reader gets the same values.

    JSON itself escapes only what is below U+0020.
    """
    return text if is_plain(text) else _LINES.sub(_json_escape, text)


def harmless_cell(text: str) -> str:
    """Return `text` as `harmless` does, with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{harmless(text)}" if text.startswith(_FORMULA) else harmless(text)


# The characters that begin a formula, and their full-width East Asian forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named is not None:
        return named
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    # JSON escapes a character above U+FFFF as two surrogates.
    digits = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{digits[n : n + 4]}" for n in range(0, len(digits), 4))
