"""What a table of runs alone gives reason to warn of, before any law is fitted to it: every check with its remedy."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from isoloss.core.numbers import some
from isoloss.fitting.checkpoints import checkpoints_as_runs
from isoloss.fitting.domain import LawWarning
from isoloss.laws.law import Law
from isoloss.runs.observations import RUN_COLUMNS, SAME_FLOPS, STEADY_SPAN, Observations
from isoloss.runs.sizes import distinct_sizes

# Thresholds of warnings. Each is a judgement, stated here and in the message.
NARROW_SPAN = 4.0
MOST_ROWS = 0.5  # with fewer tokens than parameters; compute-optimal training takes some 20 tokens a parameter
# Exchanged, no row may have more. The Chinchilla rows have 341 at most; the gzip paper's would have 14,000: little data
# is meant there.
MOST_TOKENS_EACH = 1000.0
LARGEST_VOCABULARY = 300_000  # where the table does not say: published tokenizers have up to 262,144 entries
SAME_VOCABULARY = 1.1  # padding to round sizes changes a vocabulary by less
# Embeddings and head make up to 98 % of a small model, attention doubles a long one: factors of up to 50.
FLOPS_FACTOR = 50.0
OF_FLOPS = ("unsteady_flops", "other_flops")
"""Warnings that say how a law counts FLOPs. What counts them as the table does has no use for them."""
OTHER_FLOPS = 1.1  # a multiple of 6ND, either way, that is worth saying
# One narrow layer on bytes has more weights, and one batch more tokens: such numbers are millions of them.
LEAST_COUNTS = {"params": 500.0, "tokens": 1000.0}
# The largest models have some 1e13 weights, and all text ever written some 1e15 tokens.
MOST_COUNTS = {"params": 1e14, "tokens": 1e17}


def table_warnings(observations: Observations, *, law: type[Law]) -> tuple[LawWarning, ...]:
    """Return what the table alone gives reason to warn of, where `law` is fitted to it."""
    return tuple(warning for check in _TABLE_CHECKS for warning in check(observations, law))


def in_words(column: str) -> str:
    """Return a column's name as people say it."""
    return {"params": "parameters", "flops": "FLOPs"}.get(column, column.replace("_", " "))


