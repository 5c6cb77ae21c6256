"""The report's first screen: the best split of the common budget, one line a corpus, and one verdict over all."""

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import plain, power_of_ten, si
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.report.blocks import Answer, Line
from isoloss.report.data import ReportData
from isoloss.report.refusals import misfit
from isoloss.report.tables import by_complexity
from isoloss.report.verdicts import NOT_JUDGED, answer

TOO_FEW = "not_enough_corpora"
ONE_FORM = "by {form} alone"


def split_lines(data: ReportData) -> tuple[Line, ...]:
    """Return the answer for every corpus that has runs, in the order of every table.

    By all forms together where the study weighed them (`optima`), else by the corpus's own law, which is said.
    """
    with_runs = set(data.observations.corpora)
    weighed = {one.corpus: one for one in data.optima}
    return tuple(
        _weighed(corpus.name, corpus.kind, weighed[corpus.name], data.observations.data_unit)
        if corpus.name in weighed
        else _by_law(corpus.name, corpus.kind, data)
        for corpus in by_complexity(data)
        if corpus.name in with_runs
    )


def lines_title(data: ReportData) -> str:
    """Return what the list answers."""
    budgets = {one.flops for one in data.optima} or {data.budget_flops}
    described = power_of_ten(budgets.pop()) if len(budgets) == 1 else "each corpus's own budget of"
    return f"What to train with {described} FLOPs"


def verdicts(data: ReportData) -> list[Answer]:
    """Return one verdict a kind of corpus; none for kinds of too few corpora, whose splits speak for themselves."""
    judged = [answer(verdict) for verdict in data.balance if verdict.verdict != TOO_FEW]
    return judged if judged or len(data.observations) else [NOT_JUDGED]


def in_words(params: Estimate, tokens: Estimate, ratio: Estimate, unit: str) -> tuple[str, str]:
    """Return a split as `1.2M tokens on 24k parameters` and `47 a parameter [38–58]`."""
    split = f"{si(tokens.value, 2)} {unit} on {si(params.value, 2)} parameters"
    ends = (
        ""
        if ratio.low is None or ratio.high is None
        else f" [{plain(ratio.low, 2, trim=False)}–{plain(ratio.high, 2, trim=False)}]"
    )
    return split, f"{plain(ratio.value, 2)} a parameter{ends}"


def _weighed(name: str, kind: str, one: BestSize, unit: str) -> Line:
    if one.params is None or one.tokens is None or one.tokens_per_param is None:
        return Line(name=name, kind=kind, missing=one.reason)
    split, ratio = in_words(one.params, one.tokens, one.tokens_per_param, unit)
    return Line(name=name, kind=kind, split=split, ratio=ratio)


def _by_law(name: str, kind: str, data: ReportData) -> Line:
    law = data.laws.get(name)
    if law is None:
        return Line(name=name, kind=kind, missing=data.no_law.get(name, "no law was fitted"))
    try:
        best = law.optimum(data.budget_flops)
    except Unidentified as error:
        return Line(name=name, kind=kind, missing=error.message)
    split, described = in_words(best.params, best.tokens, best.log_ratio.exponential(), law.data_unit)
    return Line(name=name, kind=kind, split=split, ratio=described, note=_note(law, data, inside=best.interpolated))


def _note(law: FittedLaw, data: ReportData, *, inside: bool) -> str:
    said = [] if inside else ["beyond the runs"]
    said.append(ONE_FORM.format(form=law.law))
    if misfit(data, law.group, law):
        said.append("which misses the runs")
    return ", ".join(said)
