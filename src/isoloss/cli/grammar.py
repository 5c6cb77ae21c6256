"""`isoloss grammar describe`, `isoloss grammar sample`, `isoloss grammar search` and `isoloss grammar score`."""

from collections.abc import Callable, Mapping
from functools import update_wrapper
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli.app import Json, Seed, grammar_app
from isoloss.cli.output import open_progress, print_json, say

if TYPE_CHECKING:
    from isoloss.grammar.families import GrammarSpec

GRAMMAR: dict[str, tuple[Any, Any, str]] = {
    "family": (str, "random", "random, zipf, hierarchical, or explicit (with --file)."),
    "nonterminals": (int | None, None, "random, zipf: number of nonterminals."),
    "terminals": (int | None, None, "random, zipf: number of terminals."),
    "max_rules": (int | None, None, "random, zipf: most rules per nonterminal."),
    "max_rhs": (int | None, None, "random, zipf: most symbols per right-hand side."),
    "pfsa": (bool, False, "random, zipf: every right-hand side has one symbol."),
    "paper_collision": (
        bool,
        False,
        "random, zipf: let the separator also be a terminal, as in the gzip paper's code.",
    ),
    "exponent": (float | None, None, "zipf, hierarchical: exponent of the rule weights."),
    "depth": (int | None, None, "hierarchical: number of levels."),
    "branching": (int | None, None, "hierarchical: symbols per rule."),
    "vocabulary": (int | None, None, "hierarchical: symbols per level."),
    "synonyms": (int | None, None, "hierarchical: rules per symbol."),
    "file": (Path | None, None, "explicit: rules as text, S -> 'a' S [0.7] | 'b' [0.3]"),
    "conditioned": (bool, True, "Exclude sentences that never end, exactly, by reweighting the rules."),
}
"""The options that describe a grammar: type, default and help."""
NAMES = {"conditioned": "--conditioned/--unconditioned"}
"""Options that are not named after their parameter."""

GZIP_DOCUMENTS = 1000  # as many as the gzip paper measures a corpus by
GZIP_TOKENS = 256


