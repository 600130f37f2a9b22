"""The types that fields of a body have: numbers are numbers, never booleans or strings."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    WithJsonSchema,
)

MAX_PRIORITY = 2**31
MAX_ID = 2**31 - 1  # of a token, for the schema; the vocabulary has far fewer


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if value is not None and not isinstance(value, list):
        raise ValueError("must be a string or a list of strings")
    return value


def _int_or_auto(value: Any) -> Any:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if value == "auto" or is_int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError("must be an integer or auto")


def _seconds(value: float) -> float:
    if value <= 0:
        raise ValueError("must be above 0")
    return value


def _priority(value: int) -> int:
    if abs(value) > MAX_PRIORITY:
        raise ValueError(f"must be from -{MAX_PRIORITY} to {MAX_PRIORITY}")
    return value


Bool = StrictBool
Int = Annotated[int, BeforeValidator(_number)]
IntOrAuto = Annotated[
    int | Literal["auto"],
    PlainValidator(_int_or_auto),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"const": "auto"}]}),
]
Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Priority = Annotated[
    int,
    BeforeValidator(_number),
    Field(json_schema_extra={"minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}),
    AfterValidator(_priority),
]
Seconds = Annotated[
    float,
    BeforeValidator(_number),
    Field(allow_inf_nan=False, json_schema_extra={"exclusiveMinimum": 0}),
    AfterValidator(_seconds),
]
Strings = Annotated[
    tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...])
]


def bounded(low: float | None, high: float | None = None, *, above: bool = False) -> Any:
    """Bounds for the schema only; the types of a request check them, in words of their own."""
    bounds: dict[str, Any] = (
        {} if low is None else {"exclusiveMinimum" if above else "minimum": low}
    )
    return Field(json_schema_extra=bounds if high is None else {**bounds, "maximum": high})


def items(low: int = 0, high: int | None = None, **of_each: Any) -> Any:
    """Bounds of a list's length, and what is said of each item, for the schema only."""
    bounds: dict[str, Any] = (
        {"minItems": low} if high is None else {"minItems": low, "maxItems": high}
    )
    if of_each:
        bounds["items"] = of_each
    return Field(json_schema_extra=bounds)


def one_of(names: Iterable[str]) -> Any:
    """Names for the schema, null among them."""
    return Field(json_schema_extra={"enum": [*names, None]})


class Body(BaseModel):
    """A JSON object; fields it does not have are kept for `refuse_unsupported` to judge.

    `absent` are inherited fields that are unknown all the same.
    """

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())
    absent: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def known(cls) -> set[str]:
        """Names by which its fields are sent."""
        names = set[str]()
        for name, info in cls.model_fields.items():
            alias = info.validation_alias
            if isinstance(alias, AliasChoices):
                names |= {choice for choice in alias.choices if isinstance(choice, str)}
            else:
                names.add(alias if isinstance(alias, str) else name)
        return names.difference(cls.absent)
