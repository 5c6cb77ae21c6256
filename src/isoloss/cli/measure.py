"""`isoloss measure`: the complexity of text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isoloss.cli.app import Figure, Json, Seed, app, typed
from isoloss.cli.output import open_progress, print_json, say
from isoloss.core.bounds import MOST_DRAWS

if TYPE_CHECKING:
    from isoloss.complexity.paths import MeasuredPath

AXIS_NAMES = {"ratio": "compressed / raw", "nats_per_token": "nats per token", "exponent": "exponent"}


@app.command()
def measure(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, - for standard input, {package:NAME} for an installed package's folder. "
            "Each argument is one corpus."
        ),
    ],
    tokenizer: Annotated[
        str,
        typer.Option(help="bytes, a tokenizer.json, a SentencePiece .model, or module:Name.", callback=typed),
    ] = "bytes",
    measure: Annotated[
        str,
        typer.Option(
            help="Comma-separated: gzip zstd xz bz2 brotli ppmd; unigram bigram trigram fourgram fivegram ngram; "
            "entropy_decay correlation_decay alpha_d spectrum heaps; module:Name. Suffixes change how the text is "
            "read: -bytes (raw bytes, not tokens), -blocks (long blocks), -curve (fall with block length), -placebo "
            "(token ids permuted), as in xz-bytes-curve.",
            callback=typed,
        ),
    ] = "gzip",
    sequence_tokens: Annotated[int, typer.Option(min=2, help="Tokens per measured sequence.")] = 256,
    token_bytes: Annotated[
        int, typer.Option(min=1, max=8, help="Bytes per token id (the gzip paper: 4). Changes the result.")
    ] = 4,
    samples: Annotated[int, typer.Option(min=2, max=MOST_DRAWS, help="Number of sequences drawn.")] = 1000,
    block_tokens: Annotated[
        int, typer.Option(min=256, help="Tokens per block, for -blocks, -curve and heaps.")
    ] = 65_536,
    text_field: Annotated[str, typer.Option(help="Column or key with the text, for files with rows.")] = "text",
    broken_rows: Annotated[
        Literal["error", "skip"],
        typer.Option(help="What to do with lines of JSONL that are not JSON: stop, or count them and leave them out."),
    ] = "error",
    placebo: Annotated[
        bool, typer.Option("--placebo", help="Also measure each text after permuting its token ids at random.")
    ] = False,
    figure: Figure = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure how hard text is to compress and to predict, with intervals.

    Example: `isoloss measure my_corpus/ other.txt --measure gzip,gzip-bytes,ngram --placebo --figure corpora.svg`

    gzip is the measure of the gzip paper (Pandey 2024): each sequence of 256 tokens is written as 4-byte integers and
    compressed with gzip. The value is the median of compressed over raw size.
    """
    import time

    from isoloss.cli import tables
    from isoloss.complexity.paths import measure_paths
    from isoloss.report.figure_file import require_drawable

    require_drawable(figure)
    started = time.perf_counter()
    names = [name.strip() for name in measure.split(",")]
    if placebo:
        names += [f"{name}-placebo" for name in names if not name.endswith("-placebo")]
    measured = measure_paths(
        paths, tokenizer=tokenizer, measures=names, sequence_tokens=sequence_tokens, token_bytes=token_bytes,
        samples=samples, block_tokens=block_tokens, seed=seed, text_field=text_field, broken_rows=broken_rows,
        progress=open_progress(as_json=json),
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if figure is not None:
        _draw(measured, figure)
    if json:
        drawn = {"figure": str(figure)} if figure else {}
        print_json({"corpora": [corpus.to_json() for corpus in measured], **drawn, "seconds": seconds})
    else:
        tables.show_measured(measured)
        if figure is not None:
            say(f"figure: {figure}")


def _draw(measured: "list[MeasuredPath]", figure: Path) -> None:
    from collections import Counter

    from isoloss.report.figure_file import write_figure
    from isoloss.report.figures.complexity import complexity

    units = {name: str(found.settings["unit"]) for corpus in measured for name, found in corpus.measures.items()}
    short = Counter(Path(corpus.name).name for corpus in measured)
    titles = {c.name: Path(c.name).name if short[Path(c.name).name] == 1 else c.name for c in measured}
    drawing = complexity(
        {titles[corpus.name]: {name: found.value for name, found in corpus.measures.items()} for corpus in measured},
        axis_names={name: AXIS_NAMES.get(unit, "") for name, unit in units.items()},
    )
    write_figure(drawing, figure)
