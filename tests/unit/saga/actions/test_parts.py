"""Actions on the parts of a step that is made for each element: a part may be asked about before anything is known."""

import pytest
from kernel.acts import refused
from kernel.stories import Plan, act, saga_of, start


@pytest.mark.parametrize("name", ["a[0]", "a[2]"])
def test_what_is_asked_of_a_part_that_nothing_is_known_of_is_refused(name: str) -> None:
    """The refusal is an event like any other, so the state after it must be known."""
    story = start(saga_of([Plan("a", elements=3, at_once=1)], [Plan("b")]))
    refused(
        story, act("skip", name), f"an attempt of {name} may be under way" if name == "a[0]" else "not been reached"
    )
    refused(story, act("resolve", name, happened=True), "")
