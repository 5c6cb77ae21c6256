"""`isoloss grammar describe`, `isoloss grammar sample`, `isoloss grammar search` and `isoloss grammar score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli.app import Json, Seed, grammar_app

if TYPE_CHECKING:
    from isoloss.grammar.families import GrammarSpec

Family = Annotated[str, typer.Option(help="random, zipf, hierarchical, or explicit (with --file).")]
Nonterminals = Annotated[int | None, typer.Option(help="random, zipf: nonterminals.")]
Terminals = Annotated[int | None, typer.Option(help="random, zipf: terminals.")]
MaxRules = Annotated[int | None, typer.Option(help="random, zipf: rules of a nonterminal, at most.")]
MaxRhs = Annotated[int | None, typer.Option(help="random, zipf: symbols of a right-hand side, at most.")]
Pfsa = Annotated[bool, typer.Option(help="random, zipf: right-hand sides of one symbol.")]
PaperCollision = Annotated[
    bool, typer.Option(help="random, zipf: the separator is a terminal too, as in the gzip paper's code.")
]
Exponent = Annotated[float | None, typer.Option(help="zipf, hierarchical: exponent of the rule weights.")]
Depth = Annotated[int | None, typer.Option(help="hierarchical: levels.")]
Branching = Annotated[int | None, typer.Option(help="hierarchical: symbols of a rule.")]
Vocabulary = Annotated[int | None, typer.Option(help="hierarchical: symbols of a level.")]
Synonyms = Annotated[int | None, typer.Option(help="hierarchical: rules of a symbol.")]
File = Annotated[Path | None, typer.Option(help="explicit: rules as text, S -> 'a' S [0.7] | 'b' [0.3]")]
Conditioned = Annotated[
    bool,
    typer.Option(
        "--conditioned/--unconditioned", help="Whether sentences that never end are left out: exactly, by new weights."
    ),
]

GZIP_DOCUMENTS = 1000  # as many as the gzip paper measures a corpus by
GZIP_TOKENS = 256


@grammar_app.command()
def describe(
    family: Family = "random",
    nonterminals: Nonterminals = None,
    terminals: Terminals = None,
    max_rules: MaxRules = None,
    max_rhs: MaxRhs = None,
    pfsa: Pfsa = False,
    paper_collision: PaperCollision = False,
    exponent: Exponent = None,
    depth: Depth = None,
    branching: Branching = None,
    vocabulary: Vocabulary = None,
    synonyms: Synonyms = None,
    file: File = None,
    conditioned: Conditioned = True,
    floor: Annotated[bool, typer.Option("--floor", help="Also the best possible loss of a window.")] = False,
    context: Annotated[int, typer.Option(min=2, help="Tokens of a window, for the floor.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Describe a grammar: whether it ends, how long its sentences are, how hard it is to predict and to compress.

    Example: `isoloss grammar describe --nonterminals 10 --terminals 150 --max-rules 5 --max-rhs 3 --seed 1 --floor`
    """
    from isoloss.cli.output import print_json
    from isoloss.cli.tables import show_pairs
    from isoloss.complexity.measure import measure_tokens
    from isoloss.core.machine import cores
    from isoloss.grammar.describe import describe as describe_grammar
    from isoloss.grammar.sampler import sample_documents

    spec = _spec(family=family, nonterminals=nonterminals, terminals=terminals, max_rules=max_rules, max_rhs=max_rhs,
                 pfsa=pfsa, paper_collision=paper_collision, exponent=exponent, depth=depth, branching=branching,
                 vocabulary=vocabulary, synonyms=synonyms, file=file, conditioned=conditioned)  # fmt: skip
    language = spec.language(seed=seed)
    described = describe_grammar(spec.build(seed=seed), context=context, floor=floor, seed=seed,
                                 condition=conditioned, workers=cores())  # fmt: skip
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
def sample(
    tokens: Annotated[int, typer.Option(min=1, help="Training tokens to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write the corpus into.")],
    family: Family = "random",
    nonterminals: Nonterminals = None,
    terminals: Terminals = None,
    max_rules: MaxRules = None,
    max_rhs: MaxRhs = None,
    pfsa: Pfsa = False,
    paper_collision: PaperCollision = False,
    exponent: Exponent = None,
    depth: Depth = None,
    branching: Branching = None,
    vocabulary: Vocabulary = None,
    synonyms: Synonyms = None,
    file: File = None,
    conditioned: Conditioned = True,
    context: Annotated[int, typer.Option(min=2, help="Tokens of a document: exactly one training window.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a corpus drawn from a grammar: training and held-out tokens, and the held-out side's exact floor.

    Example: `isoloss grammar sample --nonterminals 10 --terminals 150 --max-rules 5 --max-rhs 3 --tokens 1000000 --out
    g`
    """
    import time

    from isoloss.cli.output import open_progress, print_json, say
    from isoloss.corpus.build import build
    from isoloss.corpus.sources import PcfgSource

    spec = _spec(family=family, nonterminals=nonterminals, terminals=terminals, max_rules=max_rules, max_rhs=max_rhs,
                 pfsa=pfsa, paper_collision=paper_collision, exponent=exponent, depth=depth, branching=branching,
                 vocabulary=vocabulary, synonyms=synonyms, file=file, conditioned=conditioned)  # fmt: skip
    source = PcfgSource.model_validate({"name": family, "tokens": tokens, "grammar": spec.model_dump()})
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
    gzip: Annotated[float | None, typer.Option(help="Wanted gzip ratio, 4 bytes a token.")] = None,
    floor: Annotated[float | None, typer.Option(help="Wanted best possible loss, nats per token.")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Wanted tokens really used, the separator included.")] = None,
    unigram: Annotated[float | None, typer.Option(help="Wanted entropy of token frequencies, nats.")] = None,
    tolerance: Annotated[float, typer.Option(help="Of the gzip ratio, either way.")] = 0.005,
    floor_tolerance: Annotated[float, typer.Option(help="Of the floor, nats.")] = 0.02,
    vocabulary_tolerance: Annotated[float, typer.Option(help="Of the vocabulary, tokens.")] = 5,
    unigram_tolerance: Annotated[float, typer.Option(help="Of the unigram entropy, nats.")] = 0.05,
    count: Annotated[int, typer.Option(min=1, help="Grammars to find, each with rules of its own.")] = 1,
    candidates: Annotated[int, typer.Option(min=1, help="Grammars tried for each one found, at most.")] = 1000,
    context: Annotated[int, typer.Option(min=2, help="Tokens of a window.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Find grammars with wanted properties, within tolerances: a minute or two each.

    Example: `isoloss grammar search --gzip 0.35 --floor 0.8 --count 3`

    What is found is a `zipf` grammar with a seed: its parameters go into a study's `grammar = { … }`.
    """
    import time

    from isoloss.cli.output import open_progress, print_json
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
def score(
    model: Annotated[Path, typer.Argument(help="Folder of a model: transformers' LlamaForCausalLM, or of ours.")],
    family: Family = "random",
    nonterminals: Nonterminals = None,
    terminals: Terminals = None,
    max_rules: MaxRules = None,
    max_rhs: MaxRhs = None,
    pfsa: Pfsa = False,
    paper_collision: PaperCollision = False,
    exponent: Exponent = None,
    depth: Depth = None,
    branching: Branching = None,
    vocabulary: Vocabulary = None,
    synonyms: Synonyms = None,
    file: File = None,
    conditioned: Conditioned = True,
    grammar_seed: Annotated[int, typer.Option(min=0, help="Seed that the rules were drawn from.")] = 0,
    documents: Annotated[int, typer.Option(min=2, help="Documents to score.")] = 256,
    context: Annotated[int, typer.Option(min=2, help="Tokens of a document.")] = 256,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Say how far a model's loss lies above the best possible one of a grammar, position by position.

    Example: `isoloss grammar score model --nonterminals 10 --terminals 150 --max-rules 5 --max-rhs 3 --grammar-seed 1`

    Documents are sampled anew by --seed: id 0 is the separator, the terminals follow. Every document is scored by the
    model and by the grammar's exact predictor.
    """
    from isoloss.cli.output import print_json
    from isoloss.cli.tables import show_grammar_score
    from isoloss.core.machine import cores
    from isoloss.training.grammar_score import score_model

    spec = _spec(family=family, nonterminals=nonterminals, terminals=terminals, max_rules=max_rules, max_rhs=max_rhs,
                 pfsa=pfsa, paper_collision=paper_collision, exponent=exponent, depth=depth, branching=branching,
                 vocabulary=vocabulary, synonyms=synonyms, file=file, conditioned=conditioned)  # fmt: skip
    found = score_model(model, spec.language(seed=grammar_seed), documents=documents, context=context, seed=seed,
                        workers=cores())  # fmt: skip
    if json:
        print_json(found.to_json())
    else:
        show_grammar_score(found)


def _spec(**options: Any) -> "GrammarSpec":
    from isoloss.grammar.families import grammar_spec

    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return grammar_spec({**given, "conditioned": options["conditioned"]})
