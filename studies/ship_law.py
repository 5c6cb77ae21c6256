"""Put the runs of studies/real.toml, and the law fitted to them, into the package.

isoloss run studies/real.toml --out results/real
python studies/ship_law.py results/real
"""

import sys

import pyarrow as pa
import pyarrow.csv as pc

from isoloss.core import files
from isoloss.data_dependence.law_files import save_data_dependent
from isoloss.planning import shipped
from isoloss.study.lab import Lab


def main() -> None:
    """Write runs.csv, then the law from what is read back from it."""
    lab = Lab.reopen(sys.argv[1])
    study = lab.remembered_study()
    table = lab.observations(study).to_arrow().drop_columns(["run"])
    flags = pa.array([" ".join(each) for each in table["flags"].to_pylist()])
    table = table.set_column(table.column_names.index("flags"), "flags", flags)
    with files.replacing(shipped.RUNS) as temporary:
        pc.write_csv(table, temporary)
    law = shipped.fit_shipped()
    save_data_dependent(law, shipped.LAW, settings=study.complexity.settings.model_dump(), tokenizer=shipped.TOKENIZER)
    print(law.summary())


if __name__ == "__main__":
    main()
