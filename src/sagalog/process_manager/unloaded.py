"""The report, at the start, of open sagas whose definition this process does not have."""

import logging
from collections.abc import Iterable

from sagalog.saga.definition import Definition

logger = logging.getLogger("sagalog")


def is_heard(is_worker: bool) -> bool:
    """Tell whether the report reaches anybody; if not, the open sagas, of which there may be many, are not counted."""
    return logger.isEnabledFor(logging.WARNING if is_worker else logging.INFO)


def report_unloaded(
    missing: Iterable[tuple[str, int, str, int]], definitions: Iterable[Definition], is_worker: bool
) -> None:
    """Log each missing (name, version, digest, number of sagas) with advice: a warning for workers, else an info."""
    known = {(one.name, one.version) for one in definitions}
    for name, version, digest, number in missing:
        why = (
            "was declared differently when they began: restore it, or give the changed one a new version"
            if (name, version) in known
            else "is not loaded: add it to sagas=[...] until they have ended"
        )
        text = "%d sagas wait for %s version %d (%s), which %s"
        logger.log(logging.WARNING if is_worker else logging.INFO, text, number, name, version, digest, why)
