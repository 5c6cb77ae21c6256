"""From a corpus and a question to a plan: find the law, measure the corpus as the law's corpora were, and plan.

A law comes from files, from a pilot that is trained on the corpus itself, or with isoloss; a reference frontier needs a
data-dependent one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isoloss.complexity.base import MeasureSettings
from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.progress import QUIET, Progress
from isoloss.corpus.build import build
from isoloss.corpus.sources import FilesSource
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.law_files import LawFile, load_law
from isoloss.fitting.domain import LawWarning
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.planning import shipped
from isoloss.planning.corpus_statistics import CorpusStatistics, open_corpus
from isoloss.planning.from_reference import plan_from_reference
from isoloss.planning.laws import PlanLaw
from isoloss.planning.plan import AnyLaw, plan, plan_law
from isoloss.planning.plan_result import Making, Plan
from isoloss.planning.reference_frontiers import reference_frontiers
from isoloss.runs.observations import Observations
from isoloss.study.lab import Lab
from isoloss.study.pilot import CONTEXT, fitting_pilot, seconds_of

FORMS = ("chinchilla", "coupled")
"""Forms fitted to a pilot: the first decides, the others widen what is carried beyond its budgets."""
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked: the corpus, the questions (a plan each), and where the law comes from.

    With a reference frontier (`anchor`), `tokenizer` or `bytes_per_token` counts the corpus in the frontier's tokens.
    """

    corpus: str
    asked: Sequence[Mapping[str, float | None]]
    laws: tuple[Path, ...] = ()
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
    if request.laws and request.pilot:
        raise InputError(
            "found both --law and --pilot, expected one of them", place="plan", fix="leave one of them out"
        )
    if request.frontier is not None:
        return _from_reference(request, making=making, progress=progress)
    if request.bytes_per_token is not None:
        raise InputError(
            "bytes a token count a corpus in the tokens of a published frontier, and no frontier was named",
            place="--bytes-per-token", fix="leave it out, or name one: --anchor porian",
        )  # fmt: skip
    opened: list[LawFile] = []
    runs: Observations | None = None
    if request.pilot:
        laws, statistics, runs = _piloted(request, progress)
    else:
        opened = _opened(request)
        laws, statistics = (
            [one.law for one in opened],
            _statistics(request, opened, progress, tokenizer=request.tokenizer),
        )
    settings: dict[str, Any] = {
        "making": making,
        "extrapolate": request.extrapolate,
        "repeat": request.repeat,
        "runs": runs,
    }
    questions: list[dict[str, Any]] = [dict(asked) for asked in request.asked]
    found = [plan(laws, corpus=statistics, **settings, **asked) for asked in questions]
    return [_formatted(one, request, opened, statistics) for one in found], [plan_law(law, statistics) for law in laws]


def _opened(request: Request) -> list[LawFile]:
    """Return the laws that were named, or the bundled one."""
    return [load_law(path) for path in request.laws] or [shipped.shipped_file()]


def _formatted(found: Plan, request: Request, opened: Sequence[LawFile], statistics: CorpusStatistics) -> Plan:
    """Return a plan that says where its law came from if nobody named one, and whether its corpus is small."""
    unnamed = [_unnamed()] if not request.laws and not request.pilot else []
    unnamed_tokens = opened and request.tokenizer is None and request.frontier is None and _no_tokenizer(opened)
    unsaid = [_unsaid_tokens()] if unnamed_tokens else []
    return replace(found, warnings=(*unnamed, *unsaid, *_little_text(opened, statistics), *found.warnings))


def _no_tokenizer(opened: Sequence[LawFile]) -> bool:
    return all(one.tokenizer is None for one in opened)


def _unsaid_tokens() -> LawWarning:
    return LawWarning(
        code="tokens_unstated",
        message="the law does not say of what tokenizer its tokens are, and the corpus was read as bytes: name the "
        "law's with --tokenizer if it is another, or unique tokens, passes and shape are those of bytes.",
    )


def _unnamed() -> LawWarning:
    law = shipped.shipped_law()
    return LawWarning(
        code="shipped_law",
        message=f"no law was named: this is the bundled one, from {len(law.corpora)} real corpora read as bytes, "
        f"models of {law.domain.params_low:,.0f} to {law.domain.params_high:,.0f} parameters and up to "
        f"{law.domain.flops_high:.1e} FLOPs. A pilot on the corpus itself knows it better: --pilot 10min.",
    )


def _little_text(opened: Sequence[LawFile], statistics: CorpusStatistics) -> list[LawWarning]:
    """Return the warning that a corpus has less text than the law's corpora were measured on."""
    settings = MeasureSettings(**next((one.settings for one in opened if one.settings), {}))
    wanted = settings.samples * settings.sequence_tokens
    if not statistics.measures or statistics.unique_tokens is None or statistics.unique_tokens >= wanted:
        return []
    return [LawWarning(
        code="little_text",
        message=f"{statistics.name} has {statistics.unique_tokens:,.0f} tokens, and the law's corpora were measured on "
        f"{wanted:,} each: {', '.join(statistics.measures)} of less text is another number (n-gram models that learn "
        "less predict less).",
    )]  # fmt: skip


