"""What a grammar is, in numbers."""

import time
from dataclasses import dataclass

import numpy as np

from isoloss.core.plain_json import Plain
from isoloss.grammar.floor import Floor, estimate_floor
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.transform import condition_on_termination


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Plain):
    """A grammar's numbers; entropies and losses in nats.

    `spectral_radius` and `termination_probability` are the grammar's own; the rest is of the language described: where
    `conditioned`, the grammar's sentences given that they end. `tokens_per_sentence` leaves out the separator, figures
    per token count it. Closed forms are None where they are infinite.
    """

    nonterminals: int
    rules: int
    vocabulary_size: int
    vocabulary_reachable: int
    spectral_radius: float
    termination_probability: float
    conditioned: bool
    tokens_per_sentence: float | None
    derivation_nats_per_sentence: float | None
    derivation_nats_per_token: float | None
    unigram_nats: float | None
    floor_nats_per_token: Floor | None
    seconds: float


def describe(
    grammar: Grammar,
    *,
    context: int = 256,
    floor: bool = False,
    seed: int = 0,
    condition: bool = True,
    workers: int = 1,
) -> Description:
    """Return the description of `grammar`, with its floor on documents of `context` tokens where asked for.

    Where sentences may go on for ever, the language described is that of those that end, unless `condition` is false.
    `seconds` is the time it took, compilation of kernels left out.
    """
    if floor:
        _compile_kernels()
    started = time.perf_counter()
    language = condition_on_termination(grammar) if condition else grammar
    found = estimate_floor(language, context=context, seed=seed, workers=workers) if floor else None
    return Description(
        nonterminals=len(language.nonterminals),
        rules=len(language.weights),
        vocabulary_size=language.vocabulary_size,
        vocabulary_reachable=int(language.reachable_tokens.sum()),
        spectral_radius=grammar.spectral_radius,
        termination_probability=grammar.termination_probability,
        conditioned=language is not grammar,
        tokens_per_sentence=language.tokens_per_sentence,
        derivation_nats_per_sentence=language.derivation_nats_per_sentence,
        derivation_nats_per_token=language.derivation_nats_per_token,
        unigram_nats=language.unigram_nats,
        floor_nats_per_token=found,
        seconds=time.perf_counter() - started,
    )


def _compile_kernels() -> None:
    """Compile what the floor needs, or load it from the disk: once a process, and not the grammar's doing."""
    tiny = Grammar.from_rules([[(1.0, [1])]], nonterminals=["S"], terminals=["a"], start=np.ones(1))
    estimate_floor(tiny, context=2, seed=0, max_tokens=1)
