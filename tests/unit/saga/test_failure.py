"""What is asked of somebody's exception never raises, and what is recorded of it can be kept."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sagalog import Refused
from sagalog.engine.calls.failures import judged, traceback_of
from sagalog.engine.carrying import carrying
from sagalog.errors import PayloadTooLarge
from sagalog.saga.failure import (
    Carried,
    described,
    leaves_of,
    let_interrupts_through,
    redacted,
    text_of,
    type_of,
)


class Panic(BaseException):
    """What a native extension raises when it has lost its way."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Numeric(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307


class Masked(Exception):
    @property
    def __class__(self) -> Any:
        raise ValueError("no class")

    @__class__.setter
    def __class__(self, kind: Any) -> None: ...


class OddName(type):
    @property
    def __name__(cls) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        raise ValueError("no name")


class Nameless(Exception, metaclass=OddName): ...


class Text(str):
    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("cut")

    def replace(self, *_: Any) -> Any:
        raise RuntimeError("replaced")


class Wordy(Exception):
    def __str__(self) -> str:
        return Text("words")


class Noted(Exception):
    __notes__: Any = property(lambda self: 1 / 0)


class Wrapped(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:
        raise ValueError("nothing to see")


# Made in the test: not even its reports survive all of them.
ODD: dict[str, Callable[[], BaseException]] = {
    "its text raises": Mute,
    "its text is a number": Numeric,
    "its class cannot be asked": lambda: Masked("x"),
    "its class has no name": lambda: Nameless("x"),
    "its text is code": Wordy,
    "its notes raise": lambda: Noted("x"),
    "it is no Exception": lambda: Panic("lost"),
    "controls": lambda: ValueError("a\x00b\udc80\x1b[2J"),
    "a huge text": lambda: ValueError("x" * 1_000_000),
    "a group that hides what it holds": lambda: Wrapped("group", [Mute(), ValueError("x")]),
    "a name that forges a line": lambda: type("a\x1b]0;\n", (Exception,), {})("x"),
    "a group of what is no Exception": lambda: BaseExceptionGroup("all", [Panic("p"), GeneratorExit()]),
    "an exception that holds one": lambda: RuntimeError(RuntimeError(Mute())),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_exception_that_does_not_survive_being_asked_is_recorded_all_the_same(odd: str) -> None:
    problem = ODD[odd]()
    for text in (text_of(problem), type_of(problem), described(problem), str(Carried(problem)), traceback_of(problem)):
        assert isinstance(text, str)
        assert "\x00" not in text
        text.encode()
    assert len(text_of(problem)) <= 4000
    assert type_of(problem).isprintable()
    assert len(traceback_of(problem)) < 17_000
    kind, decisive, _ = judged(problem)
    assert kind == "error"
    assert type_of(decisive)


def test_a_text_that_cannot_be_had_says_why() -> None:
    assert text_of(Mute()) == "(Mute cannot say what happened: its text raised RuntimeError)"
    assert text_of(Numeric()) == "(Numeric cannot say what happened: its text raised TypeError)"


# ---------------------------------------------------------------------------------------------- groups


def group(*held: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("unhandled errors in a TaskGroup", held)


@pytest.mark.parametrize(
    ("problem", "kind", "decisive", "beside"),
    [
        (NameError("a"), "fault", "NameError", 0),
        (group(NameError("a")), "fault", "NameError", 0),
        (group(group(ConnectionError("b"), group(NameError("a")))), "fault", "NameError", 1),
        (group(Refused("a"), TypeError("b")), "fault", "TypeError", 1),
        (group(Refused("a"), PayloadTooLarge("b")), "fault", "PayloadTooLarge", 1),
        (Refused("a"), "refused", "Refused", 0),
        (group(Refused("a")), "refused", "Refused", 0),
        (group(Refused("a"), group(Refused("b"))), "refused", "Refused", 1),
        (group(Refused("a"), ConnectionError("b")), "error", "ConnectionError", 1),
        (group(ConnectionError("a"), Refused("b"), ValueError("c")), "error", "ConnectionError", 2),
        (group(Panic("a"), Refused("b")), "error", "Panic", 1),
        (Panic("a"), "error", "Panic", 0),
        (Carried(StopIteration()), "error", "StopIteration", 0),
        (Carried(group(Panic("a"), NameError("b"))), "fault", "NameError", 1),
    ],
)
def test_a_group_is_what_the_exceptions_in_it_make_it(
    problem: BaseException, kind: str, decisive: str, beside: int
) -> None:
    found, one, others = judged(problem)
    assert (found, type_of(one), len(others)) == (kind, decisive, beside)


def test_a_group_nested_ten_thousand_deep_is_looked_into() -> None:
    problem: BaseException = NameError("deep")
    for _ in range(10_000):
        problem = group(problem)
    assert judged(problem)[0] == "fault"
    assert "unhandled errors" in traceback_of(problem)


def test_a_stop_iteration_that_python_replaced_is_found_and_one_that_a_handler_translated_is_not() -> None:
    def endless() -> Any:
        yield next(iter(()))

    with pytest.raises(RuntimeError) as replaced:
        next(endless())
    assert [type(one) for one in leaves_of(replaced.value)] == [StopIteration]
    translated = RuntimeError("there is no such line")
    translated.__cause__ = StopIteration()
    assert leaves_of(translated) == [translated]


# ---------------------------------------------------------------------------------------------- redaction


def hidden(text: str) -> str:
    return text.replace("4242", "****")


def test_what_is_recorded_and_shown_is_redacted_before_it_is_cut() -> None:
    said = "x" * 3998 + "4242"
    assert "42" not in text_of(ValueError(said), hidden)
    assert text_of(ValueError("card 4242"), hidden) == "card ****"
    try:
        try:
            raise KeyError("card 4242")
        except KeyError as cause:
            raise ValueError("card 4242") from cause
    except ValueError as problem:
        text = traceback_of(problem, hidden)
    assert "4242" not in text.replace('"card 4242"', "")
    assert "KeyError" in text
    assert "****" in text


def broken(text: str) -> str:
    raise ValueError(f"cannot redact {text}")


def panicking(text: str) -> str:
    raise Panic(text)


def silent(text: str) -> Any:
    return None


def in_bytes(text: str) -> Any:
    return text.encode()


@pytest.mark.parametrize(
    ("redact", "left"),
    [
        (broken, "(withheld: redact= raised ValueError)"),
        (panicking, "(withheld: redact= raised Panic)"),
        (silent, "(withheld: redact= returned NoneType, expected str)"),
        (in_bytes, "(withheld: redact= returned bytes, expected str)"),
    ],
)
def test_nothing_is_shown_of_a_text_that_could_not_be_redacted(redact: Callable[[str], Any], left: str) -> None:
    assert redacted("a secret", redact) == left
    assert text_of(ValueError("a secret"), redact) == left
    assert traceback_of(ValueError("a secret"), redact) == left


# ---------------------------------------------------------------------------------------------- interrupts


def test_an_interrupt_ends_the_process_if_a_person_may_have_caused_it_and_is_an_error_elsewhere() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carrying(interrupt)
    with pytest.raises(KeyboardInterrupt):
        let_interrupts_through(group(ValueError(), group(KeyboardInterrupt())))
    found: list[BaseException] = []

    def elsewhere() -> None:
        try:
            carrying(interrupt)
        except Carried as carried:
            found.append(carried.problem)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert [type(one) for one in found] == [KeyboardInterrupt]


def test_what_is_carried_is_what_no_future_can_pass_on_and_nothing_else() -> None:
    def raising(problem: BaseException) -> None:
        raise problem

    for problem in (StopIteration(), GeneratorExit(), SystemExit(1), Panic("x"), group(Panic("x"))):
        with pytest.raises(Carried) as carried:
            carrying(raising, problem)
        assert carried.value.problem is problem
    cause = KeyError("customer")
    for plain in (ValueError("x"), StopAsyncIteration(), ExceptionGroup("x", [ValueError()])):
        plain.__cause__ = cause
        with pytest.raises(type(plain)) as raised:
            carrying(raising, plain)
        assert raised.value is plain
        assert raised.value.__cause__ is cause