def _statistics(
    request: Request, laws: Sequence[LawFile], progress: Progress, *, tokenizer: str | None = None
) -> CorpusStatistics:
    """Return the corpus measured by what the laws follow, in the way their corpora were measured.

    `tokenizer` is the one that was named for the law's own tokens, if one was.
    """
    joint = [one for one in laws if isinstance(one.law, FittedDataDependent)]
    measures = list(dict.fromkeys(one.law.measure for one in joint if isinstance(one.law, FittedDataDependent)))
    settings = {name: value for one in joint for name, value in (one.settings or {}).items()}
    known = next((one.tokenizer for one in joint if one.tokenizer), None)
    if known and tokenizer not in (None, known):
        raise InputError(
            f"the law's tokens are those of {known!r}, and a loss per token of {tokenizer!r} is another loss",
            place="--tokenizer", fix="leave it out, or train a pilot with it: --pilot 10min",
        )  # fmt: skip
    return open_corpus(
        request.corpus, tokenizer=tokenizer or known or "bytes", measures=measures,
        settings=MeasureSettings(**settings), seed=request.seed, progress=progress,
    )  # fmt: skip


def _from_reference(request: Request, *, making: Making, progress: Progress) -> tuple[list[Plan], list[PlanLaw]]:
    assert request.frontier is not None
    frontier = reference_frontiers[request.frontier]
    given = list(dict.fromkeys(name for asked in request.asked for name, value in asked.items() if value is not None))
    if request.pilot:
        raise InputError(
            "a reference frontier is shifted by what a law of several corpora says of two, and a pilot knows one",
            place="--pilot", fix="leave --pilot out",
        )  # fmt: skip
    if given != ["flops"]:
        raise InputError(
            "a reference frontier splits a budget, and nothing else",
            place="--anchor",
            fix="give --flops alone with --anchor",
        )
    opened = _opened(request)
    joint = next((one.law for one in opened if isinstance(one.law, FittedDataDependent)), None)
    if joint is None:
        raise InputError(
            "a reference frontier needs a data-dependent law: the shift is between two of its corpora",
            place="--anchor",
            fix="name one with --law (a study writes one as laws/text.MEASURE.json)",
        )  # fmt: skip
    reference = request.reference or (None if request.laws else shipped.REFERENCE)
    if reference is None:
        raise InputError(
            f"which corpus of the law is like {frontier.data}?", place="--reference",
            fix=f"name it: --reference {' | '.join(joint.corpora)}",
        )  # fmt: skip
    if reference not in joint.corpora:
        raise InputError(
            f"the law has no corpus {reference!r}", place="--reference",
            fix=did_you_mean(reference, joint.corpora),
        )  # fmt: skip
    statistics = _statistics(request, opened, progress)
    law, other, counted = (
        PlanLaw.at_measure(joint, statistics),
        PlanLaw.of_known(joint, reference),
        _counted(request, statistics),
    )
    found = [
        plan_from_reference(
            law, other, frontier, flops=float(asked["flops"] or 0.0), corpus=counted, making=making, seed=request.seed,
            repeat=request.repeat,
        )
        for asked in request.asked
    ]  # fmt: skip
    return [_formatted(one, request, opened, statistics) for one in found], [law, other]


def _counted(request: Request, statistics: CorpusStatistics) -> CorpusStatistics:
    """Return the corpus in tokens like a frontier's: of a tokenizer that was named, or by bytes a token as stated."""
    ratio, vocab_size = request.bytes_per_token, None
    if request.tokenizer is not None:
        if ratio is not None:
            raise InputError(
                "found both --tokenizer and --bytes-per-token, expected one of them", place="plan",
                fix="leave the ratio out: the tokenizer gives it",
            )  # fmt: skip
        own = open_corpus(request.corpus, tokenizer=request.tokenizer, measures=(), seed=request.seed)
        ratio, vocab_size = own.bytes_per_token, own.vocab_size
    return statistics.in_tokens(ratio, vocab_size=vocab_size)


def _piloted(request: Request, progress: Progress) -> tuple[list[AnyLaw], CorpusStatistics, Observations]:
    """Train the largest pilot that the time allows, and return its laws and runs; a standing one is taken up again."""
    assert request.pilot is not None
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
    laws: list[AnyLaw] = [fit(table, law=form, bootstrap=DRAWS, seed=request.seed) for form in FORMS]
    for law in laws:
        assert isinstance(law, FittedLaw)
        law.save(lab.folder / "laws" / f"{law.law}.json")
    statistics = CorpusStatistics(
        name=Path(request.corpus).name, unique_tokens=float(corpus.n_tokens), vocab_size=corpus.vocab_size,
        bytes_per_token=corpus.bytes_per_token,
    )  # fmt: skip
    return laws, statistics, table
