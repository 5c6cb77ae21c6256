"""Laws that miss their runs: found by every start alike, and refused all the same."""

from collections.abc import Sequence

from isoloss.fitting.fitted import FittedLaw
from isoloss.report.data import ReportData


def misfit(data: ReportData, corpus: str, law: FittedLaw) -> str | None:
    """Return why a law is not to be trusted though its optimum was found: it misses the runs. None where it does not.

    What a test of the form says counts before the fit's own warning of a poor fit.
    """
    tested = [one for one in data.lack_of_fit if one.corpus == corpus and one.form == law.law]
    if tested:
        return next((one.sentence() for one in tested if one.refused), None)
    return next((warning.message for warning in law.warnings if warning.code == "poor_fit"), None)


def refusals(data: ReportData) -> Sequence[tuple[str, str]]:
    """Return the laws that miss their runs, with what is to be said of each."""
    found = [(name, misfit(data, law.group, law)) for name, law in data.all_laws]
    return [(name, text) for name, text in found if text is not None]
