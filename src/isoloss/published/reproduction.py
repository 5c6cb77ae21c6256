"""What a reproduction says: numbers next to numbers, a verdict a claim, sections of a page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from isoloss.core.plain_json import Plain
from isoloss.published.folder import Columns, origin_of
from isoloss.report.blocks import Section

Verdict = Literal["holds", "does not hold", "cannot be checked with this data"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published number next to ours. `tolerance` is what may separate them, relative to the published one unless
    `absolute`; `why` says where it comes from."""

    quantity: str
    published: float
    reproduced: float
    tolerance: float
    why: str
    absolute: bool = False

    @property
    def difference(self) -> float:
        """Ours minus the published one."""
        return float(self.reproduced - self.published)

    @property
    def within(self) -> bool:
        """Whether the two agree within the tolerance."""
        scale = 1.0 if self.absolute else abs(self.published)
        return bool(math.isfinite(self.difference) and abs(self.difference) <= self.tolerance * scale)

    def to_json(self) -> dict[str, Any]:
        """Return one element of `rows`; numbers that are none become null."""
        found = {
            "published": float(self.published), "reproduced": float(self.reproduced), "difference": self.difference
        }  # fmt: skip
        return {
            "quantity": self.quantity,
            **{name: value if math.isfinite(value) else None for name, value in found.items()},
            "tolerance": float(self.tolerance),
            "absolute": self.absolute,
            "within": self.within,
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True)
class Claim(Plain):
    """What somebody says, and what the data say to it."""

    claim: str
    verdict: Verdict
    why: str
    source: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reproduction:
    """A study done again. `tables` are further files by name (Markdown, LaTeX) with their text, `columns`
    tables of numbers that are written as Parquet, `animations` what draws further pictures. `seconds` are those of the
    analysis, without drawing; 0 where nobody took them."""

    study: str
    question: str
    rows: Sequence[Row]
    claims: Sequence[Claim]
    sections: Sequence[Section]
    seconds: float = 0.0
    not_shown: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    animations: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    columns: dict[str, Columns] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The paper's title."""
        return origin_of(self.study).title

    @property
    def origin(self) -> str:
        """The paper, and where its data come from."""
        return f"{origin_of(self.study).paper}. {origin_of(self.study).sentence()}"

    @property
    def apart(self) -> list[Row]:
        """The rows that differ by more than their tolerance."""
        return [row for row in self.rows if not row.within]

    def summary(self) -> str:
        """Return how many numbers agree, in one sentence."""
        agreeing = len(self.rows) - len(self.apart)
        return f"{agreeing} of {len(self.rows)} published numbers are reproduced within their tolerance."

    def to_json(self, figures: Sequence[str]) -> dict[str, Any]:
        """Return what `isoloss reproduce --json` prints."""
        return {
            "study": self.study,
            "rows": [row.to_json() for row in self.rows],
            "claims": [claim.to_json() for claim in self.claims],
            "figures": list(figures),
            "not_shown": dict(self.not_shown),
            "summary": self.summary(),
            "origin": self.origin,
            "seconds": self.seconds,
            "analysis_seconds": self.seconds,
        }
