"""Joint fits of corpora that hardly resemble each other: what three of them do not tell stays finite."""

import numpy as np

from isoloss.data_dependence.data_dependent import DataDependent
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.runs.observations import observations
from laws_tables import simulated


def centred(E, size, data, alpha, beta):
    """A law whose terms are `size` and `data` nats at 5e4 parameters and 2.5e5 tokens."""
    return {"E": E, "A": size * 5e4**alpha, "B": data * 2.5e5**beta, "alpha": alpha, "beta": beta}


def test_three_corpora_of_all_sorts_leave_every_fold_finite():
    """With two of three left out, functions through the one that stays lead anywhere, as the demo's grammars showed."""
    laws = [centred(0, 0.3, 2, 1.5, 0.5), centred(0, 0.2, 1, 0.8, 0.5), centred(0, 1, 4, 0.02, 0.4)]
    parts = [simulated(law=law, point_sd=0.01, trunk_sd=0.01, seed=i) for i, law in enumerate(laws)]
    names = [f"c{i}" for i, part in enumerate(parts) for _ in range(len(part))]
    table = observations(
        params=np.concatenate([part.params for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        loss_nats=np.concatenate([part.loss_nats for part in parts]),
        trunk=[f"{name} {trunk}" for name, trunk in zip(names, np.concatenate([p.trunk for p in parts]), strict=True)],
        corpus=names,
        complexity={"gzip": np.repeat([0.2, 0.4, 0.6], len(parts[0]))},
    )
    (measure,) = compare_predictors(table, ["gzip"]).measures
    assert np.isfinite([measure.loss.heldout, measure.loss.pooled, measure.loss.proxy]).all()
    law = DataDependent(complexity="gzip").fit(table, bootstrap=20)
    assert np.isfinite(law.draws).all()
    assert np.isfinite(law.at(0.3).every).all()
