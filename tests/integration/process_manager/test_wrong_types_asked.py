"""Whatever a process manager is asked with, by whatever mistake, it answers or refuses in a sentence, on each store."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from msgspec import Raw
from sagas.greeting import Greeting, greet, run

from sagalog import Event, Saga
from sagalog.errors import InvalidInput, InvalidQuery, SagalogError, UnknownSaga, WaitTimeout
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore

SAGA = greet()
# On a machine that has much else to do a write may take longer than those settings allow that make tests quick.
PATIENT = Settings(poll=0.01)


class Told(Event):
    text: str


WRONG: dict[str, object] = {
    "a number": 3,
    "a negative number": -3,
    "a fraction": 0.001,
    "no number": float("nan"),
    "a number beyond all": 10**400,
    "a word": "yes",
    "no word": "",
    "bytes": b"yes",
    "None": None,
    "False": False,
    "a list": [],
    "a list of lists": [[]],
    "a mapping": {},
    "a mapping of words": {"a": 1},
    "a class": int,
    "a class of events": Told,
    "an event": Told(text="1"),
    "a timedelta": timedelta(milliseconds=1),
    "a function": lambda: None,
    "another saga": Saga("other", input=int),
    "this saga": SAGA,
    "an input": Greeting("ada"),
    "a path": Path("shop.db"),
    "an object": object(),
}
Call = Callable[..., Awaitable[Any]]
BY = {"id_or_key": "ada", "actor": "bob", "reason": "mended"}
# What each verb needs, but for who acts and why.
VERBS: dict[str, dict[str, Any]] = {
    **{verb: {} for verb in ("cancel", "retry", "resume", "pause", "unpause", "undo", "abandon")},
    "skip": {"step": "greet", "result": None},
    "resolve": {"step": "greet", "happened": True},
    "amend": {"step": "greet", "result": None},
    "reschedule": {"at": 1.0},
    "fork": {"step": "greet"},
}
# How each is asked when nothing is wrong, and the parameters that are tried with what is.
CALLS: dict[str, tuple[Call, dict[str, Any]]] = {
    "start": (ProcessManager.start, {"saga": SAGA, "input": Greeting("ada")}),
    "execute": (ProcessManager.execute, {"saga": SAGA, "input": Greeting("ada")}),
    "result": (ProcessManager.result, {"id_or_key": "ada"}),
    **{verb: (getattr(ProcessManager, verb), BY | of_its_own) for verb, of_its_own in VERBS.items()},
    "preview": (ProcessManager.preview, BY | {"verb": "skip"} | VERBS["skip"]),
    "begin_job": (ProcessManager.begin_job, {"verb": "retry", "where": "status=stuck", "actor": "b", "reason": "m"}),
    "status": (ProcessManager.status, {"id_or_key": "ada"}),
    "find": (ProcessManager.find, {}),
    "steps": (ProcessManager.steps, {"saga_id": "x"}),
    "history": (ProcessManager.history, {"saga_id": "x"}),
    "state": (ProcessManager.state, {"saga_id": "x"}),
    "publish": (ProcessManager.publish, {"event": Told(text="x")}),
    "handle": (ProcessManager.handle, {}),
    "park": (ProcessManager.park, {"raw": b"x", "source": "elsewhere", "reason": "nobody can read it"}),
    "unmatched": (ProcessManager.unmatched, {}),
    "redeliver": (ProcessManager.redeliver, {"unmatched_id": "x", "actor": "bob", "reason": "mended"}),
    "discard": (ProcessManager.discard, {"unmatched_id": "x", "actor": "bob", "reason": "mended"}),
}


def words(call: Call) -> list[str]:
    """Return the names of the parameters of a method, with those of the typed dictionary behind its `**`."""
    found: list[str] = []
    for name, parameter in inspect.signature(call).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            (behind,) = get_args(parameter.annotation)
            found += behind.__annotations__
        elif name != "self":
            found.append(name)
    return found


TABLE = [(name, parameter) for name, (call, _) in CALLS.items() for parameter in words(call)]


@pytest.mark.parametrize(("name", "parameter"), TABLE, ids=[f"{name}({parameter}=)" for name, parameter in TABLE])
def test_whatever_is_asked_is_answered_or_refused_in_a_sentence(
    name: str, parameter: str, each_database: str | Store
) -> None:
    call, usual = CALLS[name]
    failed: list[str] = []

    async def story() -> None:
        async with ProcessManager(each_database, sagas=[SAGA], settings=PATIENT) as manager:
            await manager.execute(SAGA, Greeting("ada"))
            for what, wrong in WRONG.items():
                try:
                    await call(manager, **{**usual, parameter: wrong})
                except SagalogError as problem:
                    text = str(problem)
                    if len(text) > 2_000 or "has no attribute" in text or "object is not" in text:
                        failed.append(f"{what}: says {text[:300]}")
                except Exception as problem:
                    failed.append(f"{what}: {type(problem).__name__}: {str(problem)[:150]}")
            # Whatever was recorded can be read. A saga that is being undone may have come further than its row since.
            for row in await manager.find():
                assert (await manager.state(row.saga_id)).version >= row.version
                assert (await manager.state(row.saga_id, row.version)).status == row.status

    run(story())
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("field", Envelope.__struct_fields__)
def test_whatever_an_envelope_holds_is_taken_or_refused_in_a_sentence(field: str) -> None:
    failed: list[str] = []
    usual: dict[str, Any] = {
        "id": "m-1", "kind": "event", "name": "Told", "source": "elsewhere", "correlation_id": "c-1", "time": 1,
        "causation_id": None, "data": Raw(b'{"text":"x"}'),
    }  # fmt: skip

    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=PATIENT) as manager:
            for what, wrong in WRONG.items():
                try:
                    await manager.handle(Envelope(**cast(Any, {**usual, field: wrong})))
                except SagalogError:
                    pass
                except Exception as problem:
                    failed.append(f"{what}: {type(problem).__name__}: {str(problem)[:150]}")

    run(story())
    assert not failed, "\n".join(failed)


# ---------------------------------------------------------------------------------------------- what is said


def told(ask: Callable[[ProcessManager], Awaitable[object]], kind: type[SagalogError]) -> str:
    """Return what a process manager says to something that it refuses."""

    async def story() -> str:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=PATIENT) as manager:
            await manager.execute(SAGA, Greeting("ada"))
            with pytest.raises(kind) as caught:
                await ask(manager)
            return str(caught.value)

    return run(story())


def test_a_name_in_the_place_of_a_saga_is_refused_and_says_what_to_give() -> None:
    name: Any = "greet"
    text = told(lambda manager: manager.start(name, Greeting("bob")), UnknownSaga)
    assert text == "expected a Saga to start, found 'greet'; a name is not enough, give the saga itself"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("stuk", "write ['stuck']"),
        ("stuck", "write ['stuck']"),
        (["complete"], "write ['completed']"),
        (["x9"], "write for example ['stuck']"),
    ],
)
def test_the_hint_about_statuses_is_right_when_it_is_followed(given: Any, advice: str) -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=PATIENT) as manager:
            with pytest.raises(InvalidQuery) as caught:
                await manager.find(statuses=given)
            assert str(caught.value).endswith(advice)
            assert await manager.find(statuses=cast(Any, [advice.split("'")[1]])) == []

    run(story())


def test_a_saga_is_named_or_given_itself_wherever_one_is_looked_for() -> None:
    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=PATIENT) as manager:
            started = await manager.start(SAGA, Greeting("ada"))
            await started.result(timedelta(seconds=10))
            assert (await manager.status("ada", SAGA)) == (await manager.status("ada", "greet"))
            assert [row.saga_id for row in await manager.find(saga_name=SAGA)] == [started.id]
            with pytest.raises(SagalogError, match="saga greet ada does not allow it: it has ended"):
                await manager.resume("ada", SAGA, actor="bob", reason="mended")

    run(story())


def test_a_time_to_wait_that_is_none_is_refused_before_anything_is_started() -> None:
    soon: Any = "5"

    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[SAGA], settings=PATIENT) as manager:
            with pytest.raises(InvalidQuery, match="timeout: expected seconds or a timedelta"):
                await manager.execute(SAGA, Greeting("ada"), timeout=soon)
            assert await manager.counts() == {}

    run(story())


def test_a_time_to_wait_may_be_a_timedelta() -> None:
    saga = Saga("pausing", input=str, key=lambda key: key)
    saga.sleep(timedelta(hours=1))

    async def story() -> None:
        async with ProcessManager(MemoryStore(), sagas=[saga], settings=PATIENT) as manager:
            with pytest.raises(WaitTimeout, match=r"after 0\.01 s"):
                await manager.execute(saga, "x", timeout=timedelta(milliseconds=10))

    run(story())


def test_the_class_of_an_input_is_refused() -> None:
    text = told(lambda manager: manager.start(SAGA, cast(Any, Greeting)), InvalidInput)
    assert text == "the input of saga greet: expected an instance, found the class Greeting itself"


def test_a_version_that_a_saga_has_not_is_refused() -> None:
    async def ask(manager: ProcessManager) -> None:
        row = await manager.status("ada")
        await manager.state(row.saga_id, row.version)
        await manager.state(row.saga_id, row.version + 1)

    assert told(ask, InvalidQuery) == "version: expected one of the saga's, 1 to 4, found 5"


def test_a_time_given_as_a_datetime_says_how_to_write_it() -> None:
    moment: Any = datetime(2026, 3, 1, tzinfo=UTC)
    text = told(lambda manager: manager.find(started_after=moment), InvalidQuery)
    assert text.endswith("; of a datetime they are int(moment.timestamp() * 1_000_000)")


def test_what_is_no_query_says_what_one_is() -> None:
    query: Any = {"name": "x"}
    text = told(lambda manager: manager.unmatched(query), InvalidQuery)
    assert text == "expected an UnmatchedQuery, such as UnmatchedQuery(name='...'), found {'name': 'x'}"
    assert UnmatchedQuery(name="x").name == "x"
