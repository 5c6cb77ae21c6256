"""Make FloorBench: train its runs on the languages of studies/floorbench, and write its tables into the package.

    python studies/floorbench.py train results/floorbench            # the open part, seeds 0 to 2
    python studies/floorbench.py train results/floorbench --sealed   # one size a language, 3, 10 and 30 times ahead
    python studies/floorbench.py rows results/floorbench             # the tables and the data card

What is in the archive is not trained again. Rows that stand in a table already stay. docs/results/floorbench.md
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from answer.rows import read

from isoloss.arena.floorbench import FOLDER, LANGUAGES, OPEN, SEALED, TEST
from isoloss.complexity.measure import measure_corpus
from isoloss.core import files
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.sources import PcfgSource
from isoloss.grammar.floor import estimate_floor
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.study.lab import Lab
from isoloss.study.spec import Study

STUDIES = Path(__file__).with_suffix("")
GROUPS = ("small", "middle", "large")
SEALED_PARAMS = {"small": 5e4, "middle": 1e5, "large": 2e5}  # near the best size of the last budget ahead
AHEAD = (3, 10, 30)  # times the largest compute of the open part
SEALED_SEED = 100
RUN = ("language", "seed", "trunk", "params", "params_non_embedding", "width", "depth", "tokens", "flops", "loss_nats",
       "stderr", "excess_nats", "flags", "run")  # fmt: skip
LANGUAGE = ("language", "part", "family", "vocabulary", "floor_nats", "floor_low", "floor_high", "heldout_floor_nats",
            "gzip", "tokens_per_sentence", "unigram_nats", "corpus")  # fmt: skip


def main() -> None:
    """Train, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("train", "rows"))
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", help="the open part's, by default all of the study")
    parser.add_argument("--sealed", action="store_true")
    parser.add_argument("--ahead", type=float, nargs="+", default=AHEAD, help="of sealed runs, in ascending order")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    if asked.stage == "rows":
        write_tables(asked.results)
        return
    for group in asked.groups:
        study = sealed_study(group, asked.ahead) if asked.sealed else open_study(group, asked.seeds)
        records = Lab(asked.results, base=STUDIES, workers=asked.workers).train(study)
        print(f"{study.name}: {sum(record.status == 'finished' for record in records)} runs", flush=True)


def open_study(group: str, seeds: Sequence[int] | None = None) -> Study:
    """Return the study of a group of languages, with all its seeds or with some."""
    study = Study.load(STUDIES / f"{group}.toml")
    grid = study.grid.model_copy(update={"seeds": tuple(seeds or study.grid.seeds)})
    return study.model_copy(update={"grid": grid})


def sealed_study(group: str, ahead: Sequence[float] = AHEAD) -> Study:
    """Return the study of the same languages at these multiples of the largest compute of the open part."""
    study = open_study(group)
    size, largest = SEALED_PARAMS[group], study.grid.budgets[-1]
    change = {
        "params": (size,), "flops": None, "tokens": tuple(times * largest / (6 * size) for times in ahead),
        "least_tokens": type(study.grid).model_fields["least_tokens"].default, "seeds": (SEALED_SEED,),
    }  # fmt: skip
    grid = type(study.grid).model_validate({**study.grid.model_dump(exclude=set(change)), **change})
    return study.model_copy(update={"name": f"{study.name}-sealed", "grid": grid})


def write_tables(results: Path) -> None:
    """Merge the archive's rows into the tables of the package."""
    archive = Archive(results)
    corpora = built(results)
    known = read(LANGUAGES, key="language")
    for corpus in corpora.values():
        if known.get(corpus.name, {}).get("corpus") != corpus.fingerprint:
            known[corpus.name] = language(corpus)
    largest = {one.name: open_study(group).grid.budgets[-1] for group in GROUPS for one in open_study(group).corpus}
    tables = {OPEN: read(OPEN), SEALED: read(SEALED)}
    for record in archive.records():
        if record.status == "finished" and record.spec.corpus in corpora:
            name = corpora[record.spec.corpus].name
            found = row(record, name)
            sealed = float(found["flops"]) > 1.5 * largest[name]
            tables[SEALED if sealed else OPEN][record.fingerprint] = found
    for path, rows in tables.items():
        files.write_rows(path, RUN, sorted(rows.values(), key=place))
        print(f"{path.name}: {len(rows)} runs, {path.stat().st_size / 1e6:.2f} MB, sha256 {digest(path)}")
    files.write_rows(LANGUAGES, LANGUAGE, [known[name] for name in sorted(known)])
    files.write_json(FOLDER / "croissant.json", card(len(tables[OPEN]), len(tables[SEALED])))


def built(results: Path) -> dict[str, Corpus]:
    """Return the corpora of all languages by fingerprint, building those that are not there."""
    studies = map(open_study, GROUPS)
    corpora = [corpus for study in studies for corpus in Lab(results, base=STUDIES).corpora(study).values()]
    return {corpus.fingerprint: corpus for corpus in corpora}


