"""A corpus small enough to train on within a test: a Markov chain, whose best possible loss is known exactly."""

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.store import unigram_nats, write_record
from isoloss.runs.archive import Archive
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec, Schedule

CONTEXT = 32
VOCAB = 12


def write_corpus(
    archive: Archive, *, name="chain", windows=400, heldout=40, sharpness=2.0, seed=0, floor=True
) -> Corpus:
    """Write documents of one window each from a random chain; `sharpness` 0 makes every token a fair draw."""
    rng = np.random.default_rng([seed, round(sharpness * 100)])
    chain = np.exp(sharpness * rng.standard_normal((VOCAB, VOCAB)))
    chain /= chain.sum(axis=1, keepdims=True)
    folder = archive.corpus_folder(f"corpus1-{name}")
    folder.mkdir(parents=True)
    sides = {side: _documents(rng, chain, n) for side, n in (("train", windows), ("heldout", heldout))}
    for side, documents in sides.items():
        np.save(folder / f"{side}.npy", documents.ravel())
        np.save(folder / f"{side}_documents.npy", np.arange(len(documents) + 1) * CONTEXT)
    floors = -np.log(chain[sides["heldout"][:, :-1], sides["heldout"][:, 1:]]).mean(axis=1)
    if floor:
        np.save(folder / "floor.npy", floors)
    corpus = Corpus(
        fingerprint=f"corpus1-{name}", name=name, kind="generated", source={}, tokenizer="none", vocab_size=VOCAB,
        n_tokens=windows * CONTEXT, n_documents=windows, heldout_tokens=heldout * CONTEXT, heldout_documents=heldout,
        bytes_per_token=None, heldout_in_train=0.0, document_tokens=CONTEXT,
        **unigram_nats(folder, VOCAB),
        floor=Estimate(value=float(floors.mean())) if floor else None,
    )  # fmt: skip
    write_record(corpus, folder)
    return Corpus.open(folder)


def _documents(rng, chain, n):
    tokens = np.empty((n, CONTEXT), dtype=np.uint16)
    tokens[:, 0] = rng.integers(VOCAB, size=n)
    cumulative = chain.cumsum(axis=1)
    for t in range(1, CONTEXT):
        tokens[:, t] = np.minimum((rng.random((n, 1)) > cumulative[tokens[:, t - 1]]).sum(axis=1), VOCAB - 1)
    return tokens


def tiny_spec(
    steps=8, *, corpus="corpus1-chain", width=8, depth=1, peak_lr=1e-2, kind="wsd", seed=0, **more
) -> RunSpec:
    """A run of `steps` steps of 4 windows."""
    schedule = {"kind": kind, "warmup_tokens": 4 * CONTEXT, **more.pop("schedule", {})}
    return RunSpec(
        corpus=corpus,
        model=ModelSpec(width=width, depth=depth, heads=1, ffn=2 * width, vocab_size=VOCAB, context=CONTEXT),
        train_tokens=steps * 4 * CONTEXT, batch_tokens=4 * CONTEXT, optimiser=Optimiser(peak_lr=peak_lr),
        schedule=Schedule(**schedule), seed=seed, **more,
    )  # fmt: skip
