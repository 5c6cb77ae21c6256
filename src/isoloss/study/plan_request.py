"""From a corpus and a question to a plan: find the law, measure the corpus as the law's corpora were, and plan.

A law comes from files, from a table of runs, from a pilot that is trained on the corpus itself, or with isoloss; a
reference frontier needs a data-dependent one. A law of its own runs needs no corpus.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isoloss.complexity.base import MeasureSettings
from isoloss.core.errors import MOST_NAMES, BadTable, InputError, did_you_mean
from isoloss.core.progress import QUIET, Progress
from isoloss.corpus.sources import FilesSource
from isoloss.corpus.tokenizers import open_tokenizer
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.law_files import LawFile, load_law
from isoloss.fitting.domain import LawWarning
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.planning import shipped
from isoloss.planning.corpus_statistics import CorpusStatistics, open_corpus
from isoloss.planning.from_reference import plan_from_reference
from isoloss.planning.laws import PlanLaw
from isoloss.planning.plan import AnyLaw, plan, plan_law, statistics_of_law
from isoloss.planning.plan_result import Making, Plan
from isoloss.planning.reference_frontiers import reference_frontiers
from isoloss.runs.observations import Observations
from isoloss.runs.read_runs import read_runs

FORMS = ("chinchilla", "coupled")
"""Forms fitted to runs: the first decides, the others widen what is carried beyond its budgets."""
DRAWS = 1000
COLUMNS = {
    "params": "params", "tokens": "tokens", "loss": "loss", "flops": "flops", "group": "corpus", "trunk": "trunk",
    "stderr": "stderr", "vocab": "vocab", "tokenizer": "tokenizer",
}  # fmt: skip
"""What a column of a table of runs may be named as, and what `read_runs` calls it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked: the corpus if one was named, the questions (a plan each), and where the law comes from.

    `columns` says what the table of `runs` calls its columns, `where` which of its rows to take. With a reference
    `frontier`, `tokenizer` or `bytes_per_token` counts the corpus in the frontier's tokens.
    """

    corpus: str | None
    asked: Sequence[Mapping[str, Any]]
    laws: tuple[Path, ...] = ()
    runs: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    pilot: str | None = None
    frontier: str | None = None
    reference: str | None = None
    extrapolate: bool = False
    repeat: bool = True
    tokenizer: str | None = None
    bytes_per_token: float | None = None
    out: Path | None = None
    seed: int = 0


def make_plans(request: Request, *, making: Making, progress: Progress = QUIET) -> tuple[list[Plan], list[PlanLaw]]:
    """Return the plans that were asked for, and the laws that they go by, each at the corpus's own measure.

    Without a law named, the bundled one. Raises InputError for a request that names two sources of it.
    """
    _refuse_unclear(request)
    if request.frontier is not None:
        return _from_reference(request, making=making, progress=progress)
    if request.bytes_per_token is not None:
        raise InputError(
            "--bytes-per-token counts the corpus in tokens of a published frontier, but no frontier was named",
            place="--bytes-per-token", fix="leave it out, or name one: --anchor porian",
        )  # fmt: skip
    opened: list[LawFile] = []
    runs: Observations | None = None
    if request.pilot:
        laws, statistics, runs = _piloted(request, progress)
    elif request.runs:
        laws, statistics, runs = _of_table(request, progress)
    else:
        opened = _opened(request)
        laws = [one.law for one in opened]
        statistics = _statistics(request, opened, progress, tokenizer=request.tokenizer)
    settings: dict[str, Any] = {"extrapolate": request.extrapolate, "repeat": request.repeat, "runs": runs}
    found = [plan(laws, corpus=statistics, making=making, **settings, **asked) for asked in request.asked]
    return _remarked(found, request, opened, statistics), [plan_law(law, statistics) for law in laws]


def _refuse_unclear(request: Request) -> None:
    """Raise InputError for two sources of a law, for none, or for options of a source that was not named."""
    sources = {"--law": request.laws, "--runs": request.runs, "--pilot": request.pilot}
    named = [name for name, given in sources.items() if given]
    if len(named) > 1:
        raise InputError(
            f"found both {' and '.join(named)}, expected one of them", place="plan", fix="leave one of them out"
        )
    if request.runs is None and (request.columns or request.where):
        raise InputError("--column or --where was given without --runs", place="plan", fix="name it: --runs runs.csv")
    if request.corpus is not None:
        return
    if not named or request.pilot or (request.frontier and not request.runs):
        raise InputError(
            "no corpus was given; only a plan from your own runs or law works without one", place="plan",
            fix="name the text to train on (isoloss plan CORPUS …), a table of runs (--runs runs.csv) or a law "
            "(--law law.json)",
        )  # fmt: skip


def _opened(request: Request) -> list[LawFile]:
    """Return the laws that were named, or the bundled one."""
    return [load_law(path) for path in request.laws] or [shipped.shipped_file()]


def _remarked(
    found: Sequence[Plan], request: Request, opened: Sequence[LawFile], statistics: CorpusStatistics
) -> list[Plan]:
    """Return plans that say what is to be known of their law and their corpus before anything else."""
    remarks = tuple(_remarks(request, opened, statistics))
    return [replace(one, warnings=(*remarks, *one.warnings)) for one in found]


def _remarks(request: Request, opened: Sequence[LawFile], statistics: CorpusStatistics) -> Iterator[LawWarning]:
    """Yield where a law came from that nobody named, that its tokens are not stated, that its corpus is small."""
    if not (request.laws or request.runs or request.pilot):
        law = shipped.shipped_law()
        smallest, largest = law.domain.span("params")
        yield LawWarning(
            code="shipped_law",
            message=f"no law was named: this is the bundled one, from {len(law.corpora)} real corpora read as bytes, "
            f"models of {smallest:,.0f} to {largest:,.0f} parameters and up to "
            f"{law.domain.flops_high:.1e} FLOPs. A pilot on your corpus is more accurate: --pilot 10min.",
        )
        yield from _unlike(statistics)
    counted = opened and request.corpus is not None and request.tokenizer is None and request.frontier is None
    if counted and all(one.tokenizer is None for one in opened):
        yield LawWarning(
            code="tokens_unstated",
            message="the law does not say which tokenizer it used, and the corpus was read as bytes. If the law "
            "used another one, name it with --tokenizer; otherwise unique tokens, passes and shape are for bytes.",
        )
    settings = MeasureSettings(**next((one.settings for one in opened if one.settings), {}))
    wanted = settings.samples * settings.sequence_tokens
    if statistics.measures and statistics.unique_tokens is not None and statistics.unique_tokens < wanted:
        yield LawWarning(
            code="little_text",
            message=f"{statistics.name} has {statistics.unique_tokens:,.0f} tokens, and the law's corpora were "
            f"measured on {wanted:,} each. Measures of less text have different values (n-gram models that learn less "
            "predict worse).",
        )


def _unlike(statistics: CorpusStatistics) -> Iterator[LawWarning]:
    """Yield that a corpus uses its bytes unlike every corpus behind the bundled law."""
    low, high = shipped.LETTER_SPAN
    letters = statistics.measures.get(shipped.LETTERS)
    if letters is not None and not low <= letters.value <= high:
        yield LawWarning(
            code="unlike_the_texts",
            message=f"the single bytes of {statistics.name} have an entropy of {letters.value:.2f} nats; those of the "
            f"texts behind this law have {low:.2f} to {high:.2f}. Do not rely on this plan or its interval: the "
            "best tokens per parameter were 3 times as many on molecules written as text (2.39 nats) and 6 times on "
            "tables of numbers (2.06). Train a pilot: --pilot 10min.",
        )


def _statistics(
    request: Request, laws: Sequence[LawFile], progress: Progress, *, tokenizer: str | None = None
) -> CorpusStatistics:
    """Return the corpus measured by what the laws follow, in the way their corpora were measured.

    `tokenizer` is the one that was named for the law's own tokens, if one was.
    """
    joint = [one for one in laws if isinstance(one.law, FittedDataDependent)]
    measures = list(dict.fromkeys(one.law.measure for one in joint if isinstance(one.law, FittedDataDependent)))
    if joint and not request.laws:
        measures.append(shipped.LETTERS)
    settings = {name: value for one in joint for name, value in (one.settings or {}).items()}
    known = next((one.tokenizer for one in joint if one.tokenizer), None)
    if known and tokenizer not in (None, known):
        raise InputError(
            f"the law's tokens are from {known!r}; losses per token of {tokenizer!r} are not comparable",
            place="--tokenizer", fix="leave it out, or train a pilot with it: --pilot 10min",
        )  # fmt: skip
    if request.corpus is None:
        return replace(statistics_of_law(laws[0].law), vocab_size=_vocab_size(tokenizer))
    return open_corpus(
        request.corpus, tokenizer=tokenizer or known or "bytes", measures=measures,
        settings=MeasureSettings(**settings), seed=request.seed, progress=progress,
    )  # fmt: skip


def _vocab_size(tokenizer: str | None) -> int | None:
    return None if tokenizer is None else open_tokenizer(tokenizer).vocab_size


def _from_reference(request: Request, *, making: Making, progress: Progress) -> tuple[list[Plan], list[PlanLaw]]:
    assert request.frontier is not None
    frontier = reference_frontiers[request.frontier]
    given = list(dict.fromkeys(name for asked in request.asked for name, value in asked.items() if value is not None))
    if request.pilot or request.runs:
        option, what = ("--pilot", "a pilot knows") if request.pilot else ("--runs", "these runs know")
        raise InputError(
            f"--anchor needs a law of several corpora, but {what} one",
            place=option, fix=f"leave {option} out",
        )  # fmt: skip
    if given != ["flops"]:
        raise InputError(
            "--anchor only splits a budget",
            place="--anchor",
            fix="give --flops alone with --anchor",
        )
    opened = _opened(request)
    joint = next((one.law for one in opened if isinstance(one.law, FittedDataDependent)), None)
    if joint is None:
        raise InputError(
            "--anchor needs a data-dependent law, because the shift is between two of its corpora",
            place="--anchor",
            fix="name one with --law (a study writes one as laws/text.MEASURE.json)",
        )  # fmt: skip
    reference = request.reference or (None if request.laws else shipped.REFERENCE)
    if reference is None:
        raise InputError(
            f"which corpus of the law is most like {frontier.data}?", place="--reference",
            fix=f"name it: --reference {' | '.join(joint.corpora)}",
        )  # fmt: skip
    if reference not in joint.corpora:
        raise InputError(
            f"the law has no corpus {reference!r}", place="--reference",
            fix=did_you_mean(reference, joint.corpora),
        )  # fmt: skip
    statistics = _statistics(request, opened, progress)
    law, other = PlanLaw.at_measure(joint, statistics), PlanLaw.of_known(joint, reference)
    counted = _counted(request, statistics)
    found = [
        plan_from_reference(
            law, other, frontier, flops=float(asked["flops"] or 0.0), corpus=counted, making=making, seed=request.seed,
            repeat=request.repeat,
        )
        for asked in request.asked
    ]  # fmt: skip
    return _remarked(found, request, opened, statistics), [law, other]


def _counted(request: Request, statistics: CorpusStatistics) -> CorpusStatistics:
    """Return the corpus in tokens like a frontier's: of a tokenizer that was named, or by bytes a token as stated."""
    ratio, vocab_size = request.bytes_per_token, None
    if request.tokenizer is not None:
        if ratio is not None:
            raise InputError(
                "found both --tokenizer and --bytes-per-token, expected one of them", place="plan",
                fix="leave --bytes-per-token out: the tokenizer gives the ratio",
            )  # fmt: skip
        assert request.corpus is not None
        own = open_corpus(request.corpus, tokenizer=request.tokenizer, measures=(), seed=request.seed)
        ratio, vocab_size = own.bytes_per_token, own.vocab_size
        if ratio == 1:
            raise InputError(
                "a reference frontier counts subword tokens of several bytes each, and these are bytes",
                place="--tokenizer",
                fix="name a tokenizer.json or a SentencePiece .model, or state --bytes-per-token 4.2",
            )  # fmt: skip
    return statistics.in_tokens(ratio, vocab_size=vocab_size)


