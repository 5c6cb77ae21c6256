"""Held-out loss: every window, positions 2…n, with a standard error over documents."""

from pathlib import Path

import numpy as np
import torch

from isoloss.corpus.corpus import Corpus
from isoloss.models.folder import read_folder
from isoloss.models.llama import Llama
from isoloss.runs.documents import DocumentLosses, Floats
from isoloss.runs.spec import Numerics
from isoloss.training.data import HeldoutWindows
from isoloss.training.numerics import Arithmetic


def folder_losses(folder: Path, corpus: Corpus, *, context: int, numerics: Numerics) -> DocumentLosses:
    """Return the losses of the model in `folder` on held-out windows of `context` tokens."""
    arithmetic = Arithmetic(numerics)
    model = read_folder(folder, numerics, context=context)
    return heldout_losses(model, HeldoutWindows(corpus, context=context), arithmetic)


def heldout_losses(model: Llama, heldout: HeldoutWindows, arithmetic: Arithmetic) -> DocumentLosses:
    """Return the loss of every held-out document that holds a window."""
    per_pass = model.windows_at_once()
    nats = np.empty(len(heldout))
    for first in range(0, len(heldout), per_pass):
        last = min(first + per_pass, len(heldout))
        with torch.no_grad(), arithmetic.autocast():
            tokens_BT = heldout.at(np.arange(first, last)).to(arithmetic.device)
            nats[first:last] = model.token_nats(tokens_BT).sum(dim=1).cpu().numpy()
    return by_document(nats, heldout)


def by_document(window_nats: Floats, heldout: HeldoutWindows) -> DocumentLosses:
    """Return the summed losses of windows as losses of documents."""
    document, place = np.unique(heldout.windows.document, return_inverse=True)
    tokens = np.bincount(place) * (heldout.windows.context - 1)
    return DocumentLosses(document=document, tokens=tokens, nats=np.bincount(place, weights=window_nats) / tokens)
