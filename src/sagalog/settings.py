"""Every setting of a process manager, with its default and its environment variable."""

import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sagalog.engine.limits import Limits
from sagalog.errors import InvalidSettings
from sagalog.store import StoreOptions

PREFIX = "SAGALOG_"


class Settings(BaseModel):
    """Configure a process manager; all durations are in seconds.

    Every field can be given by an environment variable: `SAGALOG_` and its name in capitals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease: float = Field(default=10.0, gt=0, description="how long a dead worker's sagas wait for another worker")
    poll: float = Field(default=0.1, gt=0, description="how often due sagas are looked for when nothing hints at them")
    follow_poll: float = Field(default=0.05, gt=0, description="how often a followed application is looked at for news")
    longest_wait: float = Field(default=30.0, ge=0, description="a saga that waits longer than this is given back")
    most_running: int = Field(default=10_000, ge=1, description="how many sagas one process owns at most")
    claim_batch: int = Field(default=200, ge=1, description="how many sagas are claimed at once")
    source: str = Field(
        default="sagalog", min_length=1, max_length=200, description="who publishes: the source of published events"
    )
    most_handling: int = Field(default=100, ge=1, description="how many messages one participant handles at once")
    new_consumers: Literal["start", "now"] = Field(
        default="start", description="where in the log a consumer that is new begins"
    )
    grace: float = Field(default=10.0, ge=0, description="how long running async steps may take to end at shutdown")
    write_timeout: float = Field(default=10.0, gt=0, description="how long start() waits for its saga to be durable")
    connect_timeout: float = Field(default=5.0, gt=0, description="how long to wait for a connection to the database")
    statement_timeout: float = Field(default=10.0, gt=0, description="how long to wait for one answer of the database")
    migrate: bool = Field(
        default=True, description="whether a database is made, or its schema brought up to date, when it is opened"
    )
    readers: int = Field(default=2, ge=1, description="connections for reading")
    handler_threads: int = Field(default=32, ge=1, description="threads for steps that are plain functions")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: object) -> "Settings":
        """Read the settings from `SAGALOG_*`; `given` wins. Raises `InvalidSettings` naming what is wrong."""
        source = os.environ if environment is None else environment
        found: dict[str, object] = {
            name: source[PREFIX + name.upper()] for name in cls.model_fields if PREFIX + name.upper() in source
        }
        try:
            return cls.model_validate(found | given)
        except ValidationError as problem:
            wrong = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in problem.errors())
            raise InvalidSettings(f"settings are wrong: {wrong}") from None

    def limits(self) -> Limits:
        """Return the engine's numbers."""
        return Limits(
            lease=int(self.lease * 1e6),
            poll=int(self.poll * 1e6),
            follow_poll=int(self.follow_poll * 1e6),
            longest_wait=int(self.longest_wait * 1e6),
            most_running=self.most_running,
            claim_batch=self.claim_batch,
            most_handling=self.most_handling,
            from_now=self.new_consumers == "now",
        )

    def store_options(self) -> StoreOptions:
        """Return what the store goes by."""
        return StoreOptions(
            connect_timeout=self.connect_timeout,
            statement_timeout=self.statement_timeout,
            readers=self.readers,
            migrate=self.migrate,
        )