def _duplicates(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    names = dict.fromkeys([*filter(observations.has, ("params", "tokens")), *law.columns])
    columns = [observations.column(name) for name in names]
    rows = np.column_stack([*columns, observations.loss_nats])
    _, first = np.unique(rows, axis=0, return_index=True)
    repeats = np.delete(observations.rows, first)
    if len(repeats):
        yield LawWarning(
            code="duplicate_rows",
            message=f"{len(repeats)} of {len(rows)} rows repeat another row exactly (all columns that the law "
            f"reads, and the loss; row {some(repeats)}). They count twice and make intervals too narrow. Remove "
            "them unless they really are separate runs.",
            rows=tuple(repeats.tolist()),
        )


def _worse_than_guessing(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn of losses above ln V: a uniform guess over the vocabulary loses no more."""
    given = observations.vocab
    vocab = np.full(len(observations), float(LARGEST_VOCABULARY)) if given is None else given
    above = observations.loss_nats > np.log(vocab)
    if not above.any():
        return
    highest = int(np.argmax(observations.loss_nats - np.log(vocab)))
    of = (
        f"{vocab[highest]:,.0f} entries" if given is not None else f"the largest in use, {LARGEST_VOCABULARY:,} entries"
    )
    rows = observations.rows[above]
    yield LawWarning(
        code="loss_above_uniform",
        message=f"{above.sum()} of {len(above)} losses (row {some(rows)}) are above the ln of the vocabulary size, "
        f"{of}: {observations.loss_nats[highest]:.5g} against {np.log(vocab[highest]):.5g} nats. Guessing would "
        "be better. Are they bits (then loss · ln 2), perplexities (then ln loss), sums over tokens, or runs that "
        "diverged? Convert the column, or leave the rows out.",
        rows=tuple(rows.tolist()),
    )


def _impossible_flops(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn of FLOPs that no counting of parameters explains, where the table has all three to compare."""
    if not observations.has(*RUN_COLUMNS):
        return
    ratio = observations.flops / (6 * observations.params * observations.trained_tokens)
    bad = (ratio < 1 / FLOPS_FACTOR) | (ratio > FLOPS_FACTOR)
    if bad.any():
        rows = observations.rows[bad]
        yield LawWarning(
            code="impossible_flops",
            message=f"the FLOPs of {bad.sum()} of {len(bad)} rows (row {some(rows)}) are {ratio[bad][0]:.2g} times "
            f"6 · parameters · tokens, off by more than a factor of {FLOPS_FACTOR:g}. Counting embeddings, heads or "
            "attention cannot explain that much. Are columns swapped, or units different (1e9 parameters, "
            "PFLOP-days)? Correct the columns, or leave FLOPs out; then C = 6 N D.",
            rows=tuple(rows.tolist()),
        )


def unsteady_flops(observations: Observations) -> bool:
    """Whether the table's FLOPs are no fixed multiple of 6 · params · tokens: laws of two exponents then use 6ND."""
    ratios = observations.flops_ratios
    return ratios is not None and len(ratios) > 0 and bool(ratios.max() > STEADY_SPAN * ratios.min())


def flops_in_words(observations: Observations) -> str | None:
    """Return how the table's FLOPs differ from 6 · params · tokens, and why they may; None where they do not."""
    ratios = observations.flops_ratios
    if ratios is None or (ratios < 1 / FLOPS_FACTOR).any() or (ratios > FLOPS_FACTOR).any():
        return None  # columns or units are wrong: `_impossible_flops` says so
    low, high, factor = float(ratios.min()), float(ratios.max()), observations.flops_factor
    span = f"{low:.3g} to {high:.3g}"
    if unsteady_flops(observations):
        found = f"{span} times 6 · parameters · tokens, not one fixed multiple"
    elif max(factor, 1 / factor) > OTHER_FLOPS:
        found = f"{factor:.3g} times 6 · parameters · tokens" + (f" ({span})" if high > SAME_FLOPS * low else "")
    else:
        return None
    return (
        f"the table's FLOPs are {found}. FLOPs of a mixture of experts count active parameters; other counts leave "
        "out embeddings or add attention. Is the column of parameters the one that the FLOPs count?"
    )


def _other_flops(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn of FLOPs that are not 6ND, and say by which ones frontiers go."""
    if (found := flops_in_words(observations)) is None:
        return
    factor = observations.flops_factor
    if factor == 1.0:
        yield LawWarning(
            code="unsteady_flops",
            message=f"{found} Best splits of this law use C = 6ND. Name the column of parameters that the FLOPs "
            "count, or get best splits by each size's own FLOPs (on the command line: isoloss isoflop --flops "
            "COLUMN).",
        )
    else:
        yield LawWarning(
            code="other_flops",
            message=f"{found} Best splits and plans use the table's FLOPs, {6 * factor:.3g} · parameters · tokens; "
            "leave the column out to use 6ND.",
        )


def _mixed_tokenizers(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn where nats per token of different tokens are fitted as one: they measure different things."""
    named, vocab = observations.tokenizer, observations.vocab
    if named is not None and len(np.unique(named)) > 1:
        kinds, counts = np.unique(named, return_counts=True)
        said, rare = " and ".join(map(repr, kinds[:3].tolist())), named != kinds[counts.argmax()]
    elif vocab is not None and vocab.max() > SAME_VOCABULARY * vocab.min():
        kinds, counts = np.unique(vocab, return_counts=True)
        said, rare = f"vocabularies of {vocab.min():,.0f} to {vocab.max():,.0f}", vocab != kinds[counts.argmax()]
    else:
        return
    rows = observations.rows[rare]
    yield LawWarning(
        code="mixed_tokenizers",
        message=f"runs with {said} are fitted together (row {some(rows)} differ from most): losses per token and "
        "token counts are comparable only within one tokenizer. Fit each by itself (on the command line: "
        "--group), or "
        "give losses per byte and data in bytes.",
        rows=tuple(rows.tolist()),
    )


def _narrow_grid(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    for name in law.columns:
        column = observations.column(name)
        span = float(column.max() / column.min())
        if name in law.may_be_constant | law.may_be_narrow:
            continue
        if span < NARROW_SPAN:
            yield LawWarning(
                code="narrow_grid",
                message=f"{in_words(name)} span only a factor of {span:.2g}, so the exponent and the constant cannot "
                "be told apart. Add runs until they span a factor of 10 or more.",
            )
    if "params" not in law.columns:
        return
    sizes = len(distinct_sizes(np.unique(observations.params))[0])
    if sizes < 3:
        yield LawWarning(
            code="narrow_grid",
            message=f"only {sizes} distinct model sizes: E, A and α need at least three. Add a size.",
        )


def _swapped_columns(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn where N and D look exchanged: the law and 6ND are alike in both, so no number of the fit would show it."""
    if not law.has_frontier():
        return
    reasons = _named_exchanged(observations)
    scarce = observations.tokens < observations.params
    plausible = bool(reasons) or float((observations.params / observations.tokens).max()) <= MOST_TOKENS_EACH
    by_value = scarce.mean() > MOST_ROWS and plausible and not _too_small(observations, law)
    if by_value:
        reasons.insert(
            0,
            f"{scarce.sum()} of {len(scarce)} rows have fewer tokens than parameters "
            f"(median {np.median(observations.tokens / observations.params):.2g} tokens per parameter)",
        )
    if reasons:
        yield LawWarning(
            code="columns_swapped",
            message=f"{', and '.join(reasons)}: are parameters and tokens swapped? Swap the columns (on the command "
            "line: --params, --tokens), or ignore this note if the data really are that small.",
            rows=tuple(observations.rows[scarce].tolist()) if by_value else (),
        )


def _named_exchanged(observations: Observations) -> list[str]:
    """Return which of N and D the source calls by the other's name."""
    params, tokens = (observations.named.get(role, "").lower() for role in ("params", "tokens"))
    return [
        f"the column of {role} is called {name!r}"
        for role, name, own, other in (("parameters", params, "param", "token"), ("tokens", tokens, "token", "param"))
        if other in name and own not in name
    ]


def _too_small(observations: Observations, law: type[Law]) -> dict[str, NDArray[np.bool_]]:
    """Return which rows hold too small a number to be a count, by those columns that hold one."""
    small = {name: observations.column(name) < least for name, least in LEAST_COUNTS.items() if name in law.columns}
    return {name: rows for name, rows in small.items() if rows.any()}


def _units(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn of sizes and lengths too small to be counts: 6ND, budgets and plans would be off by powers of ten."""
    for name, small in _too_small(observations, law).items():
        rows = observations.rows[small]
        yield LawWarning(
            code="small_units",
            message=f"the {in_words(name)} of {small.sum()} of {len(small)} rows (row {some(rows)}) are under "
            f"{LEAST_COUNTS[name]:g}, the smallest {observations.column(name).min():.3g}. Are they in millions or "
            f"billions? FLOPs and budgets need plain counts. "
            f'Convert the column (on the command line: --{name} "… * 1e6", or 1e9).',
            rows=tuple(rows.tolist()),
        )


def _large_units(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn of sizes and lengths that no run reaches, such as counts that were multiplied once more."""
    for name, most in MOST_COUNTS.items():
        if name not in law.columns or not (large := observations.column(name) > most).any():
            continue
        rows = observations.rows[large]
        yield LawWarning(
            code="large_units",
            message=f"the {in_words(name)} of {large.sum()} of {len(large)} rows (row {some(rows)}) are above "
            f"{most:g}, the largest {observations.column(name).max():.3g}. No run is that large. Were plain counts "
            "multiplied by a million or a billion? Text such as 70M is read as 7e7 already. Convert the column (on "
            f'the command line: --{name} "… / 1e6", or name it without a factor).',
            rows=tuple(rows.tolist()),
        )


_TABLE_CHECKS: tuple[Callable[[Observations, type[Law]], Iterator[LawWarning]], ...] = (
    _duplicates, _narrow_grid, _swapped_columns, _units, _large_units, _worse_than_guessing, _impossible_flops,
    _other_flops, _mixed_tokenizers, checkpoints_as_runs,
)  # fmt: skip
