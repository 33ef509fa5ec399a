"""What somebody's exception says, as text that can be kept: it survives exceptions that do not survive being asked.

Whatever is asked of an exception here may run the user's code, or that of a native extension; none of it is let out.
"""

from collections.abc import Callable, Sequence

from sagalog.harmless import harmless

LONGEST_TEXT = 4000
LONGEST_TYPE = 200
# So much of a text is looked at: a secret that would be cut in two at the cap is still found whole.
LOOKED_AT = 100_000
# So many exceptions of a group are looked at, however they are nested.
MOST_LEAVES = 10_000
MENTIONED = 5

# What Python says in the place of a `StopIteration` or a `StopAsyncIteration`.
_IN_PLACE_OF_STOP = [
    (f"{what} raised {which}",)
    for what in ("coroutine", "generator", "async generator")
    for which in ("StopIteration", "StopAsyncIteration")
]

# Takes a text that somebody's exception made, and returns it without what is not to be kept or shown.
Redact = Callable[[str], str]

# Asked of the classes and not of the exceptions, which may answer by code of their own.
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__
_held_by: Callable[[BaseException], Sequence[BaseException]] = BaseExceptionGroup.__dict__["exceptions"].__get__


class Carried(Exception):
    """An exception in the place of one that no future and no coroutine can pass on as it is.

    `StopIteration` means their own end, and what is no `Exception` would end more than what raised it.
    """

    def __init__(self, problem: BaseException) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return described(self.problem)


def type_of(problem: BaseException) -> str:
    """Return the name of the class of an exception."""
    return harmless(_name_of(type(problem))[:LONGEST_TYPE])


def text_of(problem: BaseException, redact: Redact | None = None) -> str:
    """Return what an exception says; why it says nothing, if asking it raises or gives no text.

    The text can be kept by every store: it has neither NUL nor lone surrogates, and at most 4,000 characters.
    """
    try:
        # A `__str__` may return a subclass of `str`, with methods of its own.
        said = str.__getitem__(str(problem), slice(LOOKED_AT))
    except BaseException as second:
        # `__str__` is the user's code, or that of a native extension: nothing it does may be worse than what it is of.
        said = f"({type_of(problem)} cannot say what happened: its text raised {type_of(second)})"
    return storable(redacted(said, redact))


def named(problem: BaseException, redact: Redact | None = None) -> tuple[str, str]:
    """Return the class and the text of an exception; of a group, those of the first it holds, and what is beside it."""
    first, *others = leaves_of(problem)
    return type_of(first), f"{text_of(first, redact)}{mentioned(others, redact)}"


def described(problem: BaseException, redact: Redact | None = None) -> str:
    """Return an exception's class and text in one line of prose; a group is what it holds."""
    kind, said = named(problem, redact)
    return f"{kind}: {said}" if said else kind


def storable(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return text that every store can keep: without NUL and lone surrogates, at most `longest` characters."""
    return text[:longest].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()[:longest]


def redacted(text: str, redact: Redact | None) -> str:
    """Return what `redact` leaves of a text; nothing of the text, if it raises or returns something else."""
    if redact is None:
        return text
    try:
        left: object = redact(text)
        if isinstance(left, str):
            return str.__getitem__(left, slice(LOOKED_AT))
        found = _name_of(type(left))
    except BaseException as second:
        let_interrupts_through(second)
        # Its text may well repeat what it was given.
        return f"(withheld: redact= raised {type_of(second)})"
    return f"(withheld: redact= returned {found}, expected str)"


def leaves_of(problem: BaseException) -> list[BaseException]:
    """Return the exceptions that a group holds, however deep, in their order; the exception itself if it is none."""
    found: list[BaseException] = []
    left = [problem]
    while left and len(found) < MOST_LEAVES:
        one = cause_of(left.pop())
        if is_a(one, BaseExceptionGroup):
            left += reversed(_held_by(one))
        else:
            found.append(one)
    return found


def cause_of(problem: BaseException) -> BaseException:
    """Return the exception that was raised, where Python or we had to put another one in its place.

    A `StopIteration` that leaves a coroutine or a generator becomes a `RuntimeError`.
    """
    problem = uncarried(problem)
    if type(problem) is RuntimeError and problem.args in _IN_PLACE_OF_STOP and problem.__cause__ is not None:
        return problem.__cause__
    return problem


def uncarried(problem: BaseException) -> BaseException:
    """Return what an exception was before it had to be carried."""
    return problem.problem if type(problem) is Carried else problem


def mentioned(others: Sequence[BaseException], redact: Redact | None = None) -> str:
    """Return in one phrase what else was raised beside what decided; nothing if there was nothing else."""
    if not others:
        return ""
    shown = "; ".join(described(one, redact)[:LONGEST_TYPE] for one in others[:MENTIONED])
    more = f"; and {len(others) - MENTIONED} more" if len(others) > MENTIONED else ""
    return f" (beside it: {shown}{more})"


def is_a(problem: object, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """Tell of which kind an exception is by its class alone: its `__class__` may be a property that raises."""
    return issubclass(type(problem), kinds)


def let_interrupts_through(problem: BaseException) -> None:
    """Raise a `KeyboardInterrupt` that a person may have caused, also one in a group: the process is to end."""
    if is_a(problem, Exception):
        return
    for one in leaves_of(problem):
        if is_a(one, KeyboardInterrupt):
            raise one
