"""The training curves of Porian et al. 2024, a pickle that is read as `isoloss.published.unpickle` reads it."""

from isoloss.published.fetch import PublicFile
from isoloss.published.public import Public

CURVES = "experiment_results.pickle.xz"
PUBLIC = Public(
    originals=(
        PublicFile(
            name=CURVES, most_bytes=2**25,  # it has 9.0 MB
            url="https://raw.githubusercontent.com/formll/resolving-scaling-law-discrepancies/"
            "859f146abdb9c03f679fb04e9a870402f5585757/data/experiment_results.pickle.xz",
        ),
    ),
    tables_of=None,
)  # fmt: skip
