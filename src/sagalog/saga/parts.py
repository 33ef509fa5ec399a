"""The names of the parts of a step that is made once for each element: `ship_line[0]`; it knows no step."""

import re

_PART = re.compile(r"(.+)\[(0|[1-9][0-9]{0,5})\]")


def part_name(step: str, number: int) -> str:
    """Return the name of the part of `step` for element `number`, from 0."""
    return f"{step}[{number}]"


def part_of(name: str) -> tuple[str, int] | None:
    """Return the step and the number that a part's name is made of; None for a name that is not made like that."""
    if name[-1:] != "]":
        return None
    found = _PART.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))
