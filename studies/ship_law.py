"""Put the runs of studies/real.toml, and the law fitted to them, into the package.

isoloss run studies/real.toml --out results/real
python studies/ship_law.py results/real

Without a folder the runs stay as they are in the package, and the law alone is fitted anew.
"""

import sys
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.csv as pc

from isoloss.core import files
from isoloss.data_dependence.storage import save_data_dependent
from isoloss.planning import shipped
from isoloss.study.lab import Lab


def main() -> None:
    """Write runs.csv where results are named, then the law from what is read back from it."""
    settings = write_runs(sys.argv[1]) if len(sys.argv) > 1 else shipped.shipped_file().settings
    law = shipped.fit_shipped()
    save_data_dependent(law, shipped.LAW, settings=settings, tokenizer=shipped.TOKENIZER)
    print(law.summary())


def write_runs(results: str) -> Mapping[str, int]:
    """Write runs.csv from a study's results; return how its corpora were measured."""
    lab = Lab.reopen(results)
    study = lab.remembered_study()
    table = lab.observations(study).to_arrow().drop_columns(["run"])
    flags = pa.array([" ".join(each) for each in table["flags"].to_pylist()])
    table = table.set_column(table.column_names.index("flags"), "flags", flags)
    with files.replacing(shipped.RUNS) as temporary:
        pc.write_csv(table, temporary)
    return study.complexity.settings.model_dump()


if __name__ == "__main__":
    main()
