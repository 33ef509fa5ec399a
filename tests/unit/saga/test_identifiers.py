"""What an id, a key and a name may hold: what forges text, or cannot be seen, is refused, and bytes are counted."""

import enum
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagalog.errors import DefinitionError, InvalidIdentifier, InvalidSettings
from sagalog.messages import Event
from sagalog.saga.identifiers import LONGEST_ID, check_identifier, check_lookup, check_reason, check_recorded
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.settings import Settings


def forging() -> Iterator[int]:
    """Yield every character that moves a cursor, ends a line, turns the direction of text, or has no bytes."""
    yield from range(0x20)
    yield from range(0x7F, 0xA0)
    yield from (0x061C, 0x200E, 0x200F, 0x2028, 0x2029)
    yield from range(0x202A, 0x202F)
    yield from range(0x2066, 0x206A)
    yield from (0xD800, 0xDBFF, 0xDC00, 0xDFFF)


@pytest.mark.parametrize("code", list(forging()), ids=lambda code: f"U+{code:04X}")
def test_a_character_that_could_forge_what_stands_beside_it_is_in_no_id(code: int) -> None:
    with pytest.raises(InvalidIdentifier, match=f"found the character U\\+{code:04X}; remove it"):
        check_identifier(f"order-{chr(code)}1", "the key")


# Format characters of Arabic, Syriac and Kaithi numbers, which stand under or around them and are seen.
SEEN = (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)
JOINERS = (0x200C, 0x200D)


def unseen() -> Iterator[int]:
    """Yield every character that shows nothing, whatever stands before it."""
    for code in range(0x110000):
        if unicodedata.category(chr(code)) == "Cf" and code not in (*SEEN, *JOINERS):
            yield code
    # Neither letters nor marks that are drawn, though Unicode has them there.
    yield from (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180D, 0x180F, 0x3164, 0xFFA0, 0x1D159)
    # No characters yet, but nothing will be drawn for them.
    yield from (0x2065, 0xFFF0, 0xE0000, 0xE0002, 0xE0080, 0xE01F0, 0xE0FFF)


@pytest.mark.parametrize("code", sorted({*unseen()} - {*forging()}), ids=lambda code: f"U+{code:04X}")
def test_a_character_that_shows_nothing_is_in_no_id_for_two_would_look_the_same(code: int) -> None:
    for text in (f"order-{chr(code)}1", chr(code), f"日{chr(code)}本"):
        with pytest.raises(InvalidIdentifier, match=f"found the character U\\+{code:04X}; remove it"):
            check_identifier(text, "the key")


@pytest.mark.parametrize("code", [*JOINERS, 0xFE00, 0xFE0E, 0xFE0F, 0xE0100, 0xE01EF], ids=lambda code: f"U+{code:04X}")
def test_what_changes_the_character_before_it_is_in_no_id_where_it_changes_none(code: int) -> None:
    one = chr(code)
    for text in (one, f"a{one}", f"order-1{one}", f" {one}", f"日{one}{one}", f"日\u200d{one}", f"a{one}\u200d日"):
        with pytest.raises(InvalidIdentifier, match=f"found the character U\\+{code:04X}; remove it"):
            check_identifier(text, "the key")


@pytest.mark.parametrize(
    "text",
    [
        *("می\u200cخواهم", "ه\u200d. ش.", "क्\u200dष", "श्\u200c", "ക്\u200d"),  # noqa: RUF001
        *("👩\u200d🚒", "👩🏽\u200d🚒", "❤\ufe0f\u200d🔥", "👁\ufe0f\u200d🗨\ufe0f", "1\ufe0f\u20e3", "©\ufe0e", "🇺🇦"),
        *("渡邉\U000e0102", "辻\U000e0100さん", "ᠠ", "e\u0301", "กั้", "۝٤٢", "⠓⠑⠀⠓"),
    ],
)
def test_what_joins_letters_or_tells_which_form_is_meant_is_in_an_id(text: str) -> None:
    assert check_identifier(text, "the key") == text


