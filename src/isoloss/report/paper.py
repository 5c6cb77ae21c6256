"""What a paper can paste: a paragraph on methods with this study's own numbers, and the bibliography behind it."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from isoloss.core.numbers import counted_corpora, plain, power_of_ten
from isoloss.core.reading import packaged_toml
from isoloss.fitting.fitted import FittedLaw
from isoloss.report.blocks import Paste
from isoloss.report.checklist import algorithm, first_law, span
from isoloss.report.data import ReportData
from isoloss.report.methods import CONVENTIONS, INTERVAL_METHOD, OBJECTIVES, counted, described

ENTRIES: dict[str, tuple[str, str, int, str]] = packaged_toml("isoloss.report", "papers.toml")
"""Papers that a study may rest on, by arXiv number: key, authors, year, title."""
MISFITTING, GZIP = "2502.18969", "2405.16684"
COUNTED_AFTER = {"non_embedding": "2001.08361", "with_head": "2406.19146", "with_attention": "2406.19146"}
"""The paper behind a convention of counting parameters."""


def paste(data: ReportData) -> tuple[Paste, ...]:
    """Return the methods paragraph and the bibliography; nothing for a study without a law."""
    if not data.laws:
        return ()
    return (
        Paste(title="Methods, as a paragraph", text=methods_paragraph(data)),
        Paste(title="BibTeX", text=bibtex(data)),
    )


def methods_paragraph(data: ReportData) -> str:
    """Return how the study was made and fitted, in sentences with its own numbers and the keys of `bibtex`."""
    law, runs = first_law(data), data.observations
    assert law is not None, "a paragraph is of a study with a law"
    corpora = counted_corpora(len(runs.corpora))
    sentences = [
        f"We use {len(runs)} training runs on {corpora} ({', '.join(runs.corpora)}): models of "
        f"{span(runs.params.tolist())} parameters on {span(runs.tokens.tolist())} {runs.data_unit}.",
        f"Parameters N: {_lower(CONVENTIONS.get(runs.params_convention, 'as the table of runs counts them.'))[:-1]}"
        f"{_cited(_counted_after(data))}.",
        f"Compute C is {'6ND' if counted(runs) else 'as recorded with every run'}.",
        data.training,
        "Loss is cross-entropy in nats per token on held-out documents.",
        f"To each corpus we fitted {law.definition.formula}{_cited(_of_laws([law]))} by minimising "
        f"{OBJECTIVES[law.objective].format(delta=plain(law.delta))} ({algorithm(law)}; {law.convergence.starts} "
        "starts).",
        _intervals(data),
        _left_out(data),
        _measured(data),
        f"Best splits are those of {power_of_ten(data.budget_flops)} FLOPs, {data.forms}. Fits and figures: "
        f"isoloss {data.version} [isoloss].",
    ]
    return " ".join(sentence.strip() for sentence in sentences if sentence)


def _cited(numbers: Sequence[str]) -> str:
    return f" [{', '.join(_entry(number)[0] for number in numbers)}]" if numbers else ""


def _measured(data: ReportData) -> str:
    """Return by which measure corpora are compared; nothing where none has it."""
    if not any(data.measure in corpus.measures for corpus in data.corpora):
        return ""
    return f"Corpora are compared by {described(data.measure)}{_cited([GZIP] if data.measure == 'gzip' else [])}."


def _counted_after(data: ReportData) -> list[str]:
    """Return the paper that counts parameters as the runs do, if one is known for it."""
    convention = data.observations.params_convention
    return [COUNTED_AFTER[convention]] if convention in COUNTED_AFTER else []


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _intervals(data: ReportData) -> str:
    drawn = {INTERVAL_METHOD[law.interval_method] for law in data.laws.values() if len(law.draws)}
    draws = max(len(law.draws) for law in data.laws.values())
    points, curves = len(data.observations), len(np.unique(data.observations.trunk))
    shared = f" ({points} points lie on {curves} training curves)" if curves < points else ""
    sentence = f"Intervals are 95 % percentiles of {draws} refits to {' or '.join(sorted(drawn))}{shared}."
    return sentence if drawn else ""


def _left_out(data: ReportData) -> str:
    left = {exclusion.run: exclusion.reason for law in data.laws.values() for exclusion in law.excluded}
    if not left:
        return "No run was left out."
    return f"{len(left)} runs were left out ({', '.join(sorted(set(left.values())))})."


def _of_laws(laws: Iterable[FittedLaw]) -> list[str]:
    """Return the arXiv numbers of the papers that laws come from, each once."""
    return list(dict.fromkeys(re.findall(r"arXiv:(\d{4}\.\d{5})", " ".join(law.definition.source for law in laws))))


def _numbers(data: ReportData) -> list[str]:
    """Return the arXiv numbers of the papers that the study's laws, measure and checklist come from."""
    measured = [GZIP] if any("gzip" in corpus.measures for corpus in data.corpora) else []
    laws = _of_laws([*data.laws.values(), *data.further_laws])
    return list(dict.fromkeys([*laws, *measured, *_counted_after(data), MISFITTING]))


def _entry(number: str) -> tuple[str, str, int, str]:
    """Return key, authors, year and title of a paper; of one that is not known by name, what its number says."""
    unknown = (f"arxiv{number.replace('.', '')}", "add the authors", 2000 + int(number[:2]), "add the title")
    return ENTRIES.get(number, unknown)


def bibtex(data: ReportData) -> str:
    """Return BibTeX of isoloss and of every paper that the study rests on."""
    own = (
        f"@software{{isoloss,\n  title = {{isoloss: scaling laws that know your data}},\n"
        f"  author = {{{{The isoloss authors}}}},\n"
        f"  year = {{{data.created.year}}},\n  version = {{{data.version}}}\n}}"
    )
    papers = []
    for number in _numbers(data):
        key, authors, year, title = _entry(number)
        papers.append(
            f"@article{{{key},\n  title = {{{{{title}}}}},\n  author = {{{authors}}},\n  year = {{{year}}},\n"
            f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}}\n}}"
        )
    return "\n\n".join([own, *papers])
