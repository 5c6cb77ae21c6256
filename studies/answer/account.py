"""What the tables hold: the error of held-out losses, the sizes around each budget, what was trained."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from answer.estimates import BUDGETS, Balance
from answer.readings import NEW, OLD, TEXTS, Readings, Row, is_excluded, kinds
from isoloss.core.numbers import power_of_ten
from isoloss.optima.inside import NEAR_TOKENS

if TYPE_CHECKING:
    from answer.page import Found

AIMED_ERROR, AIMED_HELDOUT, AIMED_SIZES = 0.02, 1_000_000, 7  # of the loss; bytes; around each optimum
COOLDOWN = 0.2  # of a run: it branches off its trunk before that, and is trained by itself from there
POWER = 0.8
# Tokens a second on one core by parameters, batches of 256 tokens: docs/results/recipe.md.
SPEEDS = {4544: 131e3, 7104: 128e3, 12352: 112e3, 24864: 95e3, 49920: 82e3, 79872: 59e3, 149760: 43e3, 297856: 23e3}


def heldout_error(readings: Readings, corpus: str) -> float:
    """Return the standard error of the held-out loss over the loss, the median over a text's runs."""
    return float(np.median([float(row["stderr"]) / float(row["loss_nats"]) for row in readings.own(corpus)]))


def needed_share(readings: Readings, corpus: str) -> float:
    """Return the share of a text's documents that would bring the error of its loss down to what was aimed at.

    The error falls with the square root of their number: every held-out document is scored already.
    """
    row = readings.corpora[corpus]
    held = int(row["heldout_documents"])
    times = (heldout_error(readings, corpus) / AIMED_ERROR) ** 2
    return times * held / (held + int(row["train_documents"]))


@dataclass(frozen=True, kw_only=True)
class Around:
    """How many sizes of a text have runs on both sides of a budget, and how many of these lie below and above N*."""

    sizes: int
    below: int
    above: int


def around(readings: Readings, one: Balance, place: int) -> Around:
    """Return the sizes of a text around one of its budgets, of runs without flags."""
    point = one.split.budgets[place]
    assert point.params is not None
    by_size: dict[int, list[float]] = {}
    for row in readings.own(one.corpus):
        if not is_excluded(row):
            by_size.setdefault(int(row["params"]), []).append(float(row["flops_exact"]) / point.flops)
    both = [size for size, shares in by_size.items() if min(shares) <= NEAR_TOKENS and max(shares) >= 1 / NEAR_TOKENS]
    below = sum(size < point.params.value for size in both)
    return Around(sizes=len(both), below=below, above=len(both) - below)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What was trained: runs; tokens and exact FLOPs, the part that runs of a trunk share counted once.

    `seconds` are those of one core by `SPEEDS`, since the tables keep no times.
    """

    runs: int
    tokens: float
    flops: float
    seconds: float


def trained(rows: Sequence[Row]) -> Trained:
    """Return what was trained: of a trunk its longest run, and the cooldown of the others."""
    trunks: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        trunks.setdefault((row["corpus"], row["trunk"]), []).append(row)
    steps = {
        name: [_own([float(row[name]) for row in own]) for own in trunks.values()] for name in ("tokens", "flops_exact")
    }
    sizes = np.log([float(own[0]["params"]) for own in trunks.values()])
    speeds = np.exp(np.interp(sizes, np.log(list(SPEEDS)), np.log(list(SPEEDS.values()))))
    return Trained(
        runs=len(rows), tokens=sum(steps["tokens"]), flops=sum(steps["flops_exact"]),
        seconds=float((np.array(steps["tokens"]) / speeds).sum()),
    )  # fmt: skip


def seeds(readings: Readings, corpus: str) -> list[list[Row]]:
    """Return a text's runs by seed; the one run next to the grid, which may have a seed of its own, is none."""
    by_seed: dict[str, list[Row]] = {}
    for row in readings.own(corpus):
        by_seed.setdefault(row["seed"], []).append(row)
    return [own for own in by_seed.values() if len(own) > 1]


def seed_seconds(readings: Readings, corpora: Sequence[str]) -> float:
    """Return what one seed of a text's grid takes on one core, the median over texts and seeds."""
    return float(np.median([trained(own).seconds for corpus in corpora for own in seeds(readings, corpus)]))


def seeds_each(readings: Readings, corpora: Sequence[str]) -> str:
    """Return how many texts have how many seeds: "2 seeds of 16 texts, 3 seeds of 6 texts"."""
    counted = Counter(len(seeds(readings, corpus)) for corpus in corpora)
    return ", ".join(f"{number} seeds of {texts} texts" for number, texts in sorted(counted.items()))


def _own(steps: Sequence[float]) -> float:
    return max(steps) + COOLDOWN * (sum(steps) - max(steps))


def lone_kinds(texts: Sequence[str]) -> dict[str, str]:
    """Return the kinds of text that have one source only, with that source."""
    of = kinds()
    counted = Counter(of[name] for name in texts if name in of)
    return {of[name]: name for name in texts if name in of and counted[of[name]] == 1}


def unsealed(texts: Sequence[str], sealed_forms: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the texts whose losses the forms did not predict beforehand."""
    sealed = {row["corpus"] for row in sealed_forms}
    return [name for name in texts if name not in sealed]


def shown_correlation(texts: int) -> float:
    """Return the correlation that so many texts show four times in five, two-sided at 5 %, by Fisher's z."""
    return math.tanh(float(stats.norm.ppf(0.975) + stats.norm.ppf(POWER)) / math.sqrt(texts - 3))


def counts(found: "Found") -> dict[str, Any]:
    """Return what the page says of the tables, by the names that its template uses."""
    readings, texts = found.readings, found.texts
    names = [one.corpus for one in texts]
    held = {int(readings.corpora[name]["heldout_tokens"]) for name in names}
    params = [int(row["params"]) for name in readings.finished(TEXTS) for row in readings.own(name)]
    return {
        "spent": trained(readings.rows),
        "heldout": " or ".join(f"{tokens:,}" for tokens in sorted(held)),
        "wide_errors": [name for name in names if heldout_error(readings, name) > AIMED_ERROR],
        "sizes_around": [[around(readings, one, place) for one in texts] for place in range(len(BUDGETS))],
        "sizes": (min(params), max(params)) if params else None,
        "lone_kinds": lone_kinds(TEXTS),
        "unsealed_texts": unsealed(NEW + OLD, found.sealed_forms),
        "lowest_losses": losses_at_best(texts),
    }


def losses_at_best(texts: Sequence[Balance]) -> str:
    """Return a sentence with the range of the texts' losses at the best split of the middle budget."""
    middle = len(BUDGETS) // 2
    points = {one.corpus: one.split.budgets[middle] for one in texts}
    losses = {name: point.loss.value for name, point in points.items() if point.loss is not None}
    if not losses:
        return ""
    least, most = min(losses, key=losses.__getitem__), max(losses, key=losses.__getitem__)
    return (
        f"Losses at the best split of {power_of_ten(BUDGETS[middle])} FLOPs run from {losses[least]:.2f} ({least}) to "
        f"{losses[most]:.2f} ({most}) nats per byte."
    )


def middle_and_ends(values: Sequence[float]) -> str:
    """Return the median of values and, where they differ, their range in brackets."""
    low, high = min(values), max(values)
    return f"{np.median(values):g}" + (f" [{low:g}–{high:g}]" if low < high else "")
