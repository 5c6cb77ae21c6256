"""What models are worth on corpora they were or were not trained on: evaluations, and the largest of each pair."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field

from isoloss.core.frozen import Frozen
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
        return bits_per_byte(self.loss.nats, self.bytes_per_token)

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


def bits_per_byte(loss_nats: float | None, bytes_per_token: float | None) -> float | None:
    """Return loss in bits per byte of text, or None where either is unknown. It alone compares tokenizers."""
    if loss_nats is None or bytes_per_token is None:
        return None
    return loss_nats / (math.log(2) * bytes_per_token)


def matrix(evaluations: Sequence[Evaluation]) -> tuple[list[str], dict[str, list[Evaluation | None]]]:
    """Return the corpora, and for every origin its `largest` evaluations, one a corpus: None where there is none."""
    best = {(one.origin, one.corpus): one for one in largest(evaluations)}
    corpora = list(dict.fromkeys(corpus for _, corpus in best))
    return corpora, {origin: [best.get((origin, corpus)) for corpus in corpora] for origin, _ in best}


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
