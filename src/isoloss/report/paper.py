"""What a paper can paste: a paragraph on methods with this study's own numbers, and the bibliography behind it."""

import re

import numpy as np

from isoloss.core.numbers import plain, power_of_ten, si
from isoloss.report.blocks import Paste
from isoloss.report.checklist import ALGORITHM, first_law
from isoloss.report.data import ReportData
from isoloss.report.methods import CONVENTIONS, INTERVAL_METHOD, OBJECTIVES, counted

ENTRIES = {
    "2203.15556": ("hoffmann2022training", "Hoffmann, Jordan and others", 2022,
                   "Training Compute-Optimal Large Language Models"),
    "2001.08361": ("kaplan2020scaling", "Kaplan, Jared and others", 2020, "Scaling Laws for Neural Language Models"),
    "2010.14701": ("henighan2020scaling", "Henighan, Tom and others", 2020,
                   "Scaling Laws for Autoregressive Generative Modeling"),
    "2305.16264": ("muennighoff2023scaling", "Muennighoff, Niklas and others", 2023,
                   "Scaling Data-Constrained Language Models"),
    "2506.10972": ("li2025farseer", "Li, Houyi and others", 2025, "Predictable Scale: Part II, Farseer"),
    "2411.12925": ("brandfonbrener2024loss", "Brandfonbrener, David and others", 2024,
                   "Loss-to-Loss Prediction: Scaling Laws for All Datasets"),
    "2405.16684": ("pandey2024gzip", "Pandey, Rohan", 2024, "gzip Predicts Data-dependent Scaling Laws"),
    "2406.19146": ("porian2024resolving", "Porian, Tomer and others", 2024,
                   "Resolving Discrepancies in Compute-Optimal Scaling of Language Models"),
    "2502.18969": ("li2025misfitting", "Li, Margaret and Kudugunta, Sneha and Zettlemoyer, Luke", 2025,
                   "(Mis)Fitting: A Survey of Scaling Laws"),
}  # fmt: skip
"""Papers that a study may rest on, by arXiv number: key, authors, year, title."""
ALWAYS = ("2502.18969",)


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
    cited = ", ".join(ENTRIES[number][0] for number in _numbers(data) if number not in ALWAYS)
    n, d = law.domain.span("params"), law.domain.span("tokens")
    sentences = [
        f"We trained {len(runs)} models on {len(runs.corpora)} corpora ({', '.join(runs.corpora)}), of {si(n[0])} to "
        f"{si(n[1])} parameters on {si(d[0])} to {si(d[1])} {runs.data_unit}.",
        f"Parameters N: {_lower(CONVENTIONS.get(runs.params_convention, 'as the table of runs counts them.'))}",
        f"Compute C is {'6ND' if counted(runs) else 'as recorded with every run'}.",
        data.training,
        "Loss is cross-entropy in nats per token on held-out documents.",
        f"To each corpus we fitted {law.definition.formula}{f' [{cited}]' if cited else ''}, at the least of "
        f"{OBJECTIVES[law.objective].format(delta=plain(law.delta))} ({ALGORITHM}; {law.convergence.starts} starts).",
        _intervals(data),
        _left_out(data),
        f"Corpora are compared at {power_of_ten(data.budget_flops)} FLOPs. Fits and figures: isoloss {data.version} "
        "[isoloss].",
    ]
    return " ".join(sentence.strip() for sentence in sentences if sentence)


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


def _numbers(data: ReportData) -> list[str]:
    """Return the arXiv numbers of the papers that the study's laws, measure and checklist come from."""
    sentence = [law.definition.source for law in (*data.laws.values(), *data.further_laws)]
    sentence += ["arXiv:2405.16684"] if any("gzip" in corpus.measures for corpus in data.corpora) else []
    sentence += ["arXiv:2406.19146"] if data.observations.params_convention in ("with_head", "with_attention") else []
    found = re.findall(r"arXiv:(\d{4}\.\d{5})", " ".join(sentence))
    return [number for number in dict.fromkeys([*found, *ALWAYS]) if number in ENTRIES]


def bibtex(data: ReportData) -> str:
    """Return BibTeX of isoloss and of every paper that the study rests on."""
    own = (
        f"@software{{isoloss,\n  title = {{isoloss: scaling laws that know your data}},\n"
        f"  author = {{{{The isoloss authors}}}},\n"
        f"  year = {{{data.created.year}}},\n  version = {{{data.version}}}\n}}"
    )
    papers = []
    for number in _numbers(data):
        key, authors, year, title = ENTRIES[number]
        papers.append(
            f"@article{{{key},\n  title = {{{{{title}}}}},\n  author = {{{authors}}},\n  year = {{{year}}},\n"
            f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}}\n}}"
        )
    return "\n\n".join([own, *papers])
