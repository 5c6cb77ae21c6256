"""What other held-out documents would have made of every run's loss.

All runs of a corpus are judged on the same documents. Others would have moved their losses together, and not alike: a
large model may gain more from an easy document than a small one. So documents, or groups of them, are drawn anew, and
every run's loss is taken over the same draw (Efron 1979).
"""

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.rng import stream
from isoloss.laws.law import Floats

FEWEST_DOCUMENTS = 2


def document_shifts(nats: Floats, tokens: Floats, *, draws: int, seed: int = 0) -> Floats:
    """Return the change of ln loss of every run (draws, n) when documents are drawn anew.

    `nats` (n, documents) is the sum of the losses of each run on each document, or group of them, `tokens` (documents,)
    how many were scored. The mean change of each run is taken away: it is the curvature of the logarithm. Raises
    InputError for fewer than two documents, or losses that are not above zero.
    """
    documents = nats.shape[1]
    if documents < FEWEST_DOCUMENTS or tokens.shape != (documents,):
        raise InputError(
            f"{documents} documents and {tokens.size} token counts", fix="give a loss and a count for two or more"
        )
    if not (np.isfinite(nats).all() and (nats.sum(axis=1) > 0).all() and (tokens > 0).all()):
        raise InputError("losses or token counts of documents that are not numbers above zero", fix="check the columns")
    generator = stream(seed, "documents", str(documents))
    counts = generator.multinomial(documents, np.full(documents, 1 / documents), size=draws).astype(np.float64)
    totals = counts @ tokens
    drawn = np.log(counts @ nats.T) - np.log(totals)[:, None]
    return np.asarray(drawn - drawn.mean(axis=0))
