"""What dataclasses hold as plain JSON data."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel


def fields_json(record: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields of a dataclass by name as plain JSON data, those in `without` left out."""
    return {f.name: _plain(getattr(record, f.name)) for f in fields(record) if f.name not in without}


def _plain(value: Any) -> Any:
    """Return plain JSON data of a value: an object's own `to_json`, else its fields; lists of tuples."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if hasattr(value, "__dataclass_fields__"):
        return fields_json(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
