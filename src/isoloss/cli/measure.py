"""`isoloss measure`: the complexity of text."""

from typing import Annotated

import typer

from isoloss.cli.app import Json, Seed, app


@app.command()
def measure(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, globs; each argument is one corpus.")],
    tokenizer: Annotated[
        str, typer.Option(help="bytes, a tokenizer.json, a SentencePiece .model, or module:Name.")
    ] = "bytes",
    measure: Annotated[
        str, typer.Option(help="Measures, comma-separated: gzip, zstd, xz, bz2, unigram, ngram, or module:Name.")
    ] = "gzip",
    sequence_tokens: Annotated[int, typer.Option(min=2, help="Tokens a measured sequence.")] = 256,
    token_bytes: Annotated[
        int, typer.Option(min=1, max=8, help="Bytes a token is written with (the paper: 4). Part of the measure.")
    ] = 4,
    samples: Annotated[int, typer.Option(min=2, help="Sequences drawn.")] = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure how hard text is to compress, with intervals.

    Example: `isoloss measure my_corpus/ other.txt --measure gzip,unigram`

    gzip is the number of the gzip paper (Pandey 2024): each sequence of 256 tokens as 4-byte integers through gzip, and
    the median of compressed over raw size.
    """
    import time

    from isoloss.cli import tables
    from isoloss.cli.output import open_progress, print_json
    from isoloss.complexity.paths import measure_paths

    started = time.perf_counter()
    measured = []
    with open_progress(as_json=json).task("measuring", total=len(paths)) as task:
        for path in paths:
            task.advance(0, detail=path)
            measured += measure_paths(
                [path], tokenizer=tokenizer, measures=[name.strip() for name in measure.split(",")],
                sequence_tokens=sequence_tokens, token_bytes=token_bytes, samples=samples, seed=seed,
            )  # fmt: skip
            task.advance(1)
    if json:
        seconds = time.perf_counter() - started
        print_json({"corpora": [corpus.to_json() for corpus in measured], "seconds": seconds})
    else:
        tables.show_measured(measured)
