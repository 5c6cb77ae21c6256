"""What a study should train next: candidates around its grid, and those that tell most about one quantity per FLOP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.progress import Progress
from isoloss.corpus.corpus import Corpus, Outline
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import CorpusFits
from isoloss.laws.law import Floats
from isoloss.planning.design import Candidate, NextRuns, Noise, next_runs
from isoloss.runs.observations import Observations
from isoloss.study.corpus_fits import fit_of_study, hold_out, with_law_chosen
from isoloss.study.run_plan import PlannedRun, point
from isoloss.study.spec import FurtherRun, Study

Quantity = Literal["log_ratio", "exponent_a", "loss"]
LEAST_DRAWS = 500
# Candidates reach beyond the grid by these factors, in steps of √2 in size and of 2 in tokens.
WORTH_IT = 0.9  # of the present width: runs that are expected to leave more than that are not worth their cost
SIZES_BELOW, SIZES_ABOVE, SIZE_STEP = 2.0, 4.0, 2**0.5
TOKENS_BELOW, TOKENS_ABOVE, TOKENS_STEP = 2.0, 4.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Runs to train next on one corpus, best first, and the width of the quantity's interval now and afterwards.

    Both widths are those of `law` alone.
    """

    corpus: str
    law: str
    quantity: Quantity
    at_flops: float
    runs: tuple["Option", ...]
    design: NextRuns

    @property
    def worth_it(self) -> bool:
        """Whether the runs are expected to narrow the interval by a tenth or more."""
        return self.design.expected_width <= WORTH_IT * self.design.present_width

    def to_json(self) -> dict[str, Any]:
        """Return one element of `corpora` of `isoloss next --json`."""
        return {
            "corpus": self.corpus,
            "law": self.law,
            "quantity": self.quantity,
            "at_flops": self.at_flops,
            "present_width": self.design.present_width,
            "expected_width": self.design.expected_width,
            "flops": self.design.flops,
            "worth_it": self.worth_it,
            "runs": [
                run.to_json() | {"expected_width": width}
                for run, width in zip(self.runs, self.design.widths, strict=True)
            ],
        }

    def toml(self) -> str:
        """Return the runs as a study takes them."""
        return "\n".join(run.toml() for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class Option:
    """A run that a study could add: as its file writes it, and as it would be trained."""

    asked: FurtherRun
    planned: PlannedRun
    params: int

    def to_json(self) -> dict[str, Any]:
        """Return the run: its size by the study's convention, what it costs alone, its shape."""
        spec = self.planned.spec
        return {
            "corpus": self.planned.corpus, "params": self.params, "tokens": spec.train_tokens, "seed": self.asked.seed,
            "flops": self.planned.flops, "shape": spec.model.model_dump(), "fingerprint": spec.fingerprint,
        }  # fmt: skip

    def toml(self) -> str:
        """Return the run as an entry of a study file."""
        one = self.asked
        return (
            f'[[run]]\ncorpus = "{one.corpus}"\nparams = {one.params:g}\ntokens = {one.tokens:g}\nseed = {one.seed}\n'
        )


def laws_for_proposal(
    study: Study, table: Observations, corpora: Mapping[str, Corpus], *, only: str | None, progress: Progress
) -> CorpusFits:
    """Return the law of each corpus, or of one alone, that the report shows, and why others have none.

    Raises InputError for no corpus.
    """
    seen, _ = hold_out(study, table)
    study, _ = with_law_chosen(study, seen)
    wanted = [name for name in seen.corpora if only in (None, name)]
    if not wanted:
        raise InputError(
            f"no finished run of a corpus {only!r}", place="--corpus", fix=did_you_mean(str(only), seen.corpora)
        )
    with progress.task("fits", total=len(wanted)) as task:
        return fit_of_study(study, seen, corpora, names=wanted, least_draws=LEAST_DRAWS, task=task)


def propose(
    study: Study,
    table: Observations,
    laws: Mapping[str, FittedLaw],
    corpora: Mapping[str, Outline],
    planned: Sequence[PlannedRun],
    *,
    flops: float,
    quantity: Quantity = "log_ratio",
    at_flops: float,
) -> list[Proposal]:
    """Return a proposal for every corpus with a law, each with an equal part of `flops`.

    `quantity` is ln(D*/N*) or a at `at_flops`, or the loss of the best split there. Raises InputError for laws without
    draws, and where the budget pays for no run.
    """
    found = []
    for name, law in laws.items():
        own = table.where(corpus=name)
        options = [
            one
            for one in candidates(study, name, corpora[name], planned)
            if not _would_be_flagged(own, params=one.params, tokens=one.planned.spec.train_tokens)
        ]
        design = next_runs(
            law, quantity_draws(law, quantity, at_flops),
            [
                Candidate(params=one.params, tokens=one.planned.spec.train_tokens, trunk=one.planned.spec.trunk)
                for one in options
            ],
            flops=flops / len(laws),
            noise=Noise(point_sd=float(np.median(law.noise[:, 0])), trunk_sd=float(np.median(law.noise[:, 1]))),
            cooldown_fraction=_own_share(study),
        )  # fmt: skip
        runs = tuple(options[i] for i in design.chosen)
        found.append(Proposal(corpus=name, law=law.law, quantity=quantity, at_flops=at_flops, design=design, runs=runs))
    return found


def _would_be_flagged(table: Observations, *, params: float, tokens: float) -> bool:
    """Whether fits would leave a run out: too short to have learnt, or so long and large that it ends at the floor.

    So were runs of the table as long or longer that had not learnt, and runs no larger and no longer at the floor.
    Shorter runs than any that was trained are not proposed either: nothing says that they would learn.
    """
    for size, length, flags in zip(table.params, table.tokens, table.flags or (), strict=True):
        if "unconverged" in flags and tokens <= length:
            return True
        if "saturated" in flags and params >= size and tokens >= length:
            return True
    return tokens < float(table.tokens.min())


def quantity_draws(law: FittedLaw, quantity: Quantity, at_flops: float) -> Floats:
    """Return the quantity under each draw of a law; NaN where a draw has none."""
    if quantity == "log_ratio":
        return law.log_ratio_draws(at_flops)
    if quantity == "exponent_a":
        return law.definition.exponent_a(law.draws, log_flops=float(np.log(at_flops / law.flops_factor)))
    best = law.optimum(at_flops)
    return law.predict_draws(params=best.params.value, tokens=best.tokens.value)[:, 0]


def candidates(study: Study, name: str, corpus: Outline, planned: Sequence[PlannedRun]) -> list[Option]:
    """Return runs that could be added to a study: around its grid, and replicates on one more seed, that it lacks."""
    taken = {run.spec.fingerprint for run in planned}
    longest = corpus.token_budget(study.grid.context)
    lengths = _steps(study.grid.lengths, TOKENS_BELOW, TOKENS_ABOVE, TOKENS_STEP)
    found = []
    sizes = [run.counts.params(study.grid.convention) for run in planned if run.corpus == name]
    for size in _steps(sizes, SIZES_BELOW, SIZES_ABOVE, SIZE_STEP):
        try:
            model = study.grid.near(size, vocab_size=corpus.vocab_size)
        except InputError:
            continue  # the vocabulary alone takes more: there is no such model
        for tokens, seed in product(lengths, (*study.grid.seeds, max(study.grid.seeds) + 1)):
            run = point(study, name, corpus, model, seed, tokens)
            if run.spec.train_tokens <= longest and run.spec.fingerprint not in taken:
                taken.add(run.spec.fingerprint)
                asked = FurtherRun(corpus=name, params=size, tokens=tokens, seed=seed)
                found.append(Option(asked=asked, planned=run, params=run.counts.params(study.grid.convention)))
    return found


def _steps(values: Sequence[float], below: float, above: float, step: float) -> list[float]:
    low, high = min(values) / below, max(values) * above
    count = 1 + round(float(np.log(high / low) / np.log(step)))
    return [float(f"{value:.3g}") for value in np.geomspace(low, high, count)]


def _own_share(study: Study) -> float | None:
    """Return the share of its tokens that a run spends away from its trunk; None where nothing is shared."""
    if study.training.following_horizon or study.training.schedule == "cosine":
        return None
    return study.training.cooldown_fraction if study.training.schedule == "wsd" else 0.0
