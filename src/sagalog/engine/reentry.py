"""Whether a call comes from inside a process manager: from a handler of its own, or from what one began.

A process manager that ends waits for its handlers, so none of them may wait for its end. Tasks, threads and callbacks
that a handler begins count as inside, too, since they copy its context.
"""

from contextvars import Context, ContextVar, copy_context

from sagalog.engine.blocking import Blocking

# Process managers are known by their threads: a handler of one may well open and close another.
_inside: ContextVar[frozenset[Blocking]] = ContextVar("sagalog_inside", default=frozenset())


def enter(threads: Blocking) -> None:
    """Mark the current task of the engine: all that it calls is inside the process manager with these threads."""
    _inside.set(_inside.get() | {threads})


def context_inside(threads: Blocking) -> Context:
    """Return a copy of the current context that is inside; give each task a copy of its own."""
    context = copy_context()
    context.run(enter, threads)
    return context


def is_inside(threads: Blocking) -> bool:
    """Tell whether the caller is a handler of the process manager with these threads, or something that one began."""
    return threads in _inside.get()
