import pytest
from published_data import folder

from isoloss.published import porian
from isoloss.published.folder import Columns, read_folder
from isoloss.published.porian.analysis import PorianAnalysis, analyse
from isoloss.published.porian.data import ORIGIN as PORIAN
from isoloss.published.reproduction import Reproduction


@pytest.fixture(scope="session")
def porian_tables() -> dict[str, Columns]:
    return read_folder(PORIAN, folder("porian2024"))


@pytest.fixture(scope="session")
def porian_analysis(porian_tables: dict[str, Columns]) -> PorianAnalysis:
    return analyse(porian_tables)


@pytest.fixture(scope="session")
def porian_found(porian_analysis: PorianAnalysis, porian_tables: dict[str, Columns]) -> Reproduction:
    return porian.reproduction(porian_analysis, porian_tables)
