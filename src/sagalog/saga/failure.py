"""Text of exceptions that can be stored, made safely even if the exception itself raises when it is asked.

Asking an exception for its text may run the user's code, or that of a native extension; no exception escapes from it.
"""

from collections.abc import Callable, Sequence

from sagalog.harmless import harmless

LONGEST_TEXT = 4000
LONGEST_TYPE = 200
# More than is kept is looked at, so that a secret across the cut is still found whole and redacted.
LOOKED_AT = 100_000
# The limit of exceptions that are looked at in a group, nested ones included.
MOST_LEAVES = 10_000
MENTIONED = 5

# The texts of the `RuntimeError` that Python raises instead of a `StopIteration` or a `StopAsyncIteration`.
_IN_PLACE_OF_STOP = [
    (f"{what} raised {which}",)
    for what in ("coroutine", "generator", "async generator")
    for which in ("StopIteration", "StopAsyncIteration")
]

# Takes the text of an exception, and returns it without what must not be kept or shown.
Redact = Callable[[str], str]

# Taken from the classes: an instance may answer with code of its own.
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__
_held_by: Callable[[BaseException], Sequence[BaseException]] = BaseExceptionGroup.__dict__["exceptions"].__get__


class Carried(Exception):
    """A wrapper for an exception that futures and coroutines cannot pass on.

    `StopIteration` would end the coroutine itself. What is not an `Exception`, such as `SystemExit`, would end more
    than the task that raised it.
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
    """Return an exception's text, or a text that says why there is none if asking for it raises.

    The text can be stored everywhere: it has neither NUL nor lone surrogates, and at most 4,000 characters.
    """
    try:
        # A `__str__` may return a subclass of `str`, with methods of its own.
        said = str.__getitem__(str(problem), slice(LOOKED_AT))
    except BaseException as second:
        # `__str__` is foreign code; whatever it raises must not hide the original exception.
        said = f"({type_of(problem)} cannot say what happened: its text raised {type_of(second)})"
    return storable(redacted(said, redact))


def named(problem: BaseException, redact: Redact | None = None) -> tuple[str, str]:
    """Return an exception's class name and text; of a group, those of its first exception, mentioning the others."""
    first, *others = leaves_of(problem)
    return type_of(first), f"{text_of(first, redact)}{mentioned(others, redact)}"


def described(problem: BaseException, redact: Redact | None = None) -> str:
    """Return an exception's class and text on one line; a group is described by what it holds."""
    kind, said = named(problem, redact)
    return f"{kind}: {said}" if said else kind


def storable(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return text that every store can keep: without NUL and lone surrogates, at most `longest` characters."""
    return text[:longest].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()[:longest]


def redacted(text: str, redact: Redact | None) -> str:
    """Return the text after `redact`; a placeholder without the text if `redact` raises or returns no str."""
    if redact is None:
        return text
    try:
        left: object = redact(text)
        if isinstance(left, str):
            return str.__getitem__(left, slice(LOOKED_AT))
        found = _name_of(type(left))
    except BaseException as second:
        let_interrupts_through(second)
        # Only the class is named: the text of this exception may repeat the secret.
        return f"(withheld: redact= raised {type_of(second)})"
    return f"(withheld: redact= returned {found}, expected str)"


def leaves_of(problem: BaseException) -> list[BaseException]:
    """Return the exceptions that a group holds, nested ones included, in order; for no group, the exception itself."""
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
    """Return the original exception, where Python or `Carried` replaced it.

    A `StopIteration` that leaves a coroutine or a generator becomes a `RuntimeError`.
    """
    problem = uncarried(problem)
    if type(problem) is RuntimeError and problem.args in _IN_PLACE_OF_STOP and problem.__cause__ is not None:
        return problem.__cause__
    return problem


def uncarried(problem: BaseException) -> BaseException:
    """Return the exception inside a `Carried`; any other exception unchanged."""
    return problem.problem if type(problem) is Carried else problem


def mentioned(others: Sequence[BaseException], redact: Redact | None = None) -> str:
    """Return in one phrase what else was raised; an empty string if nothing was."""
    if not others:
        return ""
    shown = "; ".join(described(one, redact)[:LONGEST_TYPE] for one in others[:MENTIONED])
    more = f"; and {len(others) - MENTIONED} more" if len(others) > MENTIONED else ""
    return f" (beside it: {shown}{more})"


def is_a(problem: object, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """Tell whether an exception is of these kinds, by its type alone: its `__class__` may be a property that raises."""
    return issubclass(type(problem), kinds)


def let_interrupts_through(problem: BaseException) -> None:
    """Raise the first `KeyboardInterrupt` that `problem` is or holds, so that the process ends; otherwise return."""
    if is_a(problem, Exception):
        return
    for one in leaves_of(problem):
        if is_a(one, KeyboardInterrupt):
            raise one
