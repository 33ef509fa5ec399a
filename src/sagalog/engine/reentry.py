"""Who calls: a process manager that ends waits for its own handlers, so none of them may wait for its end.

Every task and thread that a handler begins is told apart likewise, and so is what it hands over to an event loop.
"""

from contextvars import Context, ContextVar, copy_context

from sagalog.engine.blocking import Blocking

# Process managers are known by their threads: a handler of one may well open and close another.
_inside: ContextVar[frozenset[Blocking]] = ContextVar("sagalog_inside", default=frozenset())


def enter(threads: Blocking) -> None:
    """Say, in a task of the engine, that all it calls from now on is inside the process manager with these threads."""
    _inside.set(_inside.get() | {threads})


def context_inside(threads: Blocking) -> Context:
    """Return a context like the current one, but inside; each task that is begun in it is given a copy of its own."""
    context = copy_context()
    context.run(enter, threads)
    return context


def is_inside(threads: Blocking) -> bool:
    """Tell whether a handler of the process manager with these threads called, or something that one began."""
    return threads in _inside.get()
