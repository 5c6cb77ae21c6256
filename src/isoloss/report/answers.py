"""The report's first screen: the best split of the common budget, one line a corpus, and one verdict over all."""

from isoloss.core.numbers import power_of_ten
from isoloss.report.blocks import Answer, Line
from isoloss.report.data import CorpusSummary, ReportData
from isoloss.report.splits import Split, best_split, in_words
from isoloss.report.tables import by_complexity
from isoloss.report.verdicts import NOT_JUDGED, answer

TOO_FEW = "not_enough_corpora"


def split_lines(data: ReportData) -> tuple[Line, ...]:
    """Return the answer for every corpus that has runs, in the order of every table."""
    with_runs = set(data.observations.corpora)
    unit = data.observations.data_unit
    return tuple(
        _line(corpus, best_split(data, corpus.name), unit) for corpus in by_complexity(data) if corpus.name in with_runs
    )


def lines_title(data: ReportData) -> str:
    """Return what the list answers."""
    return f"What to train with {power_of_ten(data.budget_flops)} FLOPs"


def verdicts(data: ReportData) -> list[Answer]:
    """Return one verdict a kind of corpus; none for kinds of too few corpora, whose splits speak for themselves."""
    judged = [answer(verdict) for verdict in data.balance if verdict.verdict != TOO_FEW]
    return judged if judged or len(data.observations) else [NOT_JUDGED]


def _line(corpus: CorpusSummary, split: Split, unit: str) -> Line:
    sizes, ratio = in_words(split, unit)
    return Line(name=corpus.name, kind=corpus.kind, split=sizes, ratio=ratio, note=split.note, missing=split.missing)
