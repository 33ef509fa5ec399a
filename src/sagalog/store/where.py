"""The language of filters, read: `status=stuck and error~"letter shop" and age>10m`. It reads no clock and no store.

    filter      one or more of `both`, with `or` between
    both        one or more of `single`, with `and` between
    single      `not` single, or `(` filter `)`, or a comparison
    comparison  FIELD (`=` `!=` `<` `<=` `>` `>=` `~` `!~`) VALUE, or FIELD [`not`] `in` `(` VALUE, ... `)`

What a comparison means, by the kind of its field, is in `comparing.py`.
"""

import re
from typing import Final, NamedTuple, NoReturn

from sagalog.errors import InvalidQuery
from sagalog.saga.options import shown
from sagalog.store.comparing import Value, compared, known_field
from sagalog.store.filters import All, AnyOf, Filter, Not

EXAMPLE: Final = """write for example status=stuck and error~"letter shop" and age>10m"""
LONGEST: Final = 20_000
MOST_COMPARISONS: Final = 500
DEEPEST: Final = 50

_WORDS: Final = ("and", "or", "not", "in")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')|(?P<sign>!=|!~|<=|>=|[=<>~(),])"""
    r"""|(?P<word>[^\s=<>~!(),"']+)|(?P<end>\Z)|(?P<wrong>.))""",
    re.DOTALL,
)


class _Token(NamedTuple):
    """A piece of the text; of what stands in quotes, `text` is what is in them."""

    kind: str
    text: str
    at: int


def parse(text: object, now: int) -> Filter:
    """Return the filter that a text says; its ages are those at `now`, in microseconds since the epoch.

    Raises `InvalidQuery`, which names the place, for anything else.
    """
    if not isinstance(text, str):
        raise InvalidQuery(f"where: expected a filter as text, found {shown(text)}; {EXAMPLE}")
    if len(text) > LONGEST:
        raise InvalidQuery(f"where: expected at most {LONGEST:,} characters, found {len(text):,}; narrow it")
    if "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise InvalidQuery("where: expected text, found NUL or a lone surrogate in it, which no saga has; remove it")
    return _Reader(text, now).whole()


class _Reader:
    """Reads a text from its beginning to its end, a token at a time."""

    def __init__(self, text: str, now: int) -> None:
        self._tokens = map(_token, _TOKEN.finditer(text))
        self._next = next(self._tokens)
        self._now, self._depth, self._comparisons = now, 0, 0

    def whole(self) -> Filter:
        found = self._either()
        return found if self._next.kind == "end" else self._fail("and, or, or the end")

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._single()]
        while self._takes("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _single(self) -> Filter:
        self._depth += 1
        # The innermost is a comparison.
        if self._depth > DEEPEST + 1:
            self._fail(f"at most {DEEPEST} of ( and not within each other")
        if self._takes("not"):
            found: Filter = Not(self._single())
        elif self._takes("("):
            found = self._either()
            self._expect(")")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Filter:
        if self._next.kind != "word" or self._is_word():
            self._fail("a field, not or (")
        start = self._take()
        try:
            field = known_field(start.text)
        except ValueError as problem:
            self._fail(str(problem), start)
        negated = self._takes("not")
        if negated or (self._next.kind, self._next.text.lower()) == ("word", "in"):
            self._expect("in")
            found = self._listed(field)
        elif self._next.kind == "sign" and self._next.text not in "(),":
            operator = self._take().text
            negated = operator.startswith("!")
            found = self._compared(field, operator.removeprefix("!"))
        else:
            self._fail(f"one of = != < <= > >= ~ !~ in after {start.text}")
        return Not(found) if negated else found

    def _listed(self, field: str) -> Filter:
        self._expect("(")
        parts = [self._compared(field, "=")]
        while self._takes(","):
            parts.append(self._compared(field, "="))
        self._expect(")")
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _compared(self, field: str, operator: str) -> Filter:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            self._fail(f"at most {MOST_COMPARISONS} comparisons")
        if self._next.kind not in ("word", "text") or self._is_word():
            self._fail(f"a value to compare {field} with (one that is a word of the language stands in quotes)")
        given = self._take()
        try:
            return compared(field, operator, Value(given.text, given.kind == "text"), self._now)
        except (ValueError, InvalidQuery) as problem:
            self._fail(str(problem), given)

    def _is_word(self) -> bool:
        return self._next.kind == "word" and self._next.text.lower() in _WORDS

    def _take(self) -> _Token:
        taken, self._next = self._next, next(self._tokens, self._next)
        return taken

    def _takes(self, wanted: str) -> bool:
        found = self._next.kind in ("word", "sign") and self._next.text.lower() == wanted
        if found:
            self._take()
        return found

    def _expect(self, wanted: str) -> None:
        if not self._takes(wanted):
            self._fail(wanted)

    def _fail(self, what: str, token: _Token | None = None) -> NoReturn:
        """Raise the error for what was not expected here, or, with the token it is about, for what is wrong there."""
        kind, text, at = token or self._next
        if token is None:
            found = "the end" if kind == "end" else shown(text)
            what = f"expected {what}, found {found}"
            if kind == "wrong" and text in "\"'":
                what = f"expected a {text} that ends the text in quotes, found none"
        example = f" W{EXAMPLE[1:]}" if what.endswith("?") else f"; {EXAMPLE}"
        raise InvalidQuery(f"where, at character {at + 1}: {what}{example}") from None


def _token(found: re.Match[str]) -> _Token:
    kind = found.lastgroup or "wrong"
    text = found[kind]
    if kind == "text":
        text = text[1:-1].replace(text[0] * 2, text[0])
    return _Token(kind, text, found.start(kind))
