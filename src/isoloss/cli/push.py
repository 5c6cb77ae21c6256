"""`isoloss push`: a corpus as a data set for others."""

from pathlib import Path
from typing import Annotated

import typer

from isoloss.cli.app import Json, Seed, app, typed
from isoloss.cli.output import print_json, say
from isoloss.core.errors import InputError


@app.command()
def push(
    corpus: Annotated[Path, typer.Argument(help="The folder of a built corpus: OUT/corpora/FINGERPRINT.")],
    out: Annotated[Path | None, typer.Option(help="Write Parquet and a card to this folder.")] = None,
    hub: Annotated[
        str | None, typer.Option(help="Push to this repository (owner/name) on the Hugging Face Hub.")
    ] = None,
    measure: Annotated[
        str, typer.Option(help="Measures to state on the card, comma-separated.", callback=typed)
    ] = "gzip",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a corpus as Parquet files with a card that states its source, complexity and floor.

    Example: `isoloss push results/laptop/corpora/pcfg1-0123456789abcdef0123 --out my_dataset`
    """
    from isoloss.complexity.base import MeasureSettings
    from isoloss.complexity.measure import measure_corpus
    from isoloss.corpus.corpus import Corpus
    from isoloss.corpus.export import push as push_corpus

    if (out is None) == (hub is None):
        fix = "give one of them: --out DIR, or --hub owner/name"
        raise InputError("expected exactly one of --out and --hub", place="push", fix=fix)
    if not (corpus / "corpus.json").is_file():
        fix = _corpora_below(corpus) or "give the folder of one corpus, below OUT/corpora of a study"
        raise InputError("no corpus here: corpus.json is missing", place=str(corpus), fix=fix)
    opened = Corpus.open(corpus)
    longest = MeasureSettings().sequence_tokens
    settings = MeasureSettings(sequence_tokens=min(longest, opened.document_tokens or longest))
    found = {
        name: measure_corpus(opened, name, settings=settings, seed=seed).value
        for name in filter(None, (part.strip() for part in measure.split(",")))
    }
    target = out if out is not None else str(hub)
    push_corpus(opened, target, complexity=found)
    if json:
        pushed = {"corpus": opened.fingerprint, "target": str(target), "tokens": opened.n_tokens}
        print_json({**pushed, "measures": {name: value.to_json() for name, value in found.items()}})
    else:
        say(f"{opened.name}: {opened.n_tokens:,} tokens in {opened.n_documents:,} documents → {target}")


def _corpora_below(folder: Path) -> str:
    """Return where the corpora of a results folder lie, by name; nothing where it is none."""
    from isoloss.corpus.corpus import Corpus

    found = [Corpus.open(record.parent) for record in sorted(folder.glob("corpora/*/corpus.json"))]
    named = ", ".join(f"{folder / 'corpora' / corpus.fingerprint} ({corpus.name})" for corpus in found)
    return f"give one of its corpora: {named}" if named else ""
