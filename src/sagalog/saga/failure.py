"""What somebody's exception says, as text that can be kept: it survives exceptions that do not survive being asked."""

LONGEST_TEXT = 4000
LONGEST_TYPE = 200


def type_of(problem: BaseException) -> str:
    """Return the name of the class of an exception."""
    return type(problem).__name__[:LONGEST_TYPE]


def text_of(problem: BaseException) -> str:
    """Return what an exception says; why it says nothing, if asking it raises or gives no text.

    The text can be kept by every store: it has neither NUL nor lone surrogates, and at most 4,000 characters.
    """
    try:
        said = str(problem)
    except BaseException as second:
        # `__str__` is the user's code, or that of a native extension: nothing it does may be worse than what it is of.
        said = f"({type_of(problem)} cannot say what happened: its text raised {type_of(second)})"
    return said[:LONGEST_TEXT].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()[:LONGEST_TEXT]


def described(problem: BaseException) -> str:
    """Return an exception's class and text in one line of prose."""
    said = text_of(problem)
    return f"{type_of(problem)}: {said}" if said else type_of(problem)
