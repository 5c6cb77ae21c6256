"""The files of Porian et al. 2024, pickles that are read as `isoloss.published.unpickle` reads them."""

from isoloss.published.fetch import PublicFile
from isoloss.published.porian.originals import CURVES, RAW_DATA, SUMMARIES
from isoloss.published.public import Public

PUBLIC = Public(
    originals=SUMMARIES,
    curves=PublicFile(
        name=CURVES, url=f"{RAW_DATA}/859f146abdb9c03f679fb04e9a870402f5585757/data/{CURVES}",
        most_bytes=2**25,  # it has 9.0 MB
    ),
    tables_of=None,
)  # fmt: skip
