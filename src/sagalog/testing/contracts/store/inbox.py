"""The part of the store contract about inboxes: who takes which message, in which order, and only once."""

from functools import partial

from msgspec.structs import replace

from sagalog.messages import Envelope
from sagalog.store import InboxRow, Note, Posting, Store, UnmatchedQuery
from sagalog.testing.contracts.store.appending import TRICKY_TEXT, at_once
from sagalog.testing.contracts.store.claiming import claimed, ids, working
from sagalog.testing.contracts.store.message_samples import (
    PAYMENTS,
    event,
    for_saga,
    ids_of,
    published,
    put,
    requesting,
    unmatched,
    waiting,
)
from sagalog.testing.contracts.store.samples import NOW, SECOND, ending, following, lease, start

END = NOW + 10 * SECOND


def note(message_id: str, **fields: object) -> Envelope:
    """Return a note from one saga to another."""
    return event(message_id, {"about": "the child"}, kind="note", name="ChildEnded", **fields)


class InboxContract:
    """Inboxes of sagas and of participants."""

    def test_the_owner_of_a_saga_is_told_what_came_for_it(self, store: Store) -> None:
        working(store, "w1", "w2")
        mine, other = start(owner="w1"), start(owner="w2")
        store.append([mine, other])
        first, second, third = published(store, event(), event(), event())
        rows = [for_saga(first, mine.saga_id), for_saga(second, other.saga_id), for_saga(third, mine.saga_id)]
        put(store, *rows[::-1])
        assert store.mail("w1", 10) == [(rows[0], first[1]), (rows[2], third[1])]
        assert store.mail("w1", 1) == [(rows[0], first[1])]
        assert ids_of(store.mail("w2", 10)) == [second[1].id]
        assert store.mail("nobody", 10) == []

    def test_mail_of_some_is_left_out_and_who_has_any_is_told_without_it(self, store: Store) -> None:
        working(store, "w1", "w2")
        first, second, other, without = start(owner="w1"), start(owner="w1"), start(owner="w2"), start(owner="w1")
        store.append([first, second, other, without])
        places = published(store, event(), event(), event(), event())
        whose = [second, first, second, other]
        put(store, *[for_saga(place, one.saga_id) for place, one in zip(places, whose, strict=True)])
        assert store.mailed("w1", 10) == ids([second, first])
        assert store.mailed("w1", 1) == ids([second])
        assert store.mailed("w1", 10, ids([second])) == ids([first])
        assert store.mailed("nobody", 10) == []
        assert ids_of(store.mail("w1", 10, ids([second]))) == [places[1][1].id]
        assert ids_of(store.mail("w1", 10, ids([first]))) == [places[0][1].id, places[2][1].id]

    def test_mail_of_one_saga_comes_in_the_order_of_the_log(self, store: Store) -> None:
        """Invariant 36: later inputs are held in order."""
        mine = start(owner="w1")
        store.append([mine])
        messages = published(store, *[event() for _ in range(20)])
        put(store, *[for_saga(one, mine.saga_id) for one in messages[10:]])
        put(store, *[for_saga(one, mine.saga_id) for one in messages[:10]])
        assert ids_of(store.mail("w1", 100)) == [envelope.id for _, envelope in messages]

    def test_what_is_here_already_stays_the_first_of_its_lane_if_it_is_put_again_from_an_earlier_place(
        self, store: Store
    ) -> None:
        """A message that is in the log twice: the second one is here, and a person redelivers the first."""
        begun = start()
        once, other = requesting(begun), event()
        again = requesting(once)
        again = replace(again, messages=once.messages, events=[again.events[0], once.events[1]])
        assert store.append([begun]) + store.append([once]) + store.append([again]) == ["written"] * 3
        earlier, later = store.read_messages(0, 10)
        assert earlier[0] < later[0]
        put(store, waiting(later))
        put(store, waiting(earlier))
        behind = published(store, replace(other, correlation_id=later[1].correlation_id))
        put(store, *map(waiting, behind))
        assert ids_of(store.inbox(PAYMENTS, NOW, 10)) == [later[1].id]
        store.post([Posting(taken=(PAYMENTS, later[1].id))])
        assert ids_of(store.inbox(PAYMENTS, NOW, 10)) == [behind[0][1].id]

    def test_a_decision_and_what_it_took_are_one(self, store: Store) -> None:
        """Invariants 5 and 7."""
        mine = start(owner="w1")
        store.append([mine])
        first, second = published(store, event(), event())
        put(store, for_saga(first, mine.saga_id), for_saga(second, mine.saga_id))
        taking = replace(requesting(mine, holder="w1"), taken=[first[1].id])
        assert store.append([taking, start()]) == ["written", "written"]
        assert ids_of(store.mail("w1", 10)) == [second[1].id]
        assert store.append([taking]) == ["written"]
        assert ids_of(store.mail("w1", 10)) == [second[1].id]

    def test_a_decision_that_took_what_is_not_there_is_a_conflict_and_writes_nothing(self, store: Store) -> None:
        """Invariant 7: what was taken once is not taken again."""
        mine, other = start(owner="w1"), start(owner="w1")
        store.append([mine, other])
        first, second = published(store, event(), event())
        put(store, for_saga(first, mine.saga_id), for_saga(second, other.saga_id))
        wrong = replace(requesting(mine, holder="w1"), taken=[first[1].id, "never came"])
        another = replace(following(mine, holder="w1"), taken=[second[1].id])
        fine = replace(requesting(other, holder="w1"), taken=[second[1].id])
        assert store.append([start(), wrong, fine, another]) == ["written", "conflict", "written", "conflict"]
        assert ids_of(store.mail("w1", 10)) == [first[1].id]
        assert [event.version for event in store.read(mine.saga_id)] == [1]
        assert store.commands_of(mine.saga_id) == []
        assert len(store.commands_of(other.saga_id)) == 1

    def test_of_two_that_take_the_same_one_is_written(self, store: Store, peer: Store) -> None:
        """Invariant 7: the loser must look again."""
        sagas = [start(owner="w1") for _ in range(10)]
        store.append(sagas)
        messages = published(store, *[event() for _ in sagas])
        put(store, *[for_saga(one, saga.saga_id) for one, saga in zip(messages, sagas, strict=True)])

        def take(side: Store) -> list[str]:
            batch = [
                replace(following(saga, holder="w1"), taken=[one[1].id])
                for saga, one in zip(sagas, messages, strict=True)
            ]
            return list(side.append(batch))

        outcomes = at_once([partial(take, side) for side in (store, peer) * 3])
        assert [sorted(each) for each in zip(*outcomes, strict=True)] == [["conflict"] * 5 + ["written"]] * 10
        assert store.mail("w1", 99) == []

    def test_a_saga_that_nobody_owns_is_given_when_something_came_for_it(self, store: Store) -> None:
        """Invariants 20 and 32: whatever its status is, and even if it is not due."""
        working(store, "w1", "w2")
        later, ended, stuck, quiet = start(due_at=NOW + SECOND), start(), start(), start(due_at=NOW + SECOND)
        store.append([later, ended, stuck, quiet])
        store.append([ending(ended), ending(stuck, "stuck")])
        assert claimed(store, "w1") == []
        first, second, third = published(store, event(), event(), event())
        put(store, for_saga(first, ended.saga_id), for_saga(second, stuck.saga_id), for_saga(third, later.saga_id))
        assert sorted(claimed(store, "w2")) == sorted(ids([ended, stuck, later]))
        assert claimed(store, "w1") == []
        assert ids_of(store.mail("w2", 10)) == [first[1].id, second[1].id, third[1].id]
        taking = replace(following(ending(ended), holder="w2", owner=None, due_at=None), taken=[first[1].id])
        assert store.append([taking]) == ["written"]
        assert claimed(store, "w1") == []

    def test_what_is_due_comes_before_what_has_mail_and_no_saga_comes_twice(self, store: Store) -> None:
        working(store, "w1")
        due, mailed, both = start(due_at=NOW - 1), start(due_at=None), start(due_at=NOW)
        store.append([due, mailed, both])
        first, second = published(store, event(), event())
        put(store, for_saga(first, mailed.saga_id), for_saga(second, both.saga_id))
        assert claimed(store, "w1", limit=2) == ids([due, both])
        assert claimed(store, "w1", limit=2) == ids([mailed])
        assert claimed(store, "w1", limit=2) == []

    def test_a_saga_with_mail_is_given_to_those_who_have_its_definition_only(self, store: Store) -> None:
        """Invariant 41."""
        working(store, "w1")
        other = start(due_at=None, definition="another")
        store.append([other])
        [place] = published(store, event())
        put(store, for_saga(place, other.saga_id))
        assert claimed(store, "w1") == []
        assert [row.saga_id for row in store.claim("w1", ["another"], NOW, 9)] == ids([other])

    def test_mail_for_a_saga_that_is_not_there_yet_waits_for_it(self, store: Store) -> None:
        working(store, "w1")
        begun = start(owner="w1")
        [place] = published(store, event())
        put(store, for_saga(place, begun.saga_id))
        assert (store.mail("w1", 10), claimed(store, "w1")) == ([], [])
        store.append([begun])
        assert ids_of(store.mail("w1", 10)) == [place[1].id]

    def test_of_workers_that_race_for_sagas_with_mail_each_saga_gets_one(self, store: Store, peer: Store) -> None:
        workers = [f"w{number}" for number in range(4)]
        working(store, *workers)
        sagas = [start(due_at=None) for _ in range(40)]
        store.append(sagas)
        messages = published(store, *[event() for _ in range(80)])
        put(store, *[for_saga(one, sagas[number % 40].saga_id) for number, one in enumerate(messages)])

        def claim(side: Store, worker_id: str) -> list[str]:
            return [*claimed(side, worker_id, limit=9), *claimed(side, worker_id, limit=9), *claimed(side, worker_id)]

        given = at_once([partial(claim, *one) for one in zip([store, peer] * 2, workers, strict=True)])
        assert sorted(saga_id for each in given for saga_id in each) == sorted(ids(sagas))

    def test_a_note_from_one_saga_reaches_another(self, store: Store) -> None:
        """Invariants 5 and 28: it is sent with the decision, or not at all."""
        parent, child = start(owner="w1"), start(owner="w2")
        store.append([parent, child])
        told = note("n-1", correlation_id=TRICKY_TEXT)
        telling = replace(following(child, holder="w2"), notes=[Note(parent.saga_id, told)])
        assert store.append([replace(telling, holder="w9")]) == ["conflict"]
        assert store.mail("w1", 10) == []
        assert store.append([telling]) == store.append([telling]) == ["written"]
        last = store.read(child.saga_id)[-1].position
        row = InboxRow(parent.saga_id, "n-1", parent.saga_id, "ChildEnded", NOW, NOW, position=last)
        assert store.mail("w1", 10) == [(row, told)]
        assert (store.find_message("n-1"), store.read_messages(0, 10)) == (None, [])

    def test_a_note_that_was_taken_is_not_brought_back_by_a_lost_acknowledgement(self, store: Store) -> None:
        """Invariant 7."""
        parent, child = start(owner="w1"), start(owner="w2")
        store.append([parent, child])
        telling = replace(following(child, holder="w2"), notes=[Note(parent.saga_id, note("n-1"))])
        store.append([telling])
        taking = replace(following(parent, holder="w1"), taken=["n-1"])
        assert store.append([taking]) == store.append([telling]) == ["written"]
        assert store.mail("w1", 10) == []

    def test_a_note_wakes_a_saga_that_nobody_owns(self, store: Store) -> None:
        """Invariant 28: the child of a saga that has ended is compensated too."""
        working(store, "w1")
        ended, parent = start(), start(owner="w1")
        store.append([ended, ending(ended), parent])
        telling = replace(following(parent, holder="w1"), notes=[Note(ended.saga_id, note("n-1"))])
        store.append([telling])
        assert claimed(store, "w1") == ids([ended])
        assert ids_of(store.mail("w1", 10)) == ["n-1"]

    def test_notes_and_messages_are_told_in_the_order_of_the_log(self, store: Store) -> None:
        parent, child = start(owner="w1"), start(owner="w2")
        store.append([parent, child])
        [before] = published(store, event())
        telling = replace(following(child, holder="w2"), notes=[Note(parent.saga_id, note("n-1"))])
        store.append([telling])
        [after] = published(store, event())
        put(store, for_saga(after, parent.saga_id), for_saga(before, parent.saga_id))
        assert ids_of(store.mail("w1", 10)) == [before[1].id, "n-1", after[1].id]

    def test_a_participant_is_given_the_first_row_of_each_lane(self, store: Store) -> None:
        """Invariant 36."""
        messages = published(store, *[event(correlation_id=f"c-{number % 3}") for number in range(9)])
        put(store, *[waiting(one) for one in messages], waiting(messages[0], "participant:other"))
        assert store.inbox(PAYMENTS, NOW, 10) == [(waiting(one), one[1]) for one in messages[:3]]
        assert ids_of(store.inbox(PAYMENTS, NOW, 2)) == [envelope.id for _, envelope in messages[:2]]
        assert ids_of(store.inbox("participant:other", NOW, 10)) == [messages[0][1].id]
        assert store.inbox("participant:none", NOW, 10) == []

    def test_the_next_of_a_lane_comes_when_the_first_was_taken(self, store: Store) -> None:
        first, second, other = published(store, event(), event(), event(correlation_id="c-2"))
        put(store, waiting(first), waiting(second), waiting(other))
        answer = event(causation_id=first[1].id)
        assert store.post([Posting([answer], taken=(PAYMENTS, first[1].id))]) == ["written"]
        assert ids_of(store.inbox(PAYMENTS, NOW, 10)) == [second[1].id, other[1].id]
        assert store.find_message(answer.id) is not None

    def test_what_was_taken_is_not_taken_again_and_nothing_of_it_is_written(self, store: Store) -> None:
        """Invariant 7: the results of the second attempt are not published."""
        [first, second] = published(store, event(), event())
        put(store, waiting(first), waiting(second))
        once, twice, other, alone = event(), event(), event(), event()
        outcomes = store.post(
            [
                Posting([once], taken=(PAYMENTS, first[1].id)),
                Posting([twice], taken=(PAYMENTS, first[1].id), parked=unmatched(first), delivered=["c"]),
                Posting([other], taken=(PAYMENTS, second[1].id)),
                Posting([alone]),
            ]
        )
        assert outcomes == ["written", "conflict", "written", "written"]
        assert ids_of(store.read_messages(second[0], 10)) == [once.id, other.id, alone.id]
        assert store.unmatched(UnmatchedQuery()) == []
        assert store.post([Posting([event()], taken=(PAYMENTS, first[1].id))]) == ["conflict"]
        assert store.post([Posting([event()], retry=waiting(first, attempts=1))]) == ["conflict"]

    def test_a_message_of_a_posting_that_is_not_written_may_come_with_another(self, store: Store) -> None:
        one = event()
        assert store.post([Posting([one], taken=(PAYMENTS, "gone")), Posting([one])]) == ["conflict", "written"]
        assert ids_of(store.read_messages(0, 10)) == [one.id]

    def test_of_two_workers_that_handled_the_same_message_one_is_heard(self, store: Store, peer: Store) -> None:
        """Invariant 7: a worker that does not know yet that another took over."""
        messages = published(store, *[event(correlation_id=f"c-{number}") for number in range(20)])
        put(store, *[waiting(one) for one in messages])

        def handle(side: Store, worker: int) -> list[str]:
            batch = [Posting([event(f"{worker}-{one.id}")], taken=(PAYMENTS, one.id)) for _, one in messages]
            return list(side.post(batch))

        sides = [store, peer] * 2
        outcomes = at_once([partial(handle, side, number) for number, side in enumerate(sides)])
        assert [sorted(each) for each in zip(*outcomes, strict=True)] == [["conflict"] * 3 + ["written"]] * 20
        assert len(store.read_messages(messages[-1][0], 999)) == 20
        assert store.inbox(PAYMENTS, NOW, 99) == []

    def test_a_message_that_is_to_be_tried_again_comes_when_it_is_due_and_holds_its_lane(self, store: Store) -> None:
        """Invariant 36."""
        first, second, other = published(store, event(), event(), event(correlation_id="c-2"))
        put(store, waiting(first), waiting(second), waiting(other))
        later = waiting(first, attempts=1, due_at=NOW + SECOND, error_type="Busy", error_text=TRICKY_TEXT)
        assert store.post([Posting(retry=later)]) == ["written"]
        assert ids_of(store.inbox(PAYMENTS, NOW + SECOND - 1, 10)) == [other[1].id]
        assert store.inbox(PAYMENTS, NOW + SECOND, 10) == [(later, first[1]), (waiting(other), other[1])]

    def test_a_retry_changes_nothing_but_how_it_went(self, store: Store) -> None:
        [first] = published(store, event())
        put(store, waiting(first))
        odd = waiting(first, attempts=1, lane="another", name="Another", arrived_at=1, position=99)
        assert store.post([Posting(retry=odd)]) == ["written"]
        assert store.inbox(PAYMENTS, NOW, 10) == [(waiting(first, attempts=1), first[1])]

    def test_a_late_worker_does_not_undo_what_another_has_tried(self, store: Store) -> None:
        [first] = published(store, event())
        put(store, waiting(first))
        tried = waiting(first, attempts=3, due_at=NOW + 3)
        assert store.post([Posting(retry=tried)]) == store.post([Posting(retry=tried)]) == ["written"]
        assert store.post([Posting([event("late")], retry=waiting(first, attempts=1))]) == ["conflict"]
        assert store.inbox(PAYMENTS, NOW + 3, 10) == [(tried, first[1])]
        assert store.find_message("late") is None

    def test_a_parked_message_holds_its_lane_and_no_other(self, store: Store) -> None:
        """Invariant 36: it is neither acknowledged nor skipped."""
        first, second, other = published(store, event(), event(), event(correlation_id="c-2"))
        put(store, waiting(first), waiting(second), waiting(other))
        row = unmatched(first, PAYMENTS)
        parked = waiting(first, status="parked", attempts=5)
        assert store.post([Posting(retry=parked, parked=row)]) == ["written"]
        assert ids_of(store.inbox(PAYMENTS, END, 10)) == [other[1].id]
        assert store.unmatched(UnmatchedQuery()) == [row]

    def test_redelivering_a_parked_message_makes_it_the_first_of_its_lane_again(self, store: Store) -> None:
        first, second = published(store, event(), event())
        put(store, waiting(first), waiting(second))
        row = unmatched(first, PAYMENTS)
        store.post([Posting(retry=waiting(first, status="parked", attempts=5, error_type="E"), parked=row)])
        assert store.settle_unmatched(row.unmatched_id, "redelivering", "ann", "mended", END) is True
        assert store.inbox(PAYMENTS, END - 1, 10) == []
        [(again, envelope)] = store.inbox(PAYMENTS, END, 10)
        assert again == waiting(first, attempts=0, due_at=END, error_type="E")
        assert envelope == first[1]
        [settled] = store.unmatched(UnmatchedQuery(statuses=["redelivered"]))
        assert settled == replace(row, status="redelivered", actor="ann", settled_reason="mended", settled_at=END)
        assert store.redelivering([PAYMENTS], 10) == []

    def test_discarding_a_parked_message_lets_its_lane_go_on(self, store: Store) -> None:
        first, second = published(store, event(), event())
        put(store, waiting(first), waiting(second))
        row = unmatched(first, PAYMENTS)
        store.post([Posting(retry=waiting(first, status="parked", attempts=5), parked=row)])
        assert store.settle_unmatched(row.unmatched_id, "discarded", "ann", "not ours", END) is True
        assert ids_of(store.inbox(PAYMENTS, NOW, 10)) == [second[1].id]
        assert store.find_message(first[1].id) is not None
        assert store.settle_unmatched(row.unmatched_id, "redelivering", "ann", "after all", END) is False

    def test_what_is_routed_again_in_vain_can_be_discarded_once(self, store: Store) -> None:
        [first] = published(store, event())
        row = replace(unmatched(first, PAYMENTS), status="redelivering")
        store.post([Posting(parked=row)])
        assert store.settle_unmatched(row.unmatched_id, "redelivering", "ann", "it is already", END) is False
        assert store.settle_unmatched(row.unmatched_id, "discarded", "ann", "not ours", END) is True
        assert store.settle_unmatched(row.unmatched_id, "discarded", "ann", "not ours", END) is False
        assert store.redelivering([PAYMENTS], 10) == []

    def test_discarding_does_not_remove_what_is_being_tried(self, store: Store) -> None:
        [first] = published(store, event())
        put(store, waiting(first))
        row = unmatched(first, PAYMENTS)
        store.post([Posting(parked=row)])
        assert store.settle_unmatched(row.unmatched_id, "discarded", "ann", "not ours", END) is True
        assert ids_of(store.inbox(PAYMENTS, NOW, 10)) == [first[1].id]

    def test_a_lane_of_many_is_handled_in_order_to_its_end(self, store: Store) -> None:
        messages = published(store, *[event(correlation_id=f"c-{number % 2}") for number in range(40)])
        put(store, *[waiting(one) for one in messages])
        handled: list[str] = []
        while due := store.inbox(PAYMENTS, NOW, 5):
            handled += ids_of(due)
            store.post([Posting(taken=(row.recipient, row.message_id)) for row, _ in due])
        assert handled == [envelope.id for _, envelope in messages]

    def test_a_dead_workers_mail_is_given_with_its_sagas(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + SECOND))
        begun = start(owner="w1", due_at=None)
        store.append([begun])
        [place] = published(store, event())
        put(store, for_saga(place, begun.saga_id), worker_id="w2")
        assert claimed(store, "w2", END - 1) == []
        assert claimed(store, "w2", END) == ids([begun])
        assert ids_of(store.mail("w2", 10)) == [place[1].id]
