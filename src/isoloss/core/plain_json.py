"""What dataclasses hold as plain JSON data."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel


class Plain:
    """A dataclass whose fields are what `--json` prints of it."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name as plain JSON data."""
        return fields_json(self)


def fields_json(record: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of a dataclass by name as plain JSON data, those in `without` left out."""
    return {f.name: plain(getattr(record, f.name)) for f in fields(record) if f.name not in without}


def plain(value: Any) -> Any:
    """Return plain JSON data of a value: an object's own `to_json`, else its fields; lists of tuples."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if hasattr(value, "__dataclass_fields__"):
        return fields_json(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value
