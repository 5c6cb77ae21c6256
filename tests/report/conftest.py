import pytest
from report_studies import CORPORA, simulated_study

from isoloss.report.data import ReportData


@pytest.fixture(scope="session")
def study() -> ReportData:
    """Six corpora of twenty runs."""
    return simulated_study(list(CORPORA))


@pytest.fixture(scope="session")
def small_study() -> ReportData:
    """One real and one generated corpus: enough to draw everything twice."""
    return simulated_study(["python", "pcfg easy"], bootstrap=40)