def _of_table(request: Request, progress: Progress) -> tuple[list[AnyLaw], CorpusStatistics, Observations]:
    """Return the laws of a table of runs and the runs; the corpus is the one that was named, else that of the runs."""
    assert request.runs is not None
    unknown = [name for name in request.columns if name not in COLUMNS]
    if unknown:
        raise InputError(
            f"found {unknown[0]!r}, expected what the column holds", place="--column",
            fix=did_you_mean(unknown[0], COLUMNS),
        )  # fmt: skip
    columns: dict[str, Any] = {COLUMNS[name]: column for name, column in request.columns.items()}
    table = read_runs(request.runs, where=request.where, **columns)
    if len(table.corpora) > 1:
        raise InputError(
            f"found runs on {len(table.corpora)} corpora, expected one corpus", place=str(request.runs),
            fix=f"select one: --where \"{request.columns.get('group', 'corpus')} = '{table.corpora[0]}'\"; known: "
            + ", ".join(table.corpora[:MOST_NAMES]),
        )  # fmt: skip
    laws: list[AnyLaw] = list(_forms_of(table, request.seed))
    if request.corpus is not None:
        return laws, _statistics(request, [], progress, tokenizer=request.tokenizer), table
    vocab = _vocab_size(request.tokenizer) or (None if table.vocab is None else int(table.vocab.max()))
    name = table.corpora[0] if "group" in request.columns else request.runs.stem
    return laws, CorpusStatistics(name=name, vocab_size=vocab), table


