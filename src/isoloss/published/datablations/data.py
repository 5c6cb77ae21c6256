"""The C4 runs of Muennighoff et al. 2023, and what was published of their fit."""

import numpy as np

from isoloss.published.folder import Columns, Origin, PublishedFile
from isoloss.runs.observations import Observations, observations

ORIGIN = Origin(
    title="Scaling Data-Constrained Language Models",
    paper="Muennighoff et al. 2023, arXiv:2305.16264",
    source="github.com/huggingface/datablations, commit 1370131, utils/parametric_fit.ipynb",
    licence="Apache-2.0",
    how="the notebook's dictionaries of runs written as CSV",
    originals="a clone of it, or a folder with parametric_fit.ipynb",
    files=(
        PublishedFile(
            name="c4_repeat_runs.csv", sha256="326600eee29dc9029915867968ccaaf1a2403588f85352b949cb608329fc8bce",
            columns=("run", "params", "tokens", "unique_tokens", "val_loss"),
        ),
        PublishedFile(
            name="c4_repeat_runs_182.csv", sha256="97eb50cd074dc00af0d2e103ec0cb1664331d4e2613ecc070a099a2f06a7ca5b",
            columns=("run", "params", "tokens", "unique_tokens", "val_loss"),
        ),
    ),
)  # fmt: skip

# The base law for C4 that their notebook holds fixed; a, b, e are logarithms there.
BASE = {
    "E": float(np.exp(0.6254804)), "A": float(np.exp(6.255414)), "B": float(np.exp(7.3049974)),
    "alpha": 0.3526596, "beta": 0.3526596,
}  # fmt: skip
PUBLISHED = {"R_D": 15.387756, "R_N": 5.309743}
PUBLISHED_OBJECTIVE = 0.015825935
PUBLISHED_R2 = 0.7722046
# A lower optimum than the published one, found from other starts.
LOWER = {"R_D": 46.99, "R_N": 2.330}
LOWER_OBJECTIVE = 0.015807379


def runs(tables: dict[str, Columns], name: str) -> Observations:
    """Return the runs of one file as a table with its unique tokens."""
    table = tables[name]
    return observations(
        params=table["params"], tokens=table["tokens"], loss_nats=table["val_loss"], run=table["run"].tolist(),
        extra={"unique_tokens": table["unique_tokens"]},
    )  # fmt: skip