def language(corpus: Corpus) -> dict[str, Any]:
    """Return one language as a row: what it is, and its floor to half a percent."""
    study = next(one for one in map(open_study, GROUPS) if corpus.name in {source.name for source in one.corpus})
    source = next(source for source in study.corpus if source.name == corpus.name)
    assert isinstance(source, PcfgSource)
    grammar = source.grammar
    if grammar.family == "explicit":
        assert grammar.file is not None
        grammar = grammar.model_copy(update={"file": STUDIES / grammar.file})
    spoken = grammar.language(seed=study.seed)
    floor = estimate_floor(spoken, context=study.grid.context, seed=0)
    assert floor.within_tolerance
    assert floor.low is not None
    assert floor.high is not None
    assert corpus.floor is not None
    gzip = measure_corpus(corpus, "gzip", seed=study.seed).value.value
    return {
        "language": corpus.name, "part": "test" if corpus.name in TEST else "tuning", "family": grammar.family,
        "vocabulary": int(spoken.reachable_tokens.sum()), "floor_nats": f"{floor.value:.5g}",
        "floor_low": f"{floor.low:.5g}", "floor_high": f"{floor.high:.5g}",
        "heldout_floor_nats": f"{corpus.floor.value:.6g}", "gzip": f"{gzip:.4f}",
        "tokens_per_sentence": f"{spoken.tokens_per_sentence or 0:.4g}",
        "unigram_nats": f"{spoken.unigram_nats or 0:.4g}", "corpus": corpus.fingerprint,
    }  # fmt: skip


def row(record: RunRecord, name: str) -> dict[str, Any]:
    """Return one run as a row."""
    spec, counts, loss = record.spec, record.counts, record.loss
    assert loss is not None
    assert loss.excess_nats is not None
    return {
        "language": name, "seed": spec.seed, "trunk": record.trunk.partition("-")[2][:10],
        "params": counts.params(), "params_non_embedding": counts.non_embedding, "width": spec.model.width,
        "depth": spec.model.depth, "tokens": spec.train_tokens,
        "flops": f"{counts.flops_per_token() * spec.train_tokens:.6g}", "loss_nats": f"{loss.nats:.6g}",
        "stderr": f"{loss.stderr:.3g}", "excess_nats": f"{loss.excess_nats:.6g}", "flags": " ".join(record.flags),
        "run": record.fingerprint,
    }  # fmt: skip


def card(runs: int, sealed: int) -> dict[str, Any]:
    """Return the data card, as Croissant (https://docs.mlcommons.org/croissant/) in JSON-LD."""
    texts = {
        OPEN: f"The open part: {runs} runs.",
        SEALED: f"The sealed part: {sealed} runs of more compute than the open part.",
        LANGUAGES: "The languages, with their exact floors.",
    }
    columns = {OPEN: RUN, SEALED: RUN, LANGUAGES: LANGUAGE}
    return {
        "@context": {
            "@language": "en", "@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
            "sc": "https://schema.org/", "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
            "recordSet": "cr:recordSet", "field": "cr:field", "source": "cr:source", "fileObject": "cr:fileObject",
            "extract": "cr:extract", "column": "cr:column",
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        },
        "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0", "name": "FloorBench",
        "description": "Losses of small language models trained on languages whose best possible loss is known: what "
        "methods of fitting scaling laws are scored on.",
        "license": "https://opensource.org/license/mit", "url": "https://example.org/isoloss",
        "creator": {"@type": "sc:Organization", "name": "The isoloss authors"}, "version": "1.0.0",
        "datePublished": "2026-11-29", "isLiveDataset": False, "citeAs": "CITATION.cff",
        "distribution": [
            {"@type": "cr:FileObject", "@id": path.name, "name": path.name, "description": text,
             "contentUrl": path.name, "encodingFormat": "text/csv", "sha256": digest(path)}
            for path, text in texts.items()
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": path.stem, "name": path.stem, "field": [
                {"@type": "cr:Field", "@id": f"{path.stem}/{name}", "name": name, "description": COLUMNS[name],
                 "dataType": f"sc:{TYPES.get(name, 'Float')}",
                 "source": {"fileObject": {"@id": path.name}, "extract": {"column": name}}}
                for name in columns[path]
            ]}
            for path in texts
        ],
    }  # fmt: skip


TYPES = dict.fromkeys(("language", "trunk", "flags", "run", "part", "family", "corpus"), "Text") | dict.fromkeys(
    ("seed", "params", "params_non_embedding", "width", "depth", "tokens", "vocabulary"), "Integer"
)
COLUMNS = {
    "language": "Name of the language", "seed": "Seed of weights and of the order of documents",
    "trunk": "Runs of one trunk share a training curve and part of their noise",
    "params": "Parameters, the head counted and the embedding not",
    "params_non_embedding": "Parameters without embedding and head", "width": "Width of the model",
    "depth": "Layers of the model", "tokens": "Training tokens", "flops": "6 · params · tokens",
    "loss_nats": "Loss on held-out documents, nats per token, positions 2 to 256",
    "stderr": "Standard error of the loss over held-out documents",
    "excess_nats": "Loss less the exact floor of the same held-out documents, nats per token",
    "flags": "What is wrong with the run, if anything", "run": "Fingerprint of the run",
    "part": "Whether entries may be tuned on the language, or are tested on it", "family": "Family of the grammar",
    "vocabulary": "Tokens really used, the separator included",
    "floor_nats": "Best possible loss of a document of 256 tokens, nats per token, positions 2 to 256",
    "floor_low": "Lower end of its 95 % interval", "floor_high": "Upper end of its 95 % interval",
    "heldout_floor_nats": "Best possible loss of the held-out documents, exact",
    "gzip": "Ratio of compressed to raw size, four bytes a token, documents of 256 tokens",
    "tokens_per_sentence": "Mean length of a sentence", "unigram_nats": "Entropy of token frequencies, nats",
    "corpus": "Fingerprint of the corpus",
}  # fmt: skip


def place(found: Mapping[str, Any]) -> tuple[str, str, float, float]:
    """Return what rows are sorted by."""
    return found["language"], str(found["seed"]), float(found["params"]), float(found["tokens"])


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
