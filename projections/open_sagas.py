"""Open sagas, by age: a row goes when its saga ends."""

from sagalog.projections import (
    CompensationStarted,
    Metadata,
    Projection,
    SagaCompleted,
    SagaFailed,
    SagaHappening,
    SagaResumed,
    SagaStarted,
    SagaStuck,
    StartRefused,
    Tables,
)

open_sagas = Projection("open-sagas", version=1, sql="open_sagas.sql")

# Which way a saga goes after an event that turns it.
TURNS: dict[type[SagaHappening], str] = {CompensationStarted: "backward", SagaStuck: "stuck", SagaResumed: "backward"}


@open_sagas.on
def happened(event: SagaHappening, about: Metadata, tables: Tables) -> None:
    """Begin, change or remove the row of a saga."""
    name, where = type(event).__name__, {"saga_id": about.saga_id, "at": about.time, "position": about.position}
    match event:
        case SagaStarted():
            tables.run("start", saga=about.saga, key=about.key, event=name, **where)
        case SagaCompleted() | SagaFailed():
            tables.run("end", saga_id=about.saga_id)
        case StartRefused():
            # It says something about who asked, and nothing about the saga.
            return
        case _:
            step = getattr(event, "step", None)
            tables.run("move", direction=TURNS.get(type(event)), event=name, step=step, **where)


@open_sagas.forget
def forgotten(_: SagaHappening, about: Metadata, tables: Tables) -> None:
    """Take out the row of a saga; it can be rebuilt alone."""
    tables.run("forget", saga_id=about.saga_id)
