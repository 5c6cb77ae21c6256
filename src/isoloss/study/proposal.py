"""What a study should train next: candidates around its grid, and those that tell most about one quantity per FLOP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.progress import QUIET, Progress
from isoloss.corpus.corpus import Corpus, Outline
from isoloss.fitting.checks import leave_out
from isoloss.fitting.fitted import FittedLaw
from isoloss.laws.law import Floats
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.best_size import Searched, best_sizes, search_sizes
from isoloss.planning.design import Candidate, Drawn, NextRuns, Noise, next_runs
from isoloss.runs.observations import Observations
from isoloss.study.best_splits import Documents, shifts_of
from isoloss.study.corpus_fits import fit_of_study, hold_out, with_law_chosen
from isoloss.study.run_plan import PlannedRun, point
from isoloss.study.spec import FurtherRun, Study

Quantity = Literal["log_ratio", "exponent_a", "loss"]
FORMS = "forms"
LEAST_DRAWS = 500  # of a law
WORTH_IT = 0.9  # of the present width: runs that are expected to leave more than that are not worth their cost
# Candidates reach beyond the grid by these factors, in steps of √2 in size and of 2 in tokens.
SIZES_BELOW, SIZES_ABOVE, SIZE_STEP = 2.0, 4.0, 2**0.5
TOKENS_BELOW, TOKENS_ABOVE, TOKENS_STEP = 2.0, 4.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Runs to train next on one corpus, best first, and the width of the quantity's interval now and afterwards.

    `basis` and `reason` are those of its `Evidence`.
    """

    corpus: str
    quantity: Quantity
    at_flops: float
    runs: tuple["Option", ...]
    design: NextRuns
    basis: str
    reason: str

    @property
    def worth_it(self) -> bool:
        """Whether the runs are expected to narrow the interval by a tenth or more."""
        return self.design.expected_width <= WORTH_IT * self.design.present_width

    def to_json(self) -> dict[str, Any]:
        """Return one element of `corpora` of `isoloss next --json`."""
        return {
            "corpus": self.corpus,
            "quantity": self.quantity,
            "at_flops": self.at_flops,
            "present_width": self.design.present_width,
            "expected_width": self.design.expected_width,
            "flops": self.design.flops,
            "worth_it": self.worth_it,
            "basis": self.basis,
            "reason": self.reason,
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What a corpus's runs say of a quantity: its value and the losses of any runs in the same draws, and the noise.

    `trained` are those runs, as they were fitted. `basis` is "forms" where draws are of several forms together, as the
    study's own answer is, or the name of one law; `reason` says why ln(D*/N*) is not of several forms.
    """

    drawn: Drawn
    draws: Floats
    noise: Noise
    trained: Observations
    basis: str = FORMS
    reason: str = ""


def gather_evidence(
    study: Study,
    table: Observations,
    corpora: Mapping[str, Corpus],
    *,
    quantity: Quantity,
    at_flops: float,
    only: str | None = None,
    documents: Documents | None = None,
    progress: Progress = QUIET,
) -> tuple[dict[str, Evidence], dict[str, InputError]]:
    """Return what the runs of each corpus, or of `only` one, say of a quantity at a budget, and why others say nothing.

    ln(D*/N*) is that of several forms where the optimum is inside the runs. Everything else is of the law that the
    report shows. Raises InputError for no corpus.
    """
    seen, _ = hold_out(study, table)
    wanted = [name for name in seen.corpora if only in (None, name)]
    if not wanted:
        raise InputError(
            f"no finished run of a corpus {only!r}", place="--corpus", fix=did_you_mean(str(only), seen.corpora)
        )
    by_forms: dict[str, Evidence] = {}
    reasons: dict[str, str] = {}
    if quantity == "log_ratio":
        with progress.task("best splits", total=1) as task:
            by_forms, reasons = _by_forms(seen, at_flops, documents, seed=study.seed)
            task.advance(1)
    rest = [name for name in wanted if name not in by_forms]
    if not rest:
        return {name: by_forms[name] for name in wanted}, {}
    study, _ = with_law_chosen(study, seen)
    with progress.task("fits", total=len(rest)) as task:
        laws, errors = fit_of_study(study, seen, corpora, names=rest, least_draws=LEAST_DRAWS, task=task)
    found = dict(by_forms)
    for name, law in laws.items():
        noise = Noise(point_sd=float(np.median(law.noise[:, 0])), trunk_sd=float(np.median(law.noise[:, 1])))
        draws = quantity_draws(law, quantity, at_flops)
        found[name] = Evidence(drawn=law, draws=draws, noise=noise, trained=_fitted(seen, name), basis=law.law,
                               reason=reasons.get(name, ""))  # fmt: skip
    return {name: found[name] for name in wanted if name in found}, errors


def _by_forms(
    table: Observations, at_flops: float, documents: Documents | None, *, seed: int
) -> tuple[dict[str, Evidence], dict[str, str]]:
    """Return what several forms say of ln(D*/N*) at a budget, and why they say nothing of other corpora.

    Other held-out documents would change ln(D*/N*), and more runs do not narrow that part: all runs are judged on the
    same ones. So the losses are drawn without it.
    """
    shifts = shifts_of(table, documents, seed=seed) if documents else None
    searched = search_sizes(table, budgets=[at_flops], seed=seed)
    answers = searched.best() if shifts is None else best_sizes(table, budgets=[at_flops], shifts=shifts, seed=seed)
    found = {}
    for one, answer in zip(searched.found, answers, strict=True):
        if isinstance(one, Searched) and answer.log_ratio_draws is not None:
            point_sd, trunk_sd = one.noise
            noise = Noise(point_sd=point_sd, trunk_sd=trunk_sd)
            found[answer.corpus] = Evidence(
                drawn=one, draws=answer.log_ratio_draws, noise=noise, trained=_fitted(table, answer.corpus)
            )
    return found, {one.corpus: one.reason for one in answers if one.corpus not in found}


def _fitted(table: Observations, corpus: str) -> Observations:
    return leave_out(table.where(corpus=corpus), flags=EXCLUDED_FLAGS)[0]


def propose(
    study: Study,
    table: Observations,
    evidence: Mapping[str, Evidence],
    corpora: Mapping[str, Outline],
    planned: Sequence[PlannedRun],
    *,
    flops: float,
    quantity: Quantity = "log_ratio",
    at_flops: float,
) -> list[Proposal]:
    """Return a proposal for every corpus with evidence, each with an equal part of `flops`.

    `quantity` is ln(D*/N*) or a at `at_flops`, or the loss of the best split there. Raises InputError for too few
    draws, and where the budget pays for no run.
    """
    found = []
    for name, one in evidence.items():
        own = table.where(corpus=name)
        options = [
            option
            for option in candidates(study, name, corpora[name], planned)
            if not _would_be_flagged(own, params=option.params, tokens=option.planned.spec.train_tokens)
        ]
        design = next_runs(
            one.drawn, one.draws,
            [
                Candidate(
                    params=option.params, tokens=option.planned.spec.train_tokens, trunk=option.planned.spec.trunk
                )
                for option in options
            ],
            flops=flops / len(evidence), noise=one.noise, cooldown_fraction=_own_share(study),
            trained=one.trained,
        )  # fmt: skip
        runs = tuple(options[i] for i in design.chosen)
        found.append(
            Proposal(corpus=name, quantity=quantity, at_flops=at_flops, design=design, runs=runs, basis=one.basis,
                     reason=one.reason)
        )  # fmt: skip
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
