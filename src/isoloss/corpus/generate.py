"""Generating a corpus from a grammar, with the best possible loss of every held-out document."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from isoloss.core.fingerprint import fingerprint
from isoloss.core.frozen import Frozen
from isoloss.core.machine import cores
from isoloss.core.progress import Progress
from isoloss.core.rng import derive_seed
from isoloss.corpus import store
from isoloss.corpus.corpus import Corpus, Tokens
from isoloss.corpus.sources import PcfgSource
from isoloss.corpus.tokenizers import token_dtype
from isoloss.grammar.families import ExplicitGrammar, GrammarSpec
from isoloss.grammar.floor import document_floor, mean_over_documents, scored_means
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_blocks, sample_documents

OUTLINED_TOKENS = 256
GENERATED_VERSION = 1  # raise when the same grammar and seed would give other documents


class Recipe(Frozen):
    """All that a generated corpus depends on."""

    grammar: str
    seed: int
    documents: int
    heldout_documents: int
    document_tokens: int

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the corpus."""
        return fingerprint(self, kind="pcfg", version=GENERATED_VERSION)


@dataclass(frozen=True, kw_only=True)
class GeneratedOutline:
    """A corpus that a grammar would give, as far as it is known before it is drawn."""

    name: str
    recipe: Recipe
    vocab_size: int

    @property
    def fingerprint(self) -> str:
        """Identity of the corpus."""
        return self.recipe.fingerprint

    def token_budget(self, context: int) -> int:
        """Return how many training tokens the windows hold: documents are windows of the `context` asked for."""
        return self.recipe.documents * context

    def scored_documents(self, context: int) -> int:
        """Return how many held-out documents there are, each a window of the `context` asked for."""
        del context
        return self.recipe.heldout_documents


def outline(source: PcfgSource, *, context: int, seed: int, base: Path | None) -> GeneratedOutline:
    """Return what the corpus out of `source` would be, from one short document. Raises BadGrammar as `generate`."""
    grammar, recipe = _recipe(source, context=context, seed=seed, base=base)
    tokens = min(context, OUTLINED_TOKENS)  # a floor takes time in a power of them
    document_floor(grammar, sample_documents(grammar, documents=1, document_tokens=tokens, seed=recipe.seed))
    return GeneratedOutline(name=source.name, recipe=recipe, vocab_size=grammar.vocabulary_size)


def generate(
    source: PcfgSource, *, root: Path, context: int, seed: int, base: Path | None, progress: Progress
) -> Corpus:
    """Return the corpus that `source` draws from its grammar, documents of `context` tokens each.

    The held-out documents are independent draws, so their mean loss estimates the expected loss under the grammar.
    Where a grammar says little, one may equal a training document by chance; such documents stay (without them the
    sample would lean to the unlikely), and `heldout_in_train` counts them. Raises BadGrammar.
    """
    grammar, recipe = _recipe(source, context=context, seed=seed, base=base)
    target = root / recipe.fingerprint
    if (there := store.standing(target, progress)) is not None:
        return there.renamed(source.name)
    with store.workshop(root) as workshop:
        built = workshop / "corpus"
        built.mkdir()
        _write_heldout(built, grammar, recipe)
        _write_train(built, grammar, recipe, progress)
        return store.place(_record(source, recipe, grammar, built), built, target)


def _recipe(source: PcfgSource, *, context: int, seed: int, base: Path | None) -> tuple[Grammar, Recipe]:
    seed = seed if source.seed is None else source.seed
    grammar = _from_base(source.grammar, base).language(seed=seed)
    recipe = Recipe(
        grammar=grammar.fingerprint,
        seed=seed,
        documents=-(-source.tokens // context),
        heldout_documents=-(-source.heldout_tokens // context),
        document_tokens=context,
    )
    return grammar, recipe


def _from_base(spec: GrammarSpec, base: Path | None) -> GrammarSpec:
    """Return the parameters with a grammar's file taken from `base`."""
    if base is None or not isinstance(spec, ExplicitGrammar) or spec.file is None:
        return spec
    return spec.model_copy(update={"file": base / spec.file})


def _write_heldout(built: Path, grammar: Grammar, recipe: Recipe) -> None:
    """Write the held-out documents, and the floor of each."""
    documents, context = recipe.heldout_documents, recipe.document_tokens
    seed = derive_seed(recipe.seed, "held-out documents", recipe.grammar)
    heldout = sample_documents(grammar, documents=documents, document_tokens=context, seed=seed)
    store.save_side(built, "heldout", [heldout], np.full(documents, context), heldout.dtype)
    store.save(built, "floor", scored_means(document_floor(grammar, heldout)))


def _write_train(built: Path, grammar: Grammar, recipe: Recipe, progress: Progress) -> None:
    documents, context = recipe.documents, recipe.document_tokens
    seed = derive_seed(recipe.seed, "training documents", recipe.grammar)
    blocks = sample_blocks(grammar, documents=documents, document_tokens=context, seed=seed, workers=cores())
    with progress.task("sampling documents of a grammar", total=documents * context) as task:

        def sampled() -> Iterator[Tokens]:
            for block in blocks:
                yield block
                task.advance(block.size)

        dtype = token_dtype(grammar.vocabulary_size)
        store.save_side(built, "train", sampled(), np.full(documents, context), dtype)


def _record(source: PcfgSource, recipe: Recipe, grammar: Grammar, built: Path) -> Corpus:
    parameters = source.grammar.model_dump(mode="json")
    return Corpus(
        fingerprint=recipe.fingerprint,
        name=source.name,
        kind="generated",
        source={"kind": source.source, "parameters": parameters, **recipe.model_dump()},
        tokenizer="grammar",
        bytes_per_token=None,
        document_tokens=recipe.document_tokens,
        **store.measured(built, vocab_size=grammar.vocabulary_size, context=recipe.document_tokens),
        floor=mean_over_documents(np.load(built / "floor.npy")),
    )
