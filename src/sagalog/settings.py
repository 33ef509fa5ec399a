"""Every setting of a process manager, with its default and its environment variable."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from sagalog.engine.limits import Limits
from sagalog.errors import InvalidIdentifier, InvalidSettings
from sagalog.saga.identifiers import LONGEST_NAME, check_identifier
from sagalog.saga.options import shown
from sagalog.store import StoreOptions

PREFIX = "SAGALOG_"
# PostgreSQL stores its timeouts as milliseconds in 32 bits, some 24 days; a larger setting is certainly a mistake.
LONGEST: Final = 2_000_000
MOST: Final = 1_000_000
Seconds = Annotated[float, Field(le=LONGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(le=MOST)]


class Settings(BaseModel):
    """The settings of a process manager; all durations are in seconds.

    Each field can be set by an environment variable: `SAGALOG_` and the field's name in capitals. Raises
    `InvalidSettings` for invalid values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease: Seconds = Field(
        default=10.0, gt=0, description="how long sagas wait for another worker if it is not seen that theirs died"
    )
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
    longest_block: Seconds = Field(
        default=0.5, gt=0, description="how long an async handler may hold up the event loop before a warning names it"
    )
    write_timeout: Seconds = Field(default=10.0, gt=0, description="how long start() waits for its saga to be durable")
    connect_timeout: Seconds = Field(default=5.0, gt=0, description="how long to wait for a connection to the database")
    statement_timeout: Seconds = Field(
        default=10.0, gt=0, description="how long to wait for one answer of the database"
    )
    lag_alarm: Seconds = Field(
        default=60.0, gt=0, description="how far behind a projection may be before a warning says so"
    )
    migrate: bool = Field(
        default=True, description="whether a database is made, or its schema brought up to date, when it is opened"
    )
    readers: Count = Field(default=2, ge=1, description="connections for reading")
    handler_threads: Count = Field(default=32, ge=1, description="threads for steps that are plain functions")

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, given: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return make(given)
        except ValidationError as problem:
            values: Mapping[str, object] = cast(Any, given) if isinstance(given, Mapping) else {}
            wrong = {str(one["loc"][0]): one.get("ctx", {}).get("error") for one in problem.errors() if one["loc"]}
            texts = [_mistake(name, values.get(name), why) for name, why in wrong.items()]
            texts = texts or [f"expected them by name, found {shown(cast(object, given))}"]
            raise InvalidSettings(f"settings are wrong: {'; '.join(texts)}") from None

    @field_validator("source")
    @classmethod
    def _can_be_a_source(cls, value: str) -> str:
        try:
            return check_identifier(value, f"source ({PREFIX}SOURCE)", LONGEST_NAME)
        except InvalidIdentifier as problem:
            raise ValueError(str(problem)) from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: object) -> "Settings":
        """Read the settings from `SAGALOG_*`; `given` wins. Raises `InvalidSettings` that names what is wrong."""
        source = os.environ if environment is None else environment
        if not isinstance(cast(object, source), Mapping):
            raise InvalidSettings(f"expected {{variable: text}} for the environment, found {shown(environment)}")
        found: dict[str, object] = {
            # A value that was read from a file ends with a line end.
            name: _stripped(source[PREFIX + name.upper()])
            for name in cls.model_fields
            if PREFIX + name.upper() in source
        }
        return cls(**{**found, **given})  # type: ignore[arg-type]

    def limits(self) -> Limits:
        """Return the settings of the engine."""
        return Limits(
            lease=int(self.lease * 1e6),
            poll=int(self.poll * 1e6),
            follow_poll=int(self.follow_poll * 1e6),
            longest_wait=int(self.longest_wait * 1e6),
            most_running=self.most_running,
            claim_batch=self.claim_batch,
            most_handling=self.most_handling,
            lag_alarm=int(self.lag_alarm * 1e6),
            from_now=self.new_consumers == "now",
        )

    def store_options(self) -> StoreOptions:
        """Return the settings of the store."""
        return StoreOptions(
            connect_timeout=self.connect_timeout,
            statement_timeout=self.statement_timeout,
            readers=self.readers,
            migrate=self.migrate,
        )


def settings_of(given: object) -> Settings:
    """Return the given settings, or those of the environment; raises `InvalidSettings`."""
    if given is not None and not isinstance(given, Settings):
        raise InvalidSettings(f"expected Settings, such as Settings(lease=30), for settings=, found {shown(given)}")
    return Settings.from_environment() if given is None else given


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _mistake(name: str, found: object, why: object) -> str:
    """Return the error text for one setting, by its name and variable; `why` is the text of its own rule."""
    if why is not None:
        return str(why)
    field = Settings.model_fields.get(name)
    if field is None:
        close = get_close_matches(name, Settings.model_fields, 1)
        return f"there is no setting {name!r}" + (f", write {close[0]}" if close else "")
    return f"{name} ({PREFIX}{name.upper()}): expected {_expected(field)}, found {shown(found)}"


def _expected(field: FieldInfo) -> str:
    """Return in words which values a setting accepts."""
    if field.annotation is bool:
        return "True or False"
    if field.annotation is str:
        return f"1 to {LONGEST_NAME} bytes of plain text"
    if words := get_args(field.annotation):
        return " or ".join(words)
    limits: dict[str, Any] = {}
    for one in field.metadata:
        limits |= {limit: getattr(one, limit) for limit in ("gt", "ge", "le") if hasattr(one, limit)}
    kind = "a whole number" if field.annotation is int else "seconds"
    least = f"over {limits['gt']} and at most" if "gt" in limits else f"from {limits['ge']} to"
    return f"{kind} {least} {limits['le']:,}"
