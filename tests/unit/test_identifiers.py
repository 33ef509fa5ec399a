"""What an id, a key and a name may hold: what forges text where it is shown is refused, and bytes are counted."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagalog.errors import DefinitionError, InvalidIdentifier, InvalidSettings
from sagalog.messages import Event
from sagalog.saga.identifiers import LONGEST_ID, check_identifier, check_lookup, check_reason
from sagalog.saga.vocabulary import Vocabulary
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


@pytest.mark.parametrize("stored", ["😀" * 500, "a\x9bb", "a\u202eb", "a\u2028b"])
def test_what_older_versions_stored_can_still_be_asked_for(stored: str) -> None:
    assert check_lookup(stored, "the id or key") == stored


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
