"""What a study will do and cost, found out without training or writing anything."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoloss.core.machine import workers_for
from isoloss.core.progress import QUIET, Progress
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


def check_study(study: Study, *, base: Path, results: Path | None = None, progress: Progress = QUIET) -> Checked:
    """Return what `study` will do. Nothing is written where it will run.

    How many tokens a corpus has, and who it is, shows when it is read and split: corpora that stand in the folder
    `results` are taken from there, others are built in a folder that is thrown away. Raises InputError subclasses for
    whatever would stop the study before it trains.
    """
    require_runnable(study)
    with tempfile.TemporaryDirectory(prefix="isoloss-check-") as scratch:
        root = Path(scratch)
        if results is not None:
            _link_corpora(results / "corpora", root)
        corpora = {
            source.name: build(
                source, root=root, context=study.grid.context, seed=study.seed, base=base, progress=progress
            )
            for source in study.sources(folder=root)
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


def _link_corpora(built: Path, root: Path) -> None:
    """Let the corpora in `built` stand in `root` too."""
    for record in built.glob("*/corpus.json"):
        (root / record.parent.name).symlink_to(record.parent.resolve(), target_is_directory=True)
