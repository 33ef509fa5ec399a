"""What tests of sagas and of stores stand on; nothing here is needed at run time.

`given(saga, *events).when(input).then(*events)` specifies what a saga decides; `made(step, command)` and
`message(event)` tell it of commands and events. `FakeClock` is time that a test sets.
`sagalog.testing.simulation` runs the real engine on a seeded virtual-time loop with crashes, pauses and lost answers,
and tells what is wrong afterwards. `sagalog.testing.contracts` holds any store, and any transport, to its port; it
needs pytest, so it is imported by name.
"""

from sagalog.testing.clock import FakeClock
from sagalog.testing.kernel import given, made, message, started
from sagalog.testing.recording_service import RecordingService

__all__ = ["FakeClock", "RecordingService", "given", "made", "message", "started"]
