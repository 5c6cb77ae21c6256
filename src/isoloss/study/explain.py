"""Turn a validation error into one sentence a person can act on: key, what was found, the nearest known key."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from isoloss.core.errors import did_you_mean


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Return (message, fix) for the errors in `error`: all of them, the first one's fix."""
    # A misspelt key also leaves its namesake missing: the spelling is the news. A list without its wrong members may be
    # too short: the members are.
    found = error.errors(include_url=False)
    within = {detail["loc"][:depth] for detail in found for depth in range(len(detail["loc"]))}
    details = sorted(
        (detail for detail in found if detail["type"] != "too_short" or detail["loc"] not in within),
        key=lambda detail: detail["type"] != "extra_forbidden",
    )
    explained = [_one(dict(detail), model) for detail in details]
    texts = list(dict(explained))  # once each: a key that fits no member of a union is reported by every member
    message = "; ".join(texts[:5]) + (f"; and {len(texts) - 5} more" if len(texts) > 5 else "")
    return message, explained[0][1]


# What a value of the wrong kind should have been; what pydantic calls them, a study's author need not know.
_KINDS = {
    "tuple_type": "a list such as [1, 2]", "list_type": "a list such as [1, 2]",
    "dict_type": "a table such as { E = 1.8 }", "model_type": "a table such as { E = 1.8 }",
    "model_attributes_type": "a table such as { E = 1.8 }",
}  # fmt: skip


def _one(detail: dict[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    location = detail["loc"]
    key = ".".join(str(part) for part in _without_tags(location, model))
    of, correct = f"{key}: " if key else "", f"correct {key or 'the study'}"
    match detail["type"]:
        case "extra_forbidden":
            known = _keys(_container(location[:-1], model))
            return f"unknown key {key!r}", did_you_mean(str(location[-1]), known)
        case "missing":
            return f"{key!r} is missing", f"add {location[-1]!r}"
        case "literal_error" | "union_tag_invalid":
            expected = detail.get("ctx", {})
            found = expected.get("tag", detail["input"])
            choices = str(expected.get("expected") or expected.get("expected_tags")).replace("'", "")
            names = [name.strip() for name in choices.replace(" or ", ", ").split(",")]
            return f"{key}: found {found!r}", did_you_mean(str(found), names)
        case "union_tag_not_found":
            tag = str(detail["ctx"]["discriminator"]).strip("'")
            models = [m for m in _container(location, model) if tag in m.model_fields]
            names = sorted(str(name) for m in models for name in _literals(m.model_fields[tag].annotation))
            return f"{key}: {tag!r} is missing", "add " + " or ".join(f'{tag} = "{name}"' for name in names)
        case "value_error":
            return f"{of}{detail['ctx']['error']}", correct
        case kind if kind in _KINDS:
            return f"{of}found {detail['input']!r}, expected {_KINDS[kind]}", correct
        case _:
            said = detail["msg"].removeprefix("Input ")
            return f"{of}{said[0].lower()}{said[1:]}, found {detail['input']!r}", correct


def _container(location: tuple[int | str, ...], model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the models that a location may lie in. Parts that are no field are list positions or union tags."""
    current: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [m.model_fields[part] for m in current if part in _keys([m])]
        if fields:
            current = [inner for f in fields for inner in _models_in(f.annotation)]
        else:
            tagged = [m for m in current if part in _tags(m)]
            current = tagged or current
    return current


def _without_tags(location: tuple[int | str, ...], model: type[BaseModel]) -> list[int | str]:
    return [
        part
        for i, part in enumerate(location)
        if isinstance(part, int) or i == len(location) - 1 or part in _keys(_container(location[:i], model))
    ]


def _keys(models: list[type[BaseModel]]) -> list[str]:
    return [f.alias or name for m in models for name, f in m.model_fields.items()]


def _tags(model: type[BaseModel]) -> set[str]:
    return {str(value) for f in model.model_fields.values() for value in _literals(f.annotation)}


def _literals(annotation: Any) -> list[object]:
    return [a for a in get_args(annotation) if isinstance(a, str)]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in get_args(annotation) for m in _models_in(argument)]


def first_misread(content: object, model: object, key: str = "") -> tuple[str, object] | None:
    """Return key and value of the first number of a validated `model` that `content` wrote as text, true or false.

    None for none: `'64'` was not taken for 64, nor `true` for 1.
    """
    if isinstance(content, Mapping):
        fields = type(model).model_fields if isinstance(model, BaseModel) else {}
        names = {(field.alias or name): name for name, field in fields.items()}
        parts = [(name, value, getattr(model, names[name])) for name, value in content.items() if name in names]
    elif isinstance(content, Sequence) and not isinstance(content, str) and isinstance(model, Sequence):
        parts = [(str(i), *pair) for i, pair in enumerate(zip(content, model, strict=False))]
    else:
        is_number = isinstance(model, int | float) and not isinstance(model, bool)
        return (key, content) if is_number and isinstance(content, str | bool) else None
    found = (first_misread(value, read, f"{key}.{name}" if key else name) for name, value, read in parts)
    return next(filter(None, found), None)
