"""What hostile inputs are made of: values nobody expects, texts in TOML, bytes that are not what they were."""

import json
import random
from collections.abc import Mapping

TEXTS = (
    "", " ", "64", "true", "nan", "x" * 5000, "é", "\u202eevil", "\ud800", "a\x1b[31mb", "a\nb", "a\rb", "a\x00b",
    "\x9b2J", "|", "[b]",
    "*.txt", "~nouser/x", "..", "/", "/dev/null", "/dev/zero", "/etc", "nothing.txt", "{package:nothing}", "{",
    "evil:X", "os:abort",
    "gzip", "chinchilla", "'; DROP TABLE runs", "1e400", "-", "<script>", "%s%n", "${HOME}", "a/b", "con", "🙂",
    "\ufeff",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 64, 1000, 10**6, 10**9, 10**12, 10**18, 2**31, 2**63, 2**64, 10**30, 10**400, 0.0, -0.0, 0.5,
    1.5, -1.5, 1e-9,
    1e-320, 1e-60, 1e60, 1e154, 1e300, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip


def value(rng: random.Random, depth: int = 0) -> object:
    """Return anything that TOML or JSON can say."""
    kind = rng.randrange(8 if depth < 2 else 5)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4:
        return rng.choice((True, False))
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {rng.choice(("a", "name", "value", "", "x\ny")): value(rng, depth + 1) for _ in range(rng.randrange(3))}
    return near(rng, rng.choice((1, 2.0, "text", [1, 2])))


def near(rng: random.Random, found: object) -> object:
    """Return a value of the same kind as `found`, or almost."""
    if isinstance(found, bool):
        return rng.choice((not found, int(found), str(found)))
    if isinstance(found, int | float):
        return rng.choice(
            (-found, found * 10**6, found / 10**6, str(found), float(found), int(found), [found], found + 1, 0)
        )
    if isinstance(found, str):
        return rng.choice((found + "x", found.upper(), found[: len(found) // 2], [found], found + "\n", found * 50))
    if isinstance(found, list) and found:
        return rng.choice((found[:1], found * 2, found * 300, found[::-1], [], [found], found[0], [*found, found[0]]))
    return None


def places(tree: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the paths to everything in a tree of objects and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path for key, inner in items for path in ((*here, key), *places(inner, (*here, key)))]


def mutated(rng: random.Random, tree: dict[str, object], times: int) -> dict[str, object]:
    """Return a copy of a tree with some values changed, taken away, doubled or renamed."""
    tree = _copy(tree)
    for _ in range(times):
        paths = places(tree)
        if not paths:
            break
        *way, last = rng.choice(paths)
        holder: object = tree
        for key in way:
            holder = holder[key]
        what = rng.randrange(10)
        if what < 4:
            holder[last] = value(rng)
        elif what < 7:
            holder[last] = near(rng, holder[last])
        elif what == 7:
            del holder[last]
        elif isinstance(holder, dict):
            key = rng.choice((f"{last}x", f"x{last}", str(last)[:-1], str(last).upper(), "name", "a\nb"))
            holder[key] = holder.pop(last) if what == 8 else holder[last]
        else:
            holder.append(holder[last])
    return tree


def _copy(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _copy(inner) for key, inner in tree.items()}
    return [_copy(inner) for inner in tree] if isinstance(tree, list) else tree


def toml(tree: Mapping[str, object]) -> str:
    """Return a tree as TOML, with what TOML has no words for left out."""
    return "".join(f"{_text(key)} = {_toml(inner)}\n" for key, inner in tree.items() if inner is not None)


def _toml(found: object) -> str:
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, Mapping):
        return (
            "{ "
            + ", ".join(f"{_text(key)} = {_toml(inner)}" for key, inner in found.items() if inner is not None)
            + " }"
        )
    if isinstance(found, list):
        return "[" + ", ".join(_toml(inner) for inner in found if inner is not None) + "]"
    return _text(found) if isinstance(found, str) else repr(found)


def _text(text: object) -> str:
    """A TOML text; what JSON escapes and TOML does not know stays as it is."""
    escaped = json.dumps(str(text), ensure_ascii=False)
    return escaped.replace("\x7f", "\\u007f")


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return bytes with a few of them changed, cut, doubled or added."""
    content = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(content) + 1)
        until = min(len(content), at + rng.choice((1, 2, 10, 100)))
        match rng.randrange(7):
            case 0:
                del content[at:]
            case 1:
                del content[at:until]
            case 2:
                content[at:at] = content[at:until] * rng.choice((1, 2, 100))
            case 3:
                content[at:at] = rng.choice(
                    (b"\x00", b"\xff\xfe", b"\xe9", b"\n", b'"', b",", b";", b"\t", b"[" * 3000, b"{", b"\x1b[31m")
                )
            case 4:
                content[at:until] = bytes(rng.randrange(256) for _ in range(until - at))
            case 5 if at < len(content):
                content[at] ^= 1 << rng.randrange(8)
            case _:
                content[at:at] = str(rng.choice(NUMBERS)).encode()
    return bytes(content)
