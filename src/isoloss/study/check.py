"""What a study will do and cost, found out without training or writing anything."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoloss.core.machine import workers_for
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.study.plan import PlannedRun, core_seconds, plan_runs, require_runnable
from isoloss.study.spec import Study
from isoloss.training.job import trunk_jobs


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A valid study: its runs, FLOPs (trunks shared), and an estimate of the time on `workers` cores."""

    study: Study
    runs: list[PlannedRun]
    corpora: dict[str, Corpus]
    trained_tokens: int
    flops: float
    workers: int
    seconds_estimate: float

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss check --json`."""
        return {
            "name": self.study.name,
            "runs": [
                {
                    "fingerprint": run.spec.fingerprint, "corpus": run.corpus, "counts": run.counts.model_dump(),
                    "tokens": run.spec.train_tokens, "flops": run.flops,
                }
                for run in self.runs
            ],
            "trained_tokens": self.trained_tokens,
            "flops": self.flops,
            "seconds_estimate": self.seconds_estimate,
        }  # fmt: skip


def check_study(study: Study, *, base: Path) -> Checked:
    """Return what `study` will do. Corpora are built in a folder that is thrown away: identity is content.

    Raises InputError subclasses for whatever would stop the study before it trains.
    """
    require_runnable(study)
    with tempfile.TemporaryDirectory(prefix="isoloss-check-") as scratch:
        corpora = {
            source.name: build(source, root=Path(scratch), context=study.grid.context, seed=study.seed, base=base)
            for source in study.sources(folder=Path(scratch))
        }
        runs = plan_runs(study, corpora)
    jobs = trunk_jobs([run.spec for run in runs])
    workers = workers_for(study.training.threads)
    return Checked(
        study=study,
        runs=runs,
        corpora=corpora,
        trained_tokens=sum(job.tokens for job in jobs),
        flops=sum(run.flops for run in runs),
        workers=workers,
        seconds_estimate=core_seconds(jobs) / min(workers, len(jobs)),
    )
