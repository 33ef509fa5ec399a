"""What is inside an open process manager, for tests that look at its parts: this is their one way in."""

from sagalog.process_manager import ProcessManager
from sagalog.process_manager.assembly import Engine


def engine_of(manager: ProcessManager) -> Engine:
    """Return the engine of a process manager that is open, on its event loop."""
    return manager._lifecycle.engine()
