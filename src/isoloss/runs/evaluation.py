"""What models are worth on corpora they were or were not trained on: evaluations, their table and their matrix."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field

from isoloss.core.errors import InputError
from isoloss.core.frozen import Frozen
from isoloss.runs.observations import Observations, observations
from isoloss.runs.record import Loss
from isoloss.runs.shapes import DEFAULT_CONVENTION, Counts, ParamsConvention

EVALUATION_SCHEMA = 1


class Evaluation(Frozen):
    """The held-out loss of one model on one corpus.

    `trained_on` names the corpus it was trained on, `train_tokens` how long, `run` its record: None where nobody says.
    """

    schema_version: int = Field(default=EVALUATION_SCHEMA, alias="schema")
    model: str
    corpus: str
    counts: Counts
    loss: Loss
    trained_on: str | None = None
    train_tokens: int | None = None
    run: str | None = None
    bytes_per_token: float | None = None

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    @property
    def bits_per_byte(self) -> float | None:
        """The loss in bits per byte of text, which compares tokenizers; None where bytes are unknown."""
        return None if self.bytes_per_token is None else self.loss.nats / (math.log(2) * self.bytes_per_token)

    @property
    def origin(self) -> str:
        """What it was trained on, or its own name where nobody says."""
        return self.trained_on or self.model

    @property
    def pair(self) -> str:
        """Trained on → evaluated on, or the corpus alone where the first is unknown."""
        return self.corpus if self.trained_on is None else f"{self.trained_on} → {self.corpus}"

    def row(self, convention: ParamsConvention = DEFAULT_CONVENTION) -> dict[str, Any]:
        """Return the evaluation as one row of plain columns."""
        return {
            "model": self.model, "run": self.run, "trained_on": self.trained_on, "corpus": self.corpus,
            "pair": self.pair, "params": self.counts.params(convention), "tokens": self.train_tokens,
            "loss_nats": self.loss.nats, "stderr": self.loss.stderr, "bits_per_byte": self.bits_per_byte,
            "excess_nats": self.loss.excess_nats,
        }  # fmt: skip


def evaluation_table(
    evaluations: Sequence[Evaluation], *, convention: ParamsConvention = DEFAULT_CONVENTION
) -> Observations:
    """Return the evaluations whose models say how long they were trained as observations, a group a pair of corpora.

    Raises InputError where none does.
    """
    known = [one for one in evaluations if one.train_tokens is not None]
    if not known:
        raise InputError(
            "no model says how many tokens it was trained on", fix="write models = [{ path = …, tokens = … }]"
        )
    return observations(
        params=[one.counts.params(convention) for one in known],
        tokens=[float(one.train_tokens or 0) for one in known],
        loss_nats=[one.loss.nats for one in known],
        stderr=[one.loss.stderr for one in known],
        run=[one.run or one.model for one in known],
        corpus=[one.pair for one in known],
        params_convention=convention,
    )


def largest(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return, of every pair of corpora, the evaluation of the largest model that was trained longest.

    A model of which nobody says what it was trained on stands for itself.
    """
    best: dict[tuple[str, str], Evaluation] = {}
    for one in evaluations:
        pair = one.origin, one.corpus
        if _size(one) > _size(best.setdefault(pair, one)):
            best[pair] = one
    return list(best.values())


def _size(one: Evaluation) -> tuple[int, int]:
    return one.counts.total, one.train_tokens or 0
