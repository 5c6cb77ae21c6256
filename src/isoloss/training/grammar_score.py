"""What a model's loss on a grammar's documents has above the best possible one, position by position."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.grammar.floor import document_floor, mean_over_documents
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_documents
from isoloss.models.folder import read_folder, read_spec
from isoloss.runs.documents import Floats
from isoloss.runs.spec import Numerics
from isoloss.training.numerics import Arithmetic


@dataclass(frozen=True, kw_only=True, eq=False)
class GrammarScore:
    """Losses of a model and of the best possible predictor, nats: (documents, positions 2 to the context)."""

    losses: Floats
    floors: Floats

    @property
    def loss(self) -> Estimate:
        """The model's mean loss per token."""
        return mean_over_documents(self.losses.mean(axis=1))

    @property
    def floor(self) -> Estimate:
        """The best possible mean loss per token of the same documents."""
        return mean_over_documents(self.floors.mean(axis=1))

    @property
    def excess(self) -> Estimate:
        """The difference, its interval that of the paired differences of documents."""
        return mean_over_documents((self.losses - self.floors).mean(axis=1))

    def excess_of(self, first: int, last: int) -> Estimate:
        """Return the mean excess of positions `first` to `last`, from 2 to the context."""
        return mean_over_documents((self.losses - self.floors)[:, first - 2 : last - 1].mean(axis=1))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the score as `isoloss grammar score --json` prints it."""
        documents, positions = self.losses.shape
        return {
            "documents": documents, "context": positions + 1, "loss_nats": dict(self.loss.to_json()),
            "floor_nats": dict(self.floor.to_json()), "excess_nats": dict(self.excess.to_json()),
            "positions": [
                {"position": at, "loss_nats": float(self.losses[:, at - 2].mean()),
                 "floor_nats": float(self.floors[:, at - 2].mean()),
                 "excess_nats": dict(self.excess_of(at, at).to_json())}
                for at in range(2, positions + 2)
            ],
        }  # fmt: skip


def score_model(
    folder: Path, language: Grammar, *, documents: int, context: int, seed: int, workers: int = 1
) -> GrammarScore:
    """Return the score of the model in `folder` on documents sampled from `language`; token ids are the grammar's own.

    Raises BadModel for what is no model of ours or a llama of transformers, InputError for one with too few ids or
    positions, or for fewer than two documents.
    """
    spec = read_spec(folder)
    if documents < 2:
        raise InputError(f"{documents} document(s): an interval needs two", fix="score two or more")
    if spec.vocab_size < language.vocabulary_size:
        message = f"the model knows {spec.vocab_size} token ids, but the grammar has {language.vocabulary_size}"
        raise InputError(message, place=str(folder), fix="score a model that was trained on this grammar's tokens")
    if spec.context < context:
        message = f"the model has a context of {spec.context} tokens, but documents have {context}"
        raise InputError(message, place=str(folder), fix=f"score documents of {spec.context} tokens: --context")
    sampled = sample_documents(language, documents=documents, document_tokens=context, seed=seed, workers=workers)
    numerics = Numerics()
    arithmetic, model = Arithmetic(numerics), read_folder(folder, numerics, context=context)
    per_pass = model.windows_at_once()
    found = []
    for first in range(0, documents, per_pass):
        tokens_BT = torch.from_numpy(sampled[first : first + per_pass].astype(np.int64))
        with torch.no_grad(), arithmetic.autocast():
            found.append(model.token_nats(tokens_BT.to(arithmetic.device)).cpu().numpy())
    return GrammarScore(losses=np.concatenate(found), floors=document_floor(language, sampled, workers=workers)[:, 1:])
