"""What is said of messages and commands is written with the log and can be computed from it again, on every store."""

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace
from sagas.shipping_orders import (
    CHARGED,
    RELEASED,
    RESERVED,
    SECOND,
    SOLD_OUT,
    begun,
    orders,
    reply,
    sent,
    times_out,
    undoing,
)

from sagalog import Retry
from sagalog.codec import CODEC
from sagalog.engine.cycle import Decision, append_of
from sagalog.errors import DivergentHistory
from sagalog.readmodel.indexing import indexed_pages
from sagalog.readmodel.rebuild import Rebuilt, rebuild
from sagalog.readmodel.verification import differences, index_differences
from sagalog.saga.evolve import evolve
from sagalog.saga.inputs import Input
from sagalog.saga.react import react
from sagalog.saga.state import SagaState
from sagalog.store import Posting, Store
from sagalog.testing.contracts.store.message_samples import event, posted
from sagalog.testing.contracts.store.samples import start
from sagalog.testing.kernel import START, Given

SAGA = orders(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
MINUTE = 60 * SECOND
ID = "saga"

# What a saga is told, and how many seconds after the start.
STORIES: dict[str, list[tuple[Input, int]]] = {
    "completed": [
        (sent("reserve"), 1),
        (reply("reserve", RESERVED), 2),
        (sent("charge"), 3),
        (reply("charge", CHARGED), 4),
    ],
    "refused": [(sent("reserve"), 1), (reply("reserve", SOLD_OUT), 2)],
    "sent twice": [(sent("reserve"), 1), (times_out("reserve"), 61), (sent("reserve", 2), 62)],
    "undone": [
        (sent("reserve"), 1),
        (reply("reserve", RESERVED), 2),
        (sent("charge"), 3),
        (times_out("charge"), 63),
        (sent("charge", 2), 64),
        (times_out("charge", 2), 124),
        (undoing("charge"), 125),
        (undoing("reserve"), 126),
        (reply("reserve", RELEASED, undo=True), 127),
    ],
}


def tell(store: Store, story: Sequence[tuple[Input, int]]) -> Given:
    """Write a saga to the store decision by decision, with messages of others between them."""
    at = begun(SAGA)
    definition = SAGA.definition
    before: SagaState | None = None
    decided = at.events
    for told, seconds in [*story, (None, 0)]:
        after = before
        for one in decided:
            after = evolve(after, one)
        assert after is not None
        append = append_of(Decision(ID, before, after, decided, definition, react(definition, after)), None, None)
        assert store.append([append]) == ["written"]
        store.post([posted(event(), event(causation_id="somebody"))])
        before = after
        if told is not None:
            decided = at.when(told, START + seconds * SECOND).decided()
            at = Given(definition, [*at.events, *decided])
    return at


def everything(store: Store) -> object:
    return store.status(ID), store.steps(ID), store.commands_of(ID), store.read_messages(0, 1000)


def damage(store: Store) -> None:
    """Say of messages and commands what is not so."""
    row = store.status(ID)
    assert row is not None
    odd = [replace(one, status="refused", sendings=9, name="Odd") for one in store.commands_of(ID)[:1]]
    store.rewrite([replace(row, status="started")], [], odd)
    messages = store.read_messages(0, 1000)
    head = store.read_log(0, 1000)[-1].position
    store.reindex(0, head, [(messages[0][0], replace(messages[0][1], name="Odd"))])


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("batch", [1, 50])
def test_a_rebuild_gives_the_commands_and_messages_that_were_written(each_store: Store, story: str, batch: int) -> None:
    """Invariant 45: what is rebuilt equals what was there; how often a command was delivered is not its to say."""
    tell(each_store, STORIES[story])
    first = each_store.commands_of(ID)[0].command_id
    each_store.post([Posting(delivered=[first, first, first])])
    written = everything(each_store)
    damage(each_store)
    assert everything(each_store) != written
    rebuilt = rebuild(each_store, {SAGA.definition.digest: SAGA.definition}, batch)
    assert everything(each_store) == written
    assert rebuilt == Rebuilt(1, 0, len(each_store.read_messages(0, 1000)))
    assert each_store.commands([first])[first].deliveries == 3


def test_commands_of_sagas_whose_definition_is_not_loaded_are_left(each_store: Store) -> None:
    tell(each_store, STORIES["completed"])
    written = everything(each_store)
    assert rebuild(each_store, {}).left == 1
    assert everything(each_store) == written


def _found(store: Store, at: Given) -> list[str] | None:
    row = store.status(ID)
    assert row is not None
    return differences(SAGA.definition, row, store.steps(ID), store.commands_of(ID), at.events)


@pytest.mark.parametrize("story", STORIES)
def test_what_was_written_is_found_equal_to_the_log(each_store: Store, story: str) -> None:
    """Invariant 48."""
    at = tell(each_store, STORIES[story])
    assert _found(each_store, at) == []
    for page in indexed_pages(each_store, 3):
        found = [one for one in each_store.read_messages(page.after, 100) if one[0] <= page.upto]
        assert index_differences(page.messages, found) == []


def test_every_difference_is_found(each_store: Store) -> None:
    at = tell(each_store, STORIES["completed"])
    damage(each_store)
    told = _found(each_store, at) or []
    assert "saga_commands of saga:reserve.status: expected 'succeeded', found 'refused'" in told
    assert "saga_commands of saga:reserve.sendings: expected 1, found 9" in told
    assert "saga_commands of saga:charge: expected a row, found none" in told
    [page] = indexed_pages(each_store, 1000)
    told = index_differences(page.messages, [*each_store.read_messages(0, 1000), (1, event("odd"))])
    first = page.messages[0][0]
    assert f"saga_messages of position {first}.name: expected 'OrderPlaced', found 'Odd'" in told
    assert "saga_messages of position 1: expected no row, found one" in told
    assert sum("found none" in text for text in told) == len(page.messages) - 1


def test_an_index_that_names_what_is_no_message_is_told_in_words(each_store: Store) -> None:
    tell(each_store, STORIES["completed"])
    each_store.reindex(0, 1, [(1, event("odd"))])
    if each_store.name != "memory":
        found = each_store.read_messages(0, 1)
        (told,) = index_differences([], found)
        assert told.startswith("saga_messages of position 1: expected the data of the message odd at position 1")


def test_a_message_of_the_log_that_is_none_is_named_and_the_others_are_rebuilt(each_store: Store) -> None:
    """Invariant 40."""
    odd = start()
    row = replace(odd.status, saga_id="message:odd", definition=SAGA.definition.digest)
    odd = replace(odd, saga_id="message:odd", status=row, events=[("sagalog.MessagePublished.1", b'{"id":7}')])
    each_store.append([odd])
    each_store.post([Posting([event("before"), event("behind")])])
    there = each_store.read_messages(0, 10)
    each_store.reindex(0, 10, [])
    rebuilt = rebuild(each_store, {}, 1)
    assert each_store.read_messages(0, 10) == there
    assert rebuilt.messages == 2
    assert len(rebuilt.damaged) == 1
    assert rebuilt.damaged[0].startswith("expected a message at position 1 of the log, found something else")


def test_a_history_that_makes_no_saga_is_named_and_what_it_sent_stays_as_it_is(each_store: Store) -> None:
    """Invariant 40."""
    tell(each_store, STORIES["completed"])
    odd = start(definition=SAGA.definition.digest)
    each_store.append([odd])
    written = everything(each_store)
    damage(each_store)
    rebuilt = rebuild(each_store, {SAGA.definition.digest: SAGA.definition})
    assert everything(each_store) == written
    assert (rebuilt.sagas, len(rebuilt.damaged)) == (1, 1)
    assert rebuilt.damaged[0].startswith(f"saga {odd.saga_id}: ")


def test_a_message_stream_is_not_decoded_as_a_saga(each_store: Store) -> None:
    """A reader of the whole log meets messages too."""
    each_store.post([posted(event("m-1"))])
    [entry] = each_store.read_log(0, 10)
    with pytest.raises(DivergentHistory):
        CODEC.decode(entry.topic, entry.state)
    assert msgspec.json.decode(entry.state)["id"] == "m-1"
