"""Stand-ins for values that nobody may see: equal for equal values, different for different ones, never turned back.

A stand-in is computed from a value by a keyed hash. Whoever has no key can neither turn one back nor check a guess.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import blake2b
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OF_UUID: Final = re.compile(r"(?s)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(.+)", re.IGNORECASE)
_HEX: Final = re.compile(r"([0-9a-f]{2}){16,64}", re.IGNORECASE)
_DATE: Final = r"\d{4}-\d\d-\d\d"
_TIME: Final = re.compile(rf"({_DATE}[T ])?\d\d:\d\d(:\d\d(\.\d{{1,9}})?)?(Z|[+-]\d\d:?\d\d)?")
_DAY: Final = re.compile(_DATE)
_NUMBER: Final = re.compile(r"([+-]?)(\d+)(\.(\d+))?")
_MAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_ADDRESS: Final = re.compile(r"(https?)://\S+", re.IGNORECASE)

# Every JSON parser reads whole numbers up to here exactly.
_LARGEST: Final = 2**53 - 1
# What a saga may hold lies between 1970 and 9999, whatever the time zone.
_FIRST_DAY: Final = date(1970, 1, 2)
_DAYS: Final = (date(9999, 12, 30) - _FIRST_DAY).days
_TRIES: Final = 1_000


class StandIns:
    """The stand-ins of one export, made with its key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # Of short values there are so few that two of them might get the same stand-in.
        self._given: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def text(self, value: str) -> str:
        """Return the stand-in of a text; a number, a date, a time, an id, or an address stays one."""
        if not value:
            return value
        if _UUID.fullmatch(value):
            return self._uuid(value)
        if (found := _OF_UUID.fullmatch(value)) is not None:
            # The id of an effect or a note of a saga begins with the saga's.
            return f"{self._uuid(found[1])}:text-{self._hex(found[2])}"
        if (found := _NUMBER.fullmatch(value)) is not None:
            return self._digits(value, found)
        if _HEX.fullmatch(value):
            return self._cased(value, self._hex(value, len(value)))
        if _DAY.fullmatch(value):
            return self._only(value, lambda number: self._day(number).isoformat())
        if _TIME.fullmatch(value):
            return self._only(value, lambda number: self._time(value, number))
        if _MAIL.fullmatch(value):
            return f"text-{self._hex(value)}@example.com"
        if (found := _ADDRESS.fullmatch(value)) is not None:
            return f"{found[1].lower()}://example.com/{self._hex(value)}"
        return f"text-{self._hex(value)}"

    def number(self, value: float) -> float:
        """Return the stand-in of a number: whole for a whole one, else with a fraction."""
        bits = self._bits(repr(value), "number")
        # Halves are exact, so that they are written and read as they are.
        return bits % _LARGEST + 1 if isinstance(value, int) else bits % 2**48 + 0.5

    def _bits(self, value: str, what: str) -> int:
        return int.from_bytes(blake2b(f"{what}:{value}".encode("utf-8", "surrogatepass"), key=self._key).digest())

    def _hex(self, value: str, length: int = 16) -> str:
        return f"{self._bits(value, 'text'):0128x}"[:length]

    def _uuid(self, value: str) -> str:
        """Return another UUID of the same version and variant."""
        bits = self._hex(value, 32)
        digits = f"{bits[:12]}{value[14]}{bits[13:16]}{value[19]}{bits[17:]}"
        return self._cased(value, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")

    @staticmethod
    def _cased(value: str, stand_in: str) -> str:
        return stand_in.upper() if value.isupper() else stand_in

    def _digits(self, value: str, found: re.Match[str]) -> str:
        """Return another number in digits, with as many behind the point."""
        whole = str(self._bits(value, "digits") % _LARGEST + 1)
        fraction = str(self._bits(value, "fraction"))[: len(found[4] or "")]
        return found[1] + whole + (f".{fraction}" if fraction else "")

    def _only(self, value: str, made: Callable[[int], str]) -> str:
        """Return a stand-in that no other value has, of those that there are few of."""
        known = self._given.get(value)
        if known is not None:
            return known
        for attempt in range(_TRIES):
            stand_in = made(self._bits(value, f"try {attempt}"))
            if stand_in not in self._taken:
                break
        else:
            stand_in = f"text-{self._hex(value)}"
        self._given[value], self._taken[stand_in] = stand_in, value
        return stand_in

    @staticmethod
    def _day(number: int) -> date:
        return _FIRST_DAY + timedelta(days=number % _DAYS)

    def _time(self, value: str, number: int) -> str:
        """Return another time, written in the same way; an offset becomes that of UTC."""
        found = _TIME.fullmatch(value)
        assert found is not None
        day = f"{self._day(number).isoformat()}{found[1][-1]}" if found[1] else ""
        minutes, rest = divmod(number // _DAYS, 10**9)
        hour, minute = divmod(minutes % 1_440, 60)
        seconds = f":{minutes // 1_440 % 60:02}" if found[2] else ""
        fraction = f".{rest:09}"[: len(found[3])] if found[3] else ""
        offset = found[4] or ""
        zone = offset if offset in ("", "Z") else "+00:00" if ":" in offset else "+0000"
        return f"{day}{hour:02}:{minute:02}{seconds}{fraction}{zone}"
