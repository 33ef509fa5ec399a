"""Every setting of a process manager, with its default and its environment variable."""

import os
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sagalog.engine.limits import Limits
from sagalog.errors import InvalidIdentifier, InvalidSettings
from sagalog.saga.identifiers import LONGEST_NAME, check_identifier
from sagalog.store import StoreOptions

PREFIX = "SAGALOG_"
# PostgreSQL counts its bounds in milliseconds, in 32 bits: some 24 days. Whoever wants more of anything has slipped.
LONGEST: Final = 2_000_000
MOST: Final = 1_000_000
Seconds = Annotated[float, Field(le=LONGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(le=MOST)]


class Settings(BaseModel):
    """Configure a process manager; all durations are in seconds.

    Every field can be given by an environment variable: `SAGALOG_` and its name in capitals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease: Seconds = Field(default=10.0, gt=0, description="how long a dead worker's sagas wait for another worker")
    poll: Seconds = Field(
        default=0.1, gt=0, description="how often due sagas are looked for when nothing hints at them"
    )
    follow_poll: Seconds = Field(
        default=0.05, gt=0, description="how often a followed application is looked at for news"
    )
    longest_wait: Seconds = Field(default=30.0, ge=0, description="a saga that waits longer than this is given back")
    most_running: Count = Field(default=10_000, ge=1, description="how many sagas one process owns at most")
    claim_batch: Count = Field(default=200, ge=1, description="how many sagas are claimed at once")
    source: str = Field(default="sagalog", description="who publishes: the source of published events")
    most_handling: Count = Field(default=100, ge=1, description="how many messages one participant handles at once")
    new_consumers: Literal["start", "now"] = Field(
        default="start", description="where in the log a consumer that is new begins"
    )
    grace: Seconds = Field(default=10.0, ge=0, description="how long running async steps may take to end at shutdown")
    write_timeout: Seconds = Field(default=10.0, gt=0, description="how long start() waits for its saga to be durable")
    connect_timeout: Seconds = Field(default=5.0, gt=0, description="how long to wait for a connection to the database")
    statement_timeout: Seconds = Field(
        default=10.0, gt=0, description="how long to wait for one answer of the database"
    )
    migrate: bool = Field(
        default=True, description="whether a database is made, or its schema brought up to date, when it is opened"
    )
    readers: Count = Field(default=2, ge=1, description="connections for reading")
    handler_threads: Count = Field(default=32, ge=1, description="threads for steps that are plain functions")

    @field_validator("source")
    @classmethod
    def _can_be_a_source(cls, value: str) -> str:
        try:
            return check_identifier(value, "the source", LONGEST_NAME)
        except InvalidIdentifier as problem:
            raise ValueError(str(problem)) from None

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
