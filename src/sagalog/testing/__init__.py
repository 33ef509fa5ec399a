"""Tools for tests of sagas and of stores; nothing here is needed at run time.

`given(saga, *events).when(input).then(*events)` specifies what a saga decides. `made(step, command)` and
`message(event)` build inputs for commands and events. `FakeClock` is a clock that a test sets.
`sagalog.testing.simulation` runs the real engine on a seeded virtual-time loop with crashes, pauses and lost answers,
and reports violations afterwards. `sagalog.testing.contracts` tests any store, and any transport, against its port; it
needs pytest, so it is not imported here.
"""

from sagalog.testing.clock import FakeClock
from sagalog.testing.kernel import given, made, message, started
from sagalog.testing.recording_service import RecordingService

__all__ = ["FakeClock", "RecordingService", "given", "made", "message", "started"]
