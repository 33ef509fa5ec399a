"""What the command line says of requests, waits and messages: in histories and in pictures of sagas."""

from kernel.stories import Plan, saga_of
from msgspec import Raw
from sagas.shipping_orders import MINUTE, orders

from sagalog import Retry
from sagalog.cli.event_texts import summary
from sagalog.cli.pictures.chart import chart_of
from sagalog.saga import events as e


def test_a_line_of_a_history_says_what_was_sent_and_what_came() -> None:
    data = Raw(b"{}")
    sent = e.RequestSent(time=0, step="reserve", command_id="s:reserve", name="Reserve", data=data, until=MINUTE)
    assert summary(sent) == "reserve, Reserve sent as s:reserve; a reply is waited for for 1 m 00 s"
    undo = e.RequestSent(
        time=0, step="a", direction="compensation", attempt=2, command_id="c", name="Undo", data=data, until=MINUTE
    )
    assert summary(undo).startswith("a, attempt 2, to undo it, Undo sent as c")
    replied = e.StepSucceeded(time=0, step="reserve", began=0, result=data, message="m-1")
    assert summary(replied) == "reserve, by message m-1"
    assert summary(e.StepWaiting(time=0, step="arrived")) == "arrived, waits"
    assert summary(e.StepWaiting(time=0, step="nap", until=2 * MINUTE)) == "nap, waits for 2 m 00 s"
    kept = e.EventReceived(time=0, message="m-2", name="Arrived", data=data, kept=True)
    assert summary(kept) == "Arrived, message m-2; kept until it is needed"
    assert summary(kept, "choreography") == "Arrived, message m-2; it is no step, and counts"
    late = e.EventReceived(time=0, message="m-3", name="Arrived", data=data)
    assert summary(late) == "Arrived, message m-3; it changes nothing"
    assert summary(e.StartRefused(time=0, correlation_id="c", message="m-4")) == "by message m-4"
    assert summary(e.StartRefused(time=0, correlation_id="c")) == ""


def test_a_picture_says_what_a_step_sends_and_waits_for() -> None:
    boxes = {box.name: box for stage in chart_of(orders(retry=Retry(attempts=2)).definition).stages for box in stage}
    assert boxes["reserve"].detail == "sends Reserve, 2 attempts, 1 m each"
    assert boxes["reserve"].undo == "release"
    still = saga_of([Plan("w", kind="wait")], [Plan("s", kind="sleep")]).definition
    details = [box.detail for stage in chart_of(still).stages for box in stage]
    assert details == ["waits for Happened, 1 m 30 s at most", "sleeps for 30 s"]