def takes_grammar(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that describe a grammar in place of its parameter `spec`, which is then that grammar."""
    options = [
        Parameter(
            name, Parameter.POSITIONAL_OR_KEYWORD, default=default,
            annotation=Annotated[kind, typer.Option(*filter(None, [NAMES.get(name)]), help=text)],
        )
        for name, (kind, default, text) in GRAMMAR.items()
    ]  # fmt: skip

    def called(**given: Any) -> None:
        verb(spec=_spec({name: given.pop(name) for name in GRAMMAR}), **given)

    own = signature(verb).parameters.values()
    parameters = [each for one in own for each in (options if one.name == "spec" else [one])]
    update_wrapper(called, verb, assigned=("__module__", "__name__", "__doc__"))
    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return called


@grammar_app.command()
@takes_grammar
def describe(
    spec: "GrammarSpec",
    floor: Annotated[bool, typer.Option("--floor", help="Also compute the lowest possible loss of a window.")] = False,
    context: Annotated[int, typer.Option(min=2, help="Tokens per window, for the floor.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Describe a grammar: whether it ends, how long its sentences are, how hard it is to predict and to compress.

    Example: `isoloss grammar describe --nonterminals 10 --terminals 150 --max-rules 5 --max-rhs 3 --seed 1 --floor`
    """
    from isoloss.cli.tables import show_pairs
    from isoloss.complexity.measure import measure_tokens
    from isoloss.core.machine import cores
    from isoloss.grammar.describe import describe as describe_grammar
    from isoloss.grammar.sampler import sample_documents

    language = spec.language(seed=seed)
    described = describe_grammar(spec.build(seed=seed), context=context, floor=floor, seed=seed,
                                 condition=spec.conditioned, workers=cores())  # fmt: skip
    documents = sample_documents(language, documents=GZIP_DOCUMENTS, document_tokens=GZIP_TOKENS, seed=seed)
    content = {
        **described.to_json(),
        "gzip": measure_tokens(documents, "gzip", vocab_size=language.vocabulary_size, seed=seed).value.value,
    }
    if json:
        print_json(content)
    else:
        show_pairs(content)


@grammar_app.command()
@takes_grammar
def sample(
    tokens: Annotated[int, typer.Option(min=1, help="Training tokens to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write the corpus into.")],
    spec: "GrammarSpec",
    context: Annotated[
        int, typer.Option(min=2, help="Tokens per document; a document is exactly one training window.")
    ] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a corpus drawn from a grammar: training and held-out tokens, and the held-out side's exact floor.

    Example: `isoloss grammar sample --nonterminals 10 --terminals 150 --max-rules 5 --max-rhs 3 --tokens 1000000 --out
    g`
    """
    import time

    from isoloss.corpus.build import build
    from isoloss.corpus.sources import PcfgSource

    grammar = spec.model_dump()
    source = PcfgSource.model_validate({"name": grammar["family"], "tokens": tokens, "grammar": grammar})
    started = time.perf_counter()
    corpus = build(source, root=out, context=context, seed=seed, progress=open_progress(as_json=json))
    seconds = time.perf_counter() - started
    if json:
        print_json({"tokens": corpus.n_tokens, "tokens_per_second": corpus.n_tokens / seconds,
                    "path": str(corpus.folder), "fingerprint": corpus.fingerprint})  # fmt: skip
    else:
        say(f"{corpus.n_tokens:,} training and {corpus.heldout_tokens:,} held-out tokens: {corpus.folder}")


@grammar_app.command()
def search(
    gzip: Annotated[float | None, typer.Option(help="Wanted gzip ratio, with 4 bytes per token.")] = None,
    floor: Annotated[float | None, typer.Option(help="Wanted floor (lowest possible loss), nats per token.")] = None,
    vocabulary: Annotated[
        int | None, typer.Option(help="Wanted number of tokens in use, including the separator.")
    ] = None,
    unigram: Annotated[float | None, typer.Option(help="Wanted unigram entropy, nats.")] = None,
    tolerance: Annotated[float, typer.Option(help="Tolerance of the gzip ratio, ±.")] = 0.005,
    floor_tolerance: Annotated[float, typer.Option(help="Tolerance of the floor, ± nats.")] = 0.02,
    vocabulary_tolerance: Annotated[float, typer.Option(help="Tolerance of the vocabulary, ± tokens.")] = 5,
    unigram_tolerance: Annotated[float, typer.Option(help="Tolerance of the unigram entropy, ± nats.")] = 0.05,
    count: Annotated[int, typer.Option(min=1, help="How many grammars to find, each with its own rules.")] = 1,
    candidates: Annotated[int, typer.Option(min=1, help="Most grammars to try for each one found.")] = 1000,
    context: Annotated[int, typer.Option(min=2, help="Tokens of a window.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Find grammars with given properties, within tolerances; takes a minute or two for each.

    Example: `isoloss grammar search --gzip 0.35 --floor 0.8 --count 3`

    The result is a `zipf` grammar with a seed. Copy its parameters into a study's `grammar = { … }`.
    """
    import time

    from isoloss.cli.tables import show_grammars
    from isoloss.complexity.base import MeasureSettings
    from isoloss.complexity.search import checked, search_grammars
    from isoloss.complexity.wanted import Tolerances, Wanted

    started = time.perf_counter()
    found = search_grammars(
        checked(Wanted, gzip=gzip, floor=floor, vocabulary=vocabulary, unigram=unigram),
        count=count,
        tolerances=checked(
            Tolerances, gzip=tolerance, floor=floor_tolerance, vocabulary=vocabulary_tolerance,
            unigram=unigram_tolerance,
        ),
        candidates=candidates, context=context, settings=MeasureSettings(sequence_tokens=min(256, context)), seed=seed,
        progress=open_progress(as_json=json),
    )  # fmt: skip
    if json:
        grammars = [grammar.to_json() for grammar in found]
        print_json({"grammars": grammars, "seconds": time.perf_counter() - started})
    else:
        show_grammars(found)


@grammar_app.command()
@takes_grammar
def score(
    model: Annotated[
        Path, typer.Argument(help="Folder of a model: LlamaForCausalLM of transformers, or one that isoloss wrote.")
    ],
    spec: "GrammarSpec",
    grammar_seed: Annotated[int, typer.Option(min=0, help="Seed that the grammar's rules were drawn with.")] = 0,
    documents: Annotated[int, typer.Option(min=2, help="Documents to score.")] = 256,
    context: Annotated[int, typer.Option(min=2, help="Tokens of a document.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compare a model's loss with the lowest possible loss of a grammar, position by position.

    Example: `isoloss grammar score model --nonterminals 10 --terminals 150 --max-rules 5 --max-rhs 3 --grammar-seed 1`

    Documents are sampled from the grammar with --seed; token id 0 is the separator, terminals follow. The model and the
    grammar's exact predictor score every document.
    """
    from isoloss.cli.tables import show_grammar_score
    from isoloss.core.machine import cores
    from isoloss.training.grammar_score import score_model

    found = score_model(model, spec.language(seed=grammar_seed), documents=documents, context=context, seed=seed,
                        workers=cores())  # fmt: skip
    if json:
        print_json(found.to_json())
    else:
        show_grammar_score(found)


def _spec(options: Mapping[str, Any]) -> "GrammarSpec":
    from isoloss.grammar.families import grammar_spec

    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return grammar_spec({**given, "conditioned": options["conditioned"]})
