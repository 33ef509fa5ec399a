"""Histories of made-up runs with times that are easily read, for pictures: in milliseconds after a start."""

from msgspec import Raw

from sagalog.saga import events as e
from sagalog.testing.kernel import START

MILLISECOND = 1_000
HOUR = 3_600_000
DAY = 24 * HOUR
NO_ANSWER = e.ErrorInfo("ConnectionError", "no answer")
REFUSED = e.ErrorInfo("Refused", "no", "refused")


def at(milliseconds: float) -> int:
    """Return a time of the log."""
    return START + round(milliseconds * MILLISECOND)


def started(saga: str, key: str = "key", kind: e.Kind = "saga") -> e.SagaStarted:
    return e.SagaStarted(
        time=at(0), saga=saga, version=1, digest="d", input=Raw(b"{}"), key=key, correlation_id=key, kind=kind
    )


def done(step: str, began: float, ended: float, attempt: int = 1) -> e.StepSucceeded:
    return e.StepSucceeded(time=at(ended), step=step, attempt=attempt, began=at(began), result=Raw(b"null"))


def lost(step: str, began: float, ended: float, again: float | None = None, attempt: int = 1) -> e.StepFailed:
    """Return an attempt after which nobody knows whether it was done."""
    retry_at = None if again is None else at(again)
    return e.StepFailed(
        time=at(ended),
        step=step,
        attempt=attempt,
        began=at(began),
        outcome="unknown",
        error=NO_ANSWER,
        retry_at=retry_at,
    )


def refused(step: str, began: float, ended: float) -> e.StepFailed:
    return e.StepFailed(time=at(ended), step=step, began=at(began), outcome="refused", error=REFUSED)


def going_back(time: float, *plan: str) -> e.CompensationStarted:
    return e.CompensationStarted(time=at(time), cause=REFUSED, plan=plan)


def undone(step: str, began: float, ended: float, attempt: int = 1) -> e.StepCompensated:
    return e.StepCompensated(time=at(ended), step=step, attempt=attempt, began=at(began))


def not_undone(
    step: str, began: float, ended: float, again: float | None = None, attempt: int = 1
) -> e.CompensationFailed:
    error, retry_at = (REFUSED, None) if again is None else (NO_ANSWER, at(again))
    return e.CompensationFailed(
        time=at(ended), step=step, attempt=attempt, began=at(began), error=error, retry_at=retry_at
    )


SUCCESS: list[e.SagaEvent] = [
    started("order"),
    done("reserve", 0, 100),
    done("pay", 100, 300),
    done("ship", 300, 400),
    e.SagaCompleted(time=at(400)),
]
ROLLED_BACK: list[e.SagaEvent] = [
    started("order"),
    done("reserve", 0, 100),
    done("pay", 100, 200),
    refused("ship", 200, 300),
    going_back(300, "pay", "reserve"),
    undone("pay", 300, 350),
    undone("reserve", 350, 400),
    e.SagaFailed(time=at(400), error=REFUSED),
]
STUCK: list[e.SagaEvent] = [
    *ROLLED_BACK[:5],
    not_undone("pay", 300, 320, 360),
    not_undone("pay", 360, 400, attempt=2),
    e.SagaStuck(time=at(400), reason="pay cannot be undone", error=REFUSED, pending=("pay", "reserve")),
]
MENDED: list[e.SagaEvent] = [
    *STUCK,
    e.SagaResumed(time=at(HOUR), actor="ada", reason="mended"),
    undone("pay", HOUR, HOUR + 40, 3),
    undone("reserve", HOUR + 40, HOUR + 80),
    e.SagaFailed(time=at(HOUR + 80), error=REFUSED),
]
WEEKS: list[e.SagaEvent] = [
    started("nightly"),
    done("prepare", 0, 10),
    lost("call", 10, 20, 7 * DAY),
    lost("call", 7 * DAY, 7 * DAY + 10, 14 * DAY, 2),
    done("call", 14 * DAY, 14 * DAY + 10, 3),
    e.SagaCompleted(time=at(14 * DAY + 10)),
]
SIDE_BY_SIDE: list[e.SagaEvent] = [
    started("trip"),
    e.RequestSent(time=at(0), step="flight", command_id="c", name="BookFlight", data=Raw(b"{}"), until=at(9_000)),
    e.ChildStarted(time=at(0), step="hotel", saga="stay", child="child"),
    e.StepFannedOut(time=at(0), step="pack", elements=(Raw(b"1"), Raw(b"2")), at_once=2),
    done("pack[0]", 0, 20),
    e.EventReceived(time=at(25), message="m", name="WeatherChanged", data=Raw(b"{}"), kept=True),
    done("pack[1]", 0, 30),
    e.StepSucceeded(time=at(40), step="flight", began=at(0), result=Raw(b"{}"), message="reply"),
    e.StepSucceeded(time=at(50), step="hotel", began=at(0), result=Raw(b"{}"), message="note"),
    e.StepSkipped(time=at(50), step="insure"),
    e.StepWaiting(time=at(50), step="visa", until=at(100)),
]
CHILD: list[e.SagaEvent] = [
    started("stay", "trip:hotel"),
    done("choose", 0, 20),
    done("book", 20, 50),
    e.SagaCompleted(time=at(50)),
]
FOLLOWED: list[e.SagaEvent] = [
    started("fulfilment", kind="choreography"),
    e.EventReceived(time=at(0), message="1", name="OrderCreated", data=Raw(b"{}"), kept=True),
    e.StepSucceeded(time=at(100), step="Reserved", began=at(90), result=Raw(b"{}"), message="2"),
    e.EventReceived(time=at(200), message="3", name="PaymentFailed", data=Raw(b"{}"), kept=True),
    going_back(200, "Reserved"),
    e.EventReceived(time=at(300), message="4", name="Released", data=Raw(b"{}"), kept=True),
    e.StepCompensated(time=at(300), step="Reserved", began=at(300), message="4"),
    e.SagaFailed(time=at(300), error=REFUSED),
]
RUNS = {
    "success": SUCCESS,
    "rolled back": ROLLED_BACK,
    "stuck": STUCK,
    "mended": MENDED,
    "weeks": WEEKS,
    "side by side": SIDE_BY_SIDE,
    "followed": FOLLOWED,
    "only begun": SUCCESS[:1],
}
