"""How instances of a pydantic class are written and read; pydantic itself is not imported.

There are three ways to read, all made from the class's core schema. Data from outside is validated in full. Data that
waited in the log is validated without rules about the clock. Recorded data is read without the user's validators.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from sagalog.saga.payload.anatomy import fields_of, is_pydantic
from sagalog.saga.payload.annotations import metadata_in

# Keys of a schema that hold inner schemas; other values, such as defaults, may only look like schemas.
_INNER = frozenset(
    {
        "schema", "fields", "items_schema", "keys_schema", "values_schema", "choices", "definitions", "lax_schema",
        "strict_schema", "json_schema", "python_schema", "steps", "arguments_schema", "extras_schema",
        "extras_keys_schema",
    }
)  # fmt: skip
_VALIDATORS = ("function-before", "function-after", "function-wrap")
_WRAPPERS = (*_VALIDATORS, "default", "nullable", "model")
_CLASSES = ("model", "dataclass", "typed-dict")
_CLOCK = frozenset({"now_op", "now_utc_offset"})
# Options that change text when it is read, or choose by which name a field is read.
_CHANGING = frozenset({"strip_whitespace", "to_lower", "to_upper", "coerce_numbers_to_str"})
_CONFIGURED = frozenset({f"str_{name}" for name in ("strip_whitespace", "to_lower", "to_upper")}) | {
    "coerce_numbers_to_str",
    "populate_by_name",
    "validate_by_name",
    "validate_by_alias",
}

Schema = dict[str, Any]


class Model:
    """How instances of one class are written and read. Raises `TypeError` if nobody can know that they survive."""

    def __init__(self, kind: Any) -> None:
        schema = _schema_of(kind)
        self._kind = kind
        declared = _Validators(schema)
        self.accept: Callable[[bytes], Any] = kind.__pydantic_validator__.validate_json
        self.take = self.accept
        timeless = _Rewriting(_CLOCK).of(schema)
        if timeless != schema:
            self.take = _validator(timeless)
        self.read = _validator(_Recorded(declared).of(schema))

    def dump(self, value: Any, only: str | None = None) -> bytes:
        """Return an instance as JSON, by alias and without computed fields; with `only`, just that field."""
        wanted = None if only is None else {only}
        written: bytes = self._kind.__pydantic_serializer__.to_json(
            value, by_alias=True, round_trip=True, warnings=False, include=wanted
        )
        return written

    def to_plain(self, value: Any) -> Any:
        """Return an instance in the form of `dump`, as plain Python values."""
        return self._kind.__pydantic_serializer__.to_python(
            value, mode="json", by_alias=True, round_trip=True, warnings=False
        )


_models: dict[type, Model] = {}


def model_of(kind: Any) -> Model:
    """Return how instances of a class are written and read; raises `TypeError` for an incomplete class."""
    found = _models.get(kind)
    if found is None:
        found = _models[kind] = Model(kind)
    return found


def _schema_of(kind: Any) -> Schema:
    """Return the core schema of a class; a deferred one is built now."""
    for _ in range(2):
        schema: object = kind.__pydantic_core_schema__
        if isinstance(schema, dict):
            return cast(Schema, schema)
        try:
            # Pydantic's placeholder builds the real schema when it is accessed.
            cast(Any, schema)["type"]
        except Exception as problem:
            raise TypeError(
                f"{kind.__name__} is not complete ({type(problem).__name__}); "
                "call its model_rebuild() where all types that it names are known"
            ) from None
    raise TypeError(f"{kind.__name__} has no schema that is known here; is its pydantic too old or too new?")


def _validator(schema: Schema) -> Callable[[bytes], Any]:
    make: Any = sys.modules["pydantic_core"].SchemaValidator
    try:
        # False: inner models are read by this schema, not by the validator that was prebuilt for them.
        made = make(schema, None, False)
    except TypeError:
        # Older versions have no prebuilt validators, and no such argument.
        made = make(schema)
    validate: Callable[[bytes], Any] = made.validate_json
    return validate


def _nodes(schema: Any) -> Iterator[Schema]:
    """Yield all schemas nested in a schema, itself included."""
    left: list[Any] = [schema]
    while left:
        node = left.pop()
        if isinstance(node, list | tuple):
            left += cast("list[Any]", node)
        elif isinstance(node, dict):
            known = cast(Schema, node)
            if isinstance(known.get("type"), str):
                yield known
                left += [value for name, value in known.items() if name in _INNER]
            else:
                left += known.values()


def classes_in(kind: Any) -> set[type]:
    """Return the classes with fields that are read together with a pydantic class, itself included."""
    found: set[type] = {node["cls"] for node in _nodes(_schema_of(kind)) if node["type"] in _CLASSES and "cls" in node}
    return {kind, *found}


class _Validators:
    """The validators that users declared in the classes inside a schema; those inside library types do not count."""

    def __init__(self, schema: Schema) -> None:
        self._found: dict[int, Any] = {}
        for node in _nodes(schema):
            if node["type"] in _CLASSES and "cls" in node:
                for function in _declared_with(node["cls"]):
                    one = getattr(function, "__func__", function)
                    self._found[id(one)] = one

    def __contains__(self, node: Schema) -> bool:
        if node["type"] not in _VALIDATORS:
            return False
        function = node["function"]["function"]
        return id(getattr(function, "__func__", function)) in self._found


def _declared_with(kind: Any) -> Iterator[Any]:
    decorators = getattr(kind, "__pydantic_decorators__", None)
    for several in ("field_validators", "model_validators"):
        for decorator in getattr(decorators, several, {}).values():
            yield decorator.func
    for one in metadata_in(kind):
        if type(one).__module__ == "pydantic.functional_validators" and hasattr(one, "func"):
            yield one.func


class _Rewriting:
    """Copies a schema without some of its rules; this class leaves out the given keys."""

    def __init__(self, without: frozenset[str]) -> None:
        self._without = without

    def of(self, node: Any, keep: bool | None = None) -> Any:
        """Return a copy of a schema; `keep`: whether the validators of what it wraps belong to a custom serializer."""
        if isinstance(node, list):
            return [self.of(one) for one in cast("Iterable[Any]", node)]
        if isinstance(node, tuple):
            return tuple(self.of(one) for one in cast("Iterable[Any]", node))
        if not isinstance(node, dict):
            return node
        known = cast(Schema, node)
        if not isinstance(known.get("type"), str):
            return {name: self.of(one) for name, one in known.items()}
        keep = _has_own_serializer(known) if keep is None else keep
        return self._schema(known, keep)

    def _schema(self, node: Schema, keep: bool) -> Schema:
        handed = keep if node["type"] in _WRAPPERS else None
        return {
            name: self.of(one, handed if name == "schema" else None) if name in _INNER else one
            for name, one in node.items()
            if name not in self._without
        }


class _Recorded(_Rewriting):
    """Copies a schema without all that could change or refuse recorded data: validators, the clock, other names."""

    def __init__(self, declared: _Validators) -> None:
        super().__init__(_CLOCK | _CHANGING)
        self._declared = declared

    def _schema(self, node: Schema, keep: bool) -> Schema:
        if not keep and node in self._declared:
            inner = self.of(node["schema"], keep)
            if node["type"] != "function-after":
                inner = _of_this_shape(inner)
            return {**inner, "ref": node["ref"]} if "ref" in node else inner
        made = super()._schema(node, keep)
        if "custom_init" in made:
            made["custom_init"] = False
        if "config" in made:
            made["config"] = {name: one for name, one in made["config"].items() if name not in _CONFIGURED}
        if made["type"] in ("model-fields", "typed-dict") and isinstance(made.get("fields"), dict):
            made["fields"] = {name: _by_any_name(name, one) for name, one in made["fields"].items()}
        elif made["type"] == "dataclass-args":
            made["fields"] = [_by_any_name(one["name"], one) for one in made["fields"]]
        return made


def _of_this_shape(model: Schema) -> Schema:
    """Return a model's schema that refuses unknown fields; any other schema unchanged.

    Data with unknown fields may be older. It is then read again with all of the user's validators, which may convert
    it.
    """
    if model["type"] == "model":
        if model.get("config", {}).get("extra_fields_behavior") == "allow":
            return model
        return {**model, "schema": _of_this_shape(model["schema"])}
    return {**model, "extra_behavior": "forbid"} if model["type"] == "model-fields" else model


def _by_any_name(name: str, field: Schema) -> Schema:
    """Let a field be read by its written name, by its own name (as before 0.2), or by its names for input."""
    written: str = field.get("serialization_alias") or name
    given: Any = field.get("validation_alias")
    if written == name and given is None:
        return field
    outside: list[Any] = [] if given is None else [[given]] if isinstance(given, str) else list(given)
    if outside and not isinstance(outside[0], list):
        outside = [outside]
    ways: list[list[Any]] = []
    for way in ([written], [name], *outside):
        if way not in ways:
            ways.append(way)
    return {**field, "validation_alias": ways}


def _has_own_serializer(node: Schema) -> bool:
    """Tell whether a user function writes what a schema reads; then its validators are needed to read it."""
    inner: Any = node
    while isinstance(inner, dict):
        known = cast(Schema, inner)
        serialization: Mapping[str, Any] = known.get("serialization") or {}
        if str(serialization.get("type", "")).startswith("function-"):
            module = getattr(serialization.get("function"), "__module__", None) or ""
            if module.partition(".")[0] != "pydantic":
                return True
        inner = known.get("schema") if known["type"] in _WRAPPERS else None
    return False


def serializes_itself(kind: Any, field: str | None = None) -> bool:
    """Tell whether a class has its own serializer for itself, or for the given field."""
    decorators = getattr(kind, "__pydantic_decorators__", None)
    if getattr(decorators, "model_serializers", {}):
        return True
    named: list[tuple[str, ...]] = [
        tuple(one.info.fields) for one in getattr(decorators, "field_serializers", {}).values()
    ]
    return any(field in names or "*" in names for names in named)


def never_written(kind: Any) -> str | None:
    """Return a required field that is excluded from what is written, so that no instance can be kept; None if none."""
    if not is_pydantic(kind):
        return None
    excluded = (name for name, one in fields_of(kind).items() if getattr(one, "exclude", None) is True)
    return next((name for name in excluded if fields_of(kind)[name].is_required()), None)
