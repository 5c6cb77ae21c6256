"""Text from elsewhere as it may be shown: a terminal, a log and a page read control characters as orders."""

import re

# C0 and C1 controls, line and paragraph separators, marks that turn the direction of writing, half of a character.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_IN_LINES = re.compile(_CONTROL.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def shown(text: str) -> str:
    r"""Return text in one line, every control character as Python writes it: `\n`, `\x1b`, `\u202e`."""
    return _CONTROL.sub(_escaped, text)


def shown_lines(text: str) -> str:
    """Return text as `shown` does, its line ends kept."""
    return _CONTROL_IN_LINES.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii") if found[0] < "\ud800" else f"\\u{ord(found[0]):04x}"
