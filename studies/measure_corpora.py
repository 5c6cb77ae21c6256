"""Measure a folder of real corpora and the six published grammars under every measure, with the relabelling placebo.

    python studies/get_corpora.py --out CORPORA
    python studies/get_llama_tokenizer.py --out CORPORA
    python studies/measure_corpora.py CORPORA --tokenizer CORPORA/llama2.json --out DIR

CORPORA holds one folder a corpus, one document a file. Writes DIR/NAME.json as each corpus is done (one that is there
is not measured again); corpora_page.py makes the page of them. About two minutes a corpus on one core.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import measure_text, measure_tokens
from isoloss.complexity.text import Text
from isoloss.core import files
from isoloss.core.errors import Unidentified
from isoloss.core.rng import stream
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Tokens
from isoloss.corpus.sources import PcfgSource
from isoloss.grammar.sampler import sample_documents

SEED = 17
TEXT_BYTES = 6_000_000  # whole documents drawn from a corpus until so many bytes are held
# The table of the gzip paper: nonterminals, terminals, rules a nonterminal, symbols a rule.
GRAMMARS = ((3, 20, 2, 2), (10, 150, 5, 3), (20, 300, 10, 5), (30, 400, 10, 8), (50, 500, 20, 15), (100, 2000, 100, 30))
GRAMMAR_TOKENS = 4_000_000
FAMILY = 12
COMPRESSORS = ("gzip", "zstd", "xz", "bz2", "brotli", "ppmd")
COSTS = ("unigram", "bigram", "trigram", "fourgram", "fivegram", "ngram", "floor")
EXPONENTS = ("entropy_decay", "correlation_decay", "alpha_d", "spectrum", "heaps")
# Blocks of 16,384 tokens (65,536 bytes as 4-byte ids): longer than every window but those of xz, zstd and brotli.
SETTINGS = MeasureSettings(block_tokens=1 << 14)


def main() -> None:
    """Measure what is not yet measured, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(asked.tokenizer))
    for grammar in GRAMMARS:
        name = grammar_name(grammar)
        measured(name, asked.out, lambda grammar=grammar: grammar_text(grammar, asked.out))
    if not (asked.out / "families" / "gzip.json").exists():
        files.write_json(asked.out / "families" / "gzip.json", {grammar_name(g): family_ratios(g) for g in GRAMMARS})
    for folder in sorted(path for path in asked.corpora.iterdir() if path.is_dir() and not path.name.startswith(".")):
        measured(folder.name, asked.out, lambda folder=folder: real_text(folder, tokenizer))


def grammar_name(grammar: tuple[int, ...]) -> str:
    """Return a grammar's name for a table: its four numbers."""
    return f"({', '.join(map(str, grammar))})"


def grammar_text(grammar: tuple[int, ...], out: Path) -> Text:
    """Return documents of one random grammar of the paper's family, with their exact floor."""
    source = grammar_spec(grammar, SEED)
    return Text.of_corpus(build(source, root=out / "grammars", context=SETTINGS.sequence_tokens))


def grammar_spec(grammar: tuple[int, ...], seed: int) -> PcfgSource:
    """Return the source of a random grammar's documents."""
    keys = ("nonterminals", "terminals", "max_rules", "max_rhs")
    spec = {"family": "random", "seed": seed, **dict(zip(keys, grammar, strict=True))}
    return PcfgSource.model_validate(
        {"name": "g", "grammar": spec, "tokens": GRAMMAR_TOKENS, "heldout_tokens": 128_000}
    )


def family_ratios(grammar: tuple[int, ...]) -> list[float]:
    """Return the gzip ratio of 500 documents of each of FAMILY random grammars: one grammar does not stand for all."""
    ratios = []
    for seed in range(SEED, SEED + FAMILY):
        language = grammar_spec(grammar, seed).grammar.language(seed=seed)
        documents = sample_documents(language, documents=500, document_tokens=SETTINGS.sequence_tokens, seed=seed)
        found = measure_tokens(documents, "gzip", vocab_size=language.vocabulary_size, seed=SEED)
        ratios.append(found.value.value)
    return ratios


def real_text(folder: Path, tokenizer: Tokenizer) -> Text:
    """Return whole documents of a folder in random order, up to TEXT_BYTES, as tokens and as bytes."""
    paths = sorted(folder.rglob("*.txt"))
    documents: list[bytes] = []
    for index in stream(SEED, "documents to measure", folder.name).permutation(len(paths)):
        documents.append(paths[index].read_bytes())
        if sum(map(len, documents)) >= TEXT_BYTES:
            break
    return as_text(folder.name, documents, tokenizer)


def as_text(name: str, documents: Sequence[bytes], tokenizer: Tokenizer) -> Text:
    """Return documents as tokens and as bytes."""
    raw: list[Tokens] = [np.frombuffer(content, dtype=np.uint8) for content in documents]
    ids: list[Tokens] = [
        np.array(tokenizer.encode(content.decode("utf-8")).ids, dtype=np.uint16) for content in documents
    ]
    tokens, text = np.concatenate(ids), np.concatenate(raw)
    return Text(
        name=name, tokens=[(tokens, np.cumsum([0, *map(len, ids)]))], vocab_size=tokenizer.get_vocab_size(),
        raw=[(text, np.cumsum([0, *map(len, raw)]))], bytes_per_token=len(text) / len(tokens),
    )  # fmt: skip


def names(text: Text) -> list[str]:
    """Return every measure that the text can have; compressors followed by their placebo.

    The others read ids as mere names: their placebo is their value, which a test holds to nine digits.
    """
    readings = ("", "-blocks", "-curve", *(("-bytes", "-bytes-blocks", "-bytes-curve") if text.raw else ()))
    plain = [f"{name}{reading}" for name in COMPRESSORS for reading in readings]
    costs = [name for name in COSTS if name != "floor" or text.floor is not None]
    return [name for measure in plain for name in (measure, f"{measure}-placebo")] + costs + list(EXPONENTS)


def measured(name: str, out: Path, text_of: Any) -> dict[str, Any]:
    """Return the measures of one corpus, from its file where it has one."""
    path = out / f"{name}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    started = time.perf_counter()
    text: Text = text_of()
    found: dict[str, Any] = {}
    for measure in names(text):
        try:
            found[measure] = measure_text(text, measure, settings=SETTINGS, seed=SEED).to_json()
        except Unidentified as problem:
            found[measure] = {"unidentified": problem.message}
    content = {
        "name": name, "generated": text.raw is None, "bytes_per_token": text.bytes_per_token,
        "vocab_size": text.vocab_size, "tokens": sum(len(tokens) for tokens, _ in text.tokens),
        "documents": sum(len(offsets) - 1 for _, offsets in text.tokens), "measures": found,
    }  # fmt: skip
    files.write_json(path, content)
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return content


if __name__ == "__main__":
    main()
