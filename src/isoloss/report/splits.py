"""The best split of a corpus at the common budget, found in one place: all that the page says of it comes from here."""

from dataclasses import dataclass

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import plain, si
from isoloss.fitting.fitted import FittedLaw
from isoloss.report.data import ReportData, by_alone
from isoloss.report.refusals import misfit


@dataclass(frozen=True, kw_only=True)
class Split:
    """Best N, D and D/N; `note` qualifies them. They are None where there is no best split: `missing` says why."""

    params: Estimate | None = None
    tokens: Estimate | None = None
    ratio: Estimate | None = None
    note: str = ""
    missing: str = ""


def best_split(data: ReportData, corpus: str) -> Split:
    """Return the best split of a corpus: by several forms where the study weighed them, else by its law alone."""
    weighed = data.common.get(corpus)
    if weighed is None:
        return _by_law(data, corpus)
    if not weighed.inside:
        return Split(missing=weighed.reason)
    return Split(params=weighed.params, tokens=weighed.tokens, ratio=weighed.tokens_per_param)


def in_words(split: Split, unit: str) -> tuple[str, str]:
    """Return a split as `1.2M tokens on 24k parameters` and `47 a parameter [38–58]`; empty where there is none."""
    params, tokens, ratio = split.params, split.tokens, split.ratio
    if params is None or tokens is None or ratio is None:
        return "", ""
    ends = (
        ""
        if ratio.low is None or ratio.high is None
        else f" [{plain(ratio.low, 2, trim=False)}–{plain(ratio.high, 2, trim=False)}]"
    )
    return (
        f"{si(tokens.value, 2)} {unit} on {si(params.value, 2)} parameters",
        f"{plain(ratio.value, 2)} a parameter{ends}",
    )


def _by_law(data: ReportData, corpus: str) -> Split:
    law = data.laws.get(corpus)
    if law is None:
        return Split(missing=data.no_law.get(corpus, "no law was fitted"))
    try:
        best = law.optimum(data.budget_flops)
    except Unidentified as error:
        return Split(missing=error.message)
    note = _note(data, law, inside=best.interpolated)
    return Split(params=best.params, tokens=best.tokens, ratio=best.log_ratio.exponential(), note=note)


def _note(data: ReportData, law: FittedLaw, *, inside: bool) -> str:
    said = [] if inside else ["beyond the runs"]
    said.append(by_alone(law.law))
    if misfit(data, law.group, law):
        said.append("which misses the runs")
    return ", ".join(said)
