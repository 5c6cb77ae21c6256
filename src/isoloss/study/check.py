"""What a study will do and cost, found out without training or writing anything."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoloss.core import remains
from isoloss.core.machine import workers_for
from isoloss.core.progress import QUIET, Progress
from isoloss.corpus.build import outlined
from isoloss.corpus.corpus import Outline
from isoloss.corpus.sources import PcfgSource
from isoloss.study.expected import Expected, expect, not_to_be_found
from isoloss.study.layout import BudgetSizes, budget_sizes, poor_budgets, unlike
from isoloss.study.run_plan import PlannedRun, arithmetic_warnings, core_seconds, plan_runs, require_runnable
from isoloss.study.soundness import CorpusWarning, corpus_warnings
from isoloss.study.spec import Study
from isoloss.training.job import trunk_jobs

SCRATCH = "isoloss-check-"
# Measured: the demo took 42 s in addition to its training, for six corpora and two laws on two cores (2026-11-29).
ANALYSIS_SECONDS_PER_CORPUS = 7.0


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A valid study: its runs, FLOPs (trunks shared), and an estimate of the time of training on `workers` cores.

    `budgets` says how many sizes hold each budget on each corpus, `expected` what interval of tokens per parameter to
    expect at a middle one; none for a sweep, which has no optimum of a budget.
    """

    study: Study
    runs: list[PlannedRun]
    corpora: dict[str, Outline]
    kinds: dict[str, str]
    trained_tokens: int
    flops: float
    workers: int
    seconds_estimate: float
    corpus_warnings: list[CorpusWarning]
    budgets: list[BudgetSizes]
    expected: list[Expected]

    @property
    def analysis_seconds(self) -> float:
        """A rough time for what is not training: corpora, measures, fits, comparisons and report."""
        return ANALYSIS_SECONDS_PER_CORPUS * len(self.corpora)

    @property
    def warnings(self) -> list[str]:
        """What may keep the study from an answer, or costs more here than it need, in sentences."""
        kinds = ((self.kinds[name], name, corpus.vocab_size) for name, corpus in self.corpora.items())
        grid = self.study.grid
        warnings = (
            poor_budgets(grid, self.budgets), not_to_be_found(grid, self.expected), unlike(kinds),
            self._held_out_in_vain(),
        )  # fmt: skip
        design = [said for said in warnings if said]
        of_corpora = [f"{found.corpus}: {found.message}" for found in self.corpus_warnings]
        return [*design, *arithmetic_warnings(self.study.training.numerics), *of_corpora]

    def _held_out_in_vain(self) -> str | None:
        """Return what is to be said of a budget that holds out none of the runs, or all of them."""
        held = self.study.fit.holdout
        if held is None or self.study.tune is not None:
            return None
        budgets = [run.flops for run in self.runs]
        above = sum(flops > held.flops_above for flops in budgets)
        if 0 < above < len(budgets):
            return None
        what = "no run is held out" if not above else "every run is held out, and none is left to fit"
        return (
            f"{what}: fit.holdout keeps the runs above {held.flops_above:.3g} FLOPs from the fits, and those of this "
            f"study have {min(budgets):.3g} to {max(budgets):.3g}. Set flops_above between them, or leave holdout out."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss check --json`."""
        return {
            "name": self.study.name,
            "runs": [
                {
                    "fingerprint": run.spec.fingerprint, "trunk": run.spec.trunk, "corpus": run.corpus,
                    "counts": run.counts.model_dump(), "tokens": run.spec.train_tokens, "flops": run.flops,
                }
                for run in self.runs
            ],
            "design": self.study.grid.design,
            "following_horizon": list(self.study.training.following_horizon),
            "trained_tokens": self.trained_tokens,
            "flops": self.flops,
            "seconds_estimate": self.seconds_estimate,
            "analysis_seconds_estimate": self.analysis_seconds,
            "vocabularies": {name: corpus.vocab_size for name, corpus in self.corpora.items()},
            "budgets": [held.to_json() for held in self.budgets],
            "expected": [one.to_json() for one in self.expected],
            "warnings": self.warnings,
            "corpus_warnings": [warning.to_json() for warning in self.corpus_warnings],
        }  # fmt: skip


def check_study(study: Study, *, base: Path, results: Path | None = None, progress: Progress = QUIET) -> Checked:
    """Return what `study` will do. Nothing is written where it will run.

    How many tokens a text has, and who it is, shows when it is read and split; what a grammar would say is known
    without drawing it. Corpora, and grammars of designs, that stand in the folder `results` are taken from there; other
    texts are read into a folder that is thrown away, and other designs searched. Raises InputError subclasses for
    whatever would stop the study before it trains, NothingFound for a design that no grammar meets.
    """
    require_runnable(study)
    with remains.temporary_folder(Path(tempfile.gettempdir()), SCRATCH) as root:
        if results is not None:
            _link(results / "corpora", root / "corpora", "*/corpus.json")
            _link(results / "designs", root / "designs", "*.json")
        sources = study.sources(context=study.grid.context, folder=root / "designs", progress=progress)
        corpora = {
            source.name: outlined(
                source, root=root / "corpora", context=study.grid.context, seed=study.seed, base=base, progress=progress
            )
            for source in sources
        }
        # Where the optimum is as expected: the second pass of a centred grid follows from the first when it is there.
        runs = plan_runs(study, corpora, centres=dict.fromkeys(corpora, study.grid.tokens_per_param))
        warnings = corpus_warnings(corpora, context=study.grid.context)
    jobs = trunk_jobs([run.spec for run in runs])
    on: dict[str, list[PlannedRun]] = {name: [] for name in corpora}
    for run in runs:
        on[run.corpus].append(run)
    budgets = [] if study.tune else [held for name in corpora for held in budget_sizes(study.grid, on[name], name)]
    workers = workers_for(study.training.threads)
    return Checked(
        study=study,
        runs=runs,
        corpora=corpora,
        kinds={source.name: "generated" if isinstance(source, PcfgSource) else "text" for source in sources},
        trained_tokens=sum(job.tokens for job in jobs),
        flops=sum(run.flops for run in runs),
        workers=workers,
        seconds_estimate=core_seconds(jobs) / min(workers, len(jobs)),
        budgets=budgets,
        expected=expect(study.grid, on, budgets) if budgets else [],
        corpus_warnings=warnings,
    )


def _link(kept: Path, scratch: Path, pattern: str) -> None:
    """Let what stands in `kept`, a level below it, stand in `scratch` too: `pattern` finds a file of each."""
    scratch.mkdir()
    for name in sorted({found.relative_to(kept).parts[0] for found in kept.glob(pattern)}):
        (scratch / name).symlink_to((kept / name).resolve())