def _forms_of(table: Observations, seed: int) -> list[FittedLaw]:
    """Return the forms fitted to runs: the one that decides, and those others that the runs can carry."""
    laws = [fit(table, law=FORMS[0], bootstrap=DRAWS, seed=seed)]
    for form in FORMS[1:]:
        with suppress(BadTable):
            laws.append(fit(table, law=form, bootstrap=DRAWS, seed=seed))
    return laws


def _piloted(request: Request, progress: Progress) -> tuple[list[AnyLaw], CorpusStatistics, Observations]:
    """Train the largest pilot that the time allows, and return its laws and runs; a standing one is taken up again."""
    # What trains takes a fifth of a second to load, and most plans train nothing.
    from isoloss.corpus.build import build
    from isoloss.study.lab import Lab
    from isoloss.study.pilot import CONTEXT, fitting_pilot, seconds_of

    assert request.pilot is not None
    assert request.corpus is not None
    path = Path(request.corpus).resolve()
    name = "pilot-" + (re.sub(r"[^A-Za-z0-9._-]", "-", path.stem) or "corpus")
    folder = request.out or Path("results") / name
    tokenizer = request.tokenizer or "bytes"
    seconds = seconds_of(request.pilot)
    source = FilesSource(name="corpus", paths=(str(path),), tokenizer=tokenizer)
    lab = Lab(folder, progress=progress)
    corpus = build(
        source, root=lab.folder / "corpora", context=CONTEXT, seed=request.seed, base=Path.cwd(), progress=progress
    )
    study = fitting_pilot(path, corpus, name=name, tokenizer=tokenizer, seconds=seconds, seed=request.seed)
    lab.run(study, until="train")
    table = lab.observations(study, measures=[])
    laws = _forms_of(table, request.seed)
    for law in laws:
        law.save(lab.folder / "laws" / f"{law.law}.json")
    statistics = CorpusStatistics(
        name=Path(request.corpus).name, unique_tokens=float(corpus.n_tokens), vocab_size=corpus.vocab_size,
        bytes_per_token=corpus.bytes_per_token,
    )  # fmt: skip
    return list(laws), statistics, table
