"""From the runs of a [tune] study to what they say of rate and batch."""

from collections.abc import Sequence

import numpy as np

from isoloss.core.errors import WorkError
from isoloss.runs.record import RunRecord
from isoloss.study.run_plan import PlannedRun, horizons
from isoloss.study.spec import Study
from isoloss.tuning.sweep import SweptRun
from isoloss.tuning.tuning import Tuning, fit_tuning


def tune(study: Study, planned: Sequence[PlannedRun], records: Sequence[RunRecord]) -> dict[str, Tuning]:
    """Return the tuning of every corpus that has runs. Raises WorkError where no run has ended with a loss."""
    by_run = {record.fingerprint: record for record in records}
    swept: dict[str, list[SweptRun]] = {}
    for run in planned:
        record = by_run.get(run.spec.fingerprint)
        if record is not None and record.status != "failed":
            swept.setdefault(run.corpus, []).append(_swept(study, run, record))
    if not any(run.loss_nats for runs in swept.values() for run in runs):
        raise WorkError("no run of the sweep has finished", fix="isoloss runs DIR shows their state")
    return {name: fit_tuning(name, runs, seed=study.seed) for name, runs in swept.items()}


def _swept(study: Study, run: PlannedRun, record: RunRecord) -> SweptRun:
    """Return a run as the sweep sees it: its horizon is the one asked for, whatever its batch rounded that to."""
    asked = horizons(study, study.grid, run.spec.model)
    distances = np.abs(np.log(np.array(asked) / run.spec.train_tokens))
    return SweptRun(
        params=run.counts.params(study.grid.convention), tokens=round(asked[int(np.argmin(distances))]),
        seed=run.spec.seed, peak_lr=run.spec.optimiser.peak_lr, batch_tokens=run.spec.batch_tokens,
        loss_nats=record.loss.nats if record.loss else None,
    )  # fmt: skip