@pytest.mark.parametrize("text", [" ", "   ", "\u00a0", "\u3000", "\u2800", " \u2003\u2800 "])
def test_nobody_sees_an_id_of_blanks(text: str) -> None:
    for check in (check_identifier, check_reason):
        with pytest.raises(InvalidIdentifier, match="expected text that can be seen, found only blanks"):
            check(text, "the key")


@pytest.mark.parametrize("text", ["\u0301", "\u0301x", "\u20e3", "\u093f"])
def test_no_id_begins_with_what_is_drawn_onto_the_text_before_it(text: str) -> None:
    with pytest.raises(InvalidIdentifier, match=f"found U\\+{ord(text[0]):04X} at its beginning"):
        check_identifier(text, "the key")


class Kind(str, enum.Enum):  # noqa: UP042 - of this kind there are many
    GIFT = "gift"


class Lying(str):  # noqa: SLOT000
    """Text that says of itself what it is not."""

    def isascii(self) -> bool:
        return True

    def isprintable(self) -> bool:
        return True

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("check", [check_identifier, check_reason, check_lookup])
def test_a_kind_of_text_is_the_text_that_stands_in_it(check: Callable[[str, str], str]) -> None:
    assert type(check(Kind.GIFT, "the key")) is str
    assert check(Kind.GIFT, "the key") == "gift"
    with pytest.raises(InvalidIdentifier, match=r"U\+001B"):
        check(Lying("a\x1bb"), "the key")


@pytest.mark.parametrize("text", ["order-1", "Bestellung Nr. 7", "日本　東京", "نظام", "👩‍🚒", "a" * 500, "é" * 250])
def test_what_people_write_is_an_id(text: str) -> None:
    assert check_identifier(text, "the key") == text


@pytest.mark.parametrize("text", ["", "a" * 501, "é" * 251, "日" * 167, "😀" * 126])
def test_an_id_is_as_long_as_its_bytes(text: str) -> None:
    with pytest.raises(InvalidIdentifier, match=f"expected 1 to 500 bytes of UTF-8, found {len(text.encode())}"):
        check_identifier(text, "the key")


@given(st.text(max_size=600))
def test_an_id_that_is_taken_has_bytes_that_an_index_holds(text: str) -> None:
    try:
        check_identifier(text, "the key")
    except InvalidIdentifier:
        return
    assert 1 <= len(text.encode()) <= LONGEST_ID
    assert len(text.splitlines()) == 1


def test_a_reason_is_in_no_index_and_has_as_many_characters_as_before() -> None:
    assert check_reason("日" * 4000, "the reason")
    for wrong in ("", "x" * 4001, "fixed\nBY ROOT", "fixed \x9b2J", "fixed \u202e"):
        with pytest.raises(InvalidIdentifier, match="the reason"):
            check_reason(wrong, "the reason")


@pytest.mark.parametrize("stored", ["😀" * 500, "a\x9bb", "a\u202eb", "a\u2028b", "a\u200bb", "\u2060", "\u0301", " "])
def test_what_older_versions_stored_can_still_be_asked_for(stored: str) -> None:
    assert check_lookup(stored, "the id or key") == check_recorded(stored, "the key") == stored


@pytest.mark.parametrize("text", ["", "x" * 501, "a\x1bb", "a\ud800"])
def test_what_no_version_stored_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        check_lookup(text, "the id or key")


class Long(Event):
    NAME = "é" * 101


def test_a_name_of_messages_is_checked_where_they_are_declared() -> None:
    with pytest.raises(DefinitionError, match="the class Long: expected 1 to 200 bytes of UTF-8, found 202; give it"):
        Vocabulary([("here", Long)])


@pytest.mark.parametrize("source", ["", "x" * 201, "é" * 101, "shop\n", "shop\u202e"])
def test_a_source_that_no_message_could_have_is_refused_as_a_setting(source: str) -> None:
    with pytest.raises(InvalidSettings, match=r"source \(SAGALOG_SOURCE\): expected "):
        Settings(source=source)
