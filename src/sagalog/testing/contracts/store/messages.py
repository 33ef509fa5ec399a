"""The part of the store contract about messages: in the log once, read in order, written with their causes."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from threading import Event

import msgspec
from msgspec.structs import replace

from sagalog.errors import InvalidIdentifier
from sagalog.store import Append, Posting, Store, UnmatchedQuery
from sagalog.testing.contracts.store.appending import LARGEST_PAYLOAD, TRICKY_TEXT, at_once, numbered, stream_of
from sagalog.testing.contracts.store.message_samples import (
    PAYMENTS,
    command_of,
    event,
    for_saga,
    ids_of,
    posted,
    published,
    put,
    requesting,
    unmatched,
    waiting,
)
from sagalog.testing.contracts.store.samples import NOW, ending, following, sample_event, start

STRANGE_IDS = ("a\0b", "a\ud800b", "", "x" * 500, "ä" * 500, "' OR 1=1 --", "message:m", "c-1\0")


class MessageContract:
    """Messages of the log."""

    def test_a_published_message_is_read_as_it_was(self, store: Store) -> None:
        first = event(causation_id="cause")
        second = event(data={"text": TRICKY_TEXT}, name=TRICKY_TEXT, source=TRICKY_TEXT, correlation_id=TRICKY_TEXT)
        assert store.post([posted(first, second)]) == ["written"]
        read = store.read_messages(0, 10)
        assert [envelope for _, envelope in read] == [first, second]
        assert [store.find_message(one.id) for one in (first, second)] == read
        assert [position for position, _ in read] == [one.position for one in store.read_log(0, 10)]

    def test_a_published_message_is_a_stream_of_the_log(self, store: Store) -> None:
        """One log is the outbox and the inbox."""
        one = event("m-1")
        store.post([posted(one)])
        [entry] = store.read("message:m-1")
        assert (entry.version, entry.topic) == (1, "sagalog.MessagePublished.1")
        assert msgspec.json.decode(entry.state)["data"] == {"order_id": "o-1"}
        assert (store.status("message:m-1"), store.counts()) == (None, [])

    def test_a_message_published_again_is_there_once(self, store: Store) -> None:
        """Invariant 7: also after a lost acknowledgement, in one batch or in many, alone or with new ones."""
        one, other, new = event(), event(), event()
        assert store.post([posted(one, one, other)]) == store.post([posted(one, one, other)]) == ["written"]
        assert store.post([posted(other, new), posted(one), posted(new)]) == ["written"] * 3
        assert ids_of(store.read_messages(0, 10)) == [one.id, other.id, new.id]
        assert len(store.read_log(0, 10)) == 3

    def test_a_message_with_the_id_of_another_does_not_replace_it(self, store: Store) -> None:
        """Invariant 7."""
        first = event("m-1", {"order_id": "o-1"})
        store.post([posted(first)])
        assert store.post([posted(event("m-1", {"order_id": "o-2"}))]) == ["written"]
        assert [envelope for _, envelope in store.read_messages(0, 10)] == [first]

    def test_one_message_published_at_the_same_moment_from_many_sides_is_there_once(
        self, store: Store, peer: Store
    ) -> None:
        """Invariant 7."""
        messages = [event() for _ in range(20)]
        calls = [partial(side.post, [posted(*messages[:10]), posted(*messages[5:])]) for side in (store, peer) * 4]
        assert at_once(calls) == [["written", "written"]] * 8
        assert sorted(ids_of(store.read_messages(0, 1000))) == sorted(one.id for one in messages)

    def test_messages_are_read_in_pages_in_the_order_of_the_log(self, store: Store) -> None:
        sagas = [start() for _ in range(5)]
        store.append(sagas)
        for one in sagas:
            store.append([requesting(one)])
            store.post([posted(event(), event())])
        pages: list[list[int]] = []
        after = 0
        while page := store.read_messages(after, 4):
            pages.append([position for position, _ in page])
            after = page[-1][0]
        assert [len(page) for page in pages] == [4, 4, 4, 3]
        positions = list(chain.from_iterable(pages))
        assert positions == sorted(set(positions)) == [position for position, _ in store.read_messages(0, 99)]
        assert store.read_messages(after, 4) == []

    def test_a_reader_of_messages_skips_none_while_others_write(self, store: Store, peer: Store) -> None:
        """Invariant 43: no position is passed by a message that is committed later, whoever writes it."""
        done = Event()
        written: list[str] = []

        def publish(side: Store, size: int, times: int) -> None:
            for _ in range(times):
                batch = [event() for _ in range(size)]
                side.post([posted(*batch), Posting([event()], taken=("nobody", "nothing"))])
                written.extend(one.id for one in batch)

        def request(side: Store, times: int) -> None:
            for _ in range(times):
                begun = start()
                asked = requesting(begun)
                side.append([begun, following(start()), start()])
                side.append([asked, start()])
                written.append(asked.messages[0][1].id)

        def follow(side: Store) -> None:
            after = 0
            seen: list[str] = []
            while True:
                ended = done.is_set()
                page = side.read_messages(after, 50)
                seen += ids_of(page)
                after = page[-1][0] if page else after
                if not page and ended:
                    break
            assert sorted(seen) == sorted(written)

        def write_all() -> None:
            try:
                at_once(
                    [
                        partial(publish, store, 100, 8),
                        partial(publish, peer, 1, 100),
                        partial(request, store, 60),
                        partial(request, peer, 60),
                    ]
                )
            finally:
                done.set()

        calls: list[Callable[[], None]] = [write_all, partial(follow, store), partial(follow, peer)]
        at_once(calls)
        assert len(written) == 8 * 100 + 100 + 120

    def test_a_request_of_a_saga_is_a_message_with_the_data_of_its_event(self, store: Store) -> None:
        """Invariants 3 and 5: everything needed to answer it is durable with it."""
        begun = start(owner="w1")
        asked = requesting(begun, holder="w1")
        assert store.append([begun, asked]) == ["written", "written"]
        [_, _, sent] = store.read(begun.saga_id)
        command = asked.messages[0][1]
        assert store.read_messages(0, 10) == [(sent.position, command)]
        assert store.find_message(command.id) == (sent.position, command)
        row = asked.commands[0]
        assert store.commands([row.command_id, "none"]) == {row.command_id: replace(row, position=sent.position)}

    def test_the_commands_of_several_sagas_are_read_at_once(self, store: Store) -> None:
        begun = [start() for _ in range(3)]
        store.append(begun)
        for one in begun:
            store.append([requesting(one)])
        wanted = [begun[2].saga_id, begun[0].saga_id, start().saga_id]
        found = store.commands_many(wanted)
        assert found == {one: store.commands_of(one) for one in wanted}
        assert [len(found[one]) for one in wanted] == [1, 1, 0]
        assert store.commands_many([]) == {}

    def test_several_messages_of_one_decision_stand_where_their_events_do(self, store: Store) -> None:
        first, second = start(), start()
        store.append([first, second])
        batch: list[Append] = []
        for one in (first, second):
            data = [{"amount": number} for number in range(2)]
            requests = [sample_event("RequestSent", data=each) for each in data]
            decided = following(one, requests[0], sample_event("StepSkipped"), requests[1], sample_event("StepSkipped"))
            sent = [event(f"{one.saga_id}:{number}", each, kind="command") for number, each in enumerate(data)]
            batch.append(replace(decided, messages=[(2, sent[1]), (0, sent[0])]))
        assert store.append(batch) == ["written", "written"]
        found = store.read_messages(0, 10)
        for decided in batch:
            positions = [entry.position for entry in store.read(decided.saga_id)]
            assert [one for one in found if one[0] in positions] == [
                (positions[1], decided.messages[1][1]),
                (positions[3], decided.messages[0][1]),
            ]
        assert len(found) == 4

    def test_an_append_that_is_not_written_leaves_no_message_and_no_command(self, store: Store) -> None:
        """Invariant 5."""
        begun, other = start(owner="w1"), start()
        store.append([begun, other])
        late = requesting(begun, holder="w2")
        fine = requesting(other)
        twice = requesting(start("taken"))
        store.append([start("taken")])
        outcomes = store.append([late, fine, replace(twice, expected=0), start()])
        assert outcomes == ["conflict", "written", "conflict", "written"] or outcomes[2] == "exists"
        assert ids_of(store.read_messages(0, 10)) == [fine.messages[0][1].id]
        assert store.commands_of(begun.saga_id) == store.commands_of(twice.saga_id) == []

    def test_a_request_whose_acknowledgement_was_lost_is_written_once(self, store: Store) -> None:
        """Invariants 6 and 7."""
        begun = start(owner="w1")
        asked = requesting(begun, holder="w1")
        store.append([begun])
        assert store.append([asked]) == store.append([asked, start()])[:1] == ["written"]
        gone_on = ending(asked, holder="w1")
        assert store.append([gone_on]) == store.append([asked]) == ["written"]
        assert stream_of(store, begun) == numbered(begun, asked, gone_on)
        assert len(store.read_messages(0, 10)) == len(store.commands_of(begun.saga_id)) == 1

    def test_appends_with_and_without_messages_go_in_one_batch(self, store: Store) -> None:
        sagas = [start() for _ in range(40)]
        store.append(sagas)
        batch = [requesting(one) if number % 3 else following(one) for number, one in enumerate(sagas)]
        batch[7] = following(start())
        assert store.append(batch) == ["written"] * 7 + ["conflict"] + ["written"] * 32
        asked = [one for one in batch if one.messages]
        assert ids_of(store.read_messages(0, 99)) == [one.messages[0][1].id for one in asked]
        for one in asked:
            last = store.read(one.saga_id)[-1].position
            assert store.commands_of(one.saga_id) == [replace(one.commands[0], position=last)]

    def test_a_command_that_is_sent_again_is_found_where_it_was_sent_first(self, store: Store) -> None:
        begun = start()
        asked = requesting(begun)
        again = requesting(asked, data={"amount": 12})
        again = replace(again, commands=[replace(again.commands[0], sendings=2)])
        store.append([begun, asked, again])
        assert ids_of(store.read_messages(0, 10)) == [asked.messages[0][1].id] * 2
        found = store.find_message(asked.messages[0][1].id)
        assert found == store.read_messages(0, 10)[0]
        [row] = store.commands_of(begun.saga_id)
        assert (row.sendings, row.position) == (2, store.read(begun.saga_id)[-1].position)

    def test_nobody_publishes_a_message_with_the_id_of_a_sagas_command(self, store: Store) -> None:
        """Invariant 7: a command that comes back from a broker is not a second one."""
        begun = start()
        asked = requesting(begun)
        store.append([begun, asked])
        assert store.post([posted(event(asked.messages[0][1].id))]) == ["written"]
        assert [envelope for _, envelope in store.read_messages(0, 10)] == [asked.messages[0][1]]

    def test_what_became_of_a_command_replaces_its_row_but_not_its_deliveries(self, store: Store) -> None:
        begun = start()
        asked = requesting(begun)
        row = asked.commands[0]
        store.append([begun, asked])
        assert store.post([Posting(delivered=[row.command_id, "none"]), Posting(delivered=[row.command_id])]) == [
            "written",
            "written",
        ]
        answered = following(asked)
        done = replace(row, status="succeeded", answered_at=NOW + 5, deliveries=0)
        assert store.append([replace(answered, commands=[done])]) == ["written"]
        last = store.read(begun.saga_id)[-1].position
        assert store.commands([row.command_id])[row.command_id] == replace(done, deliveries=2, position=last)

    def test_the_commands_of_a_saga_come_in_the_order_in_which_they_were_issued(self, store: Store) -> None:
        begun = start()
        rows = [command_of(begun.saga_id, f"step-{number}", issued_at=NOW - number) for number in range(5)]
        store.append([replace(begun, commands=rows), start()])
        assert [row.command_id for row in store.commands_of(begun.saga_id)] == [row.command_id for row in rows[::-1]]
        assert list(store.commands([row.command_id for row in rows[:2]])) != []

    def test_messages_are_found_by_what_they_belong_to(self, store: Store) -> None:
        mine = [event(correlation_id="c-1"), event(correlation_id="c-2"), event(correlation_id="c-1")]
        store.post([posted(*mine, event(correlation_id="other"))])
        assert ids_of(store.messages_of(["c-1"])) == [mine[0].id, mine[2].id]
        assert ids_of(store.messages_of(["c-2", "c-1", "none"])) == [one.id for one in mine]
        assert store.messages_of([]) == []

    def test_an_id_that_is_strange_finds_nothing_and_breaks_nothing(self, store: Store) -> None:
        store.post([posted(event("a"), event("c-1"))])
        for one in STRANGE_IDS:
            assert store.find_message(one) is None
            assert (store.commands([one]), store.commands_of(one), store.messages_of([one])) == ({}, [], [])
            assert (store.sagas_by_key("x", [one]), store.sagas_by_correlation(one, [one])) == ({}, [])
            assert (store.inbox(one, NOW, 9), store.mail(one, 9), store.redelivering([one], 9)) == ([], [], [])
            assert store.settle_unmatched(one, "discarded", "ann", "no", NOW) is False

    def test_an_id_of_500_characters_is_kept(self, store: Store) -> None:
        longest = ["ä" * 500, "🙂" * 500, "'" * 500]
        found = published(store, *[event(one, correlation_id=one, causation_id=one) for one in longest])
        put(store, *[waiting(one) for one in found])
        assert ids_of(store.inbox(PAYMENTS, NOW, 9)) == ids_of(store.messages_of(longest)) == longest

    def test_a_text_that_no_store_can_keep_is_refused_and_nothing_is_written(self, store: Store) -> None:
        fine = event()
        [place] = published(store, event())
        for text in ("a\0b", "a\ud800b"):
            bad = (
                [posted(fine, event(text))],
                [posted(fine), posted(event(name=text))],
                [posted(fine), Posting(parked=unmatched(place, message=text))],
                [posted(fine), Posting(retry=waiting(place, error_text=text))],
            )
            for postings in bad:
                try:
                    outcome = store.post(postings)
                except InvalidIdentifier:
                    continue
                raise AssertionError(f"expected InvalidIdentifier for {postings}, found {outcome}")
        assert store.find_message(fine.id) is None
        assert store.unmatched(UnmatchedQuery(statuses=())) == []

    def test_a_large_message_comes_back_whole(self, store: Store) -> None:
        large = event(data={"text": "ä🙂" * (LARGEST_PAYLOAD // 6)})
        begun = start()
        asked = requesting(begun, data={"text": "🙂" * (LARGEST_PAYLOAD // 4)})
        store.post([posted(large)])
        store.append([begun, asked])
        assert [envelope for _, envelope in store.read_messages(0, 10)] == [large, asked.messages[0][1]]

    def test_a_thousand_messages_fit_in_one_posting_and_a_thousand_postings_in_one_batch(self, store: Store) -> None:
        many = [event() for _ in range(1000)]
        assert store.post([posted(*many)]) == ["written"]
        more = [event() for _ in range(1000)]
        assert store.post([posted(one) for one in more]) == ["written"] * 1000
        assert ids_of(store.read_messages(0, 3000)) == [one.id for one in many + more]

    def test_an_empty_batch_of_postings_writes_nothing(self, store: Store) -> None:
        assert store.post([]) == []
        assert store.post([Posting()]) == ["written"]
        assert store.read_log(0, 10) == []

    def test_sagas_are_found_by_key_and_the_newest_run_is_given(self, store: Store) -> None:
        first, second, other = start("k", run=1), start("k", run=2), start("k", saga="returns")
        alone = start("alone")
        store.append([first, second, other, alone])
        found = store.sagas_by_key("order-fulfilment", ["k", "alone", "none"])
        assert {key: row.saga_id for key, row in found.items()} == {"k": second.saga_id, "alone": alone.saga_id}
        assert found["k"] == store.status(second.saga_id)
        assert store.sagas_by_key("none", ["k"]) == store.sagas_by_key("order-fulfilment", []) == {}

    def test_sagas_are_found_by_what_they_belong_to(self, store: Store) -> None:
        """Invariant 4: with several matches it must be known that there are several."""
        mine = [start(correlation_id="c-1"), start(correlation_id="c-1", saga="returns"), start(correlation_id="c-2")]
        store.append([*mine, start()])
        store.append([ending(mine[0])])
        found = store.sagas_by_correlation(None, ["c-1", "c-2", "none"])
        assert [row.saga_id for row in found] == [one.saga_id for one in mine]
        assert found[0] == store.status(mine[0].saga_id)
        assert [row.saga_id for row in store.sagas_by_correlation("returns", ["c-1", "c-2"])] == [mine[1].saga_id]

    def test_messages_do_not_count_as_sagas(self, store: Store) -> None:
        """Invariant 48."""
        begun = start()
        store.append([begun])
        [place] = published(store, event())
        put(store, for_saga(place, begun.saga_id))
        assert store.counts() == [("order-fulfilment", "started", 1)]
        assert store.unloaded([]) == [("order-fulfilment", 1, begun.status.definition, 1)]
