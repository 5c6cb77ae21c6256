"""A pickled data frame from outside, read by an unpickler that admits the classes of NumPy and pandas tables alone.

A pickle names what it calls while it is read. Everything that is not listed here by module and name is refused before
it is called: also pandas' and NumPy's own functions that read files or evaluate text.
"""

import io
import lzma
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoloss.core.errors import BadTable, InputError

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 2**31  # unpacked; the published file has some 100 MB

ADMITTED: dict[str, frozenset[str]] = {
    "builtins": frozenset({"slice", "bytearray", "bytes"}),
    "_codecs": frozenset({"encode"}),
    "numpy": frozenset({"ndarray", "dtype"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
    "pandas": frozenset({
        "DataFrame", "Series", "Index", "RangeIndex", "MultiIndex", "Categorical", "CategoricalDtype", "StringDtype",
    }),
    "pandas.arrays": frozenset({"ArrowStringArray", "StringArray"}),
    "pandas._libs.arrays": frozenset({"__pyx_unpickle_NDArrayBacked"}),
    "pandas._libs.internals": frozenset({"_unpickle_block"}),
    "pandas.core.indexes.base": frozenset({"_new_Index", "Index"}),
    "pandas.core.indexes.range": frozenset({"RangeIndex"}),
    "pandas.core.internals.blocks": frozenset({"new_block"}),
    "pandas.core.internals.managers": frozenset({"BlockManager", "SingleBlockManager"}),
    "pandas.core.frame": frozenset({"DataFrame"}),
    "pandas.core.series": frozenset({"Series"}),
    "pyarrow.lib": frozenset({"_restore_array", "py_buffer", "type_for_alias"}),  # pandas' own strings
}  # fmt: skip
# Where older versions kept what still exists.
MOVED_MODULES = {
    "__builtin__": "builtins", "copy_reg": "copyreg", "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}  # fmt: skip
MOVED_NAMES = {
    ("pandas.core.indexes.numeric", name): ("pandas.core.indexes.base", "Index")
    for name in ("Int64Index", "UInt64Index", "Float64Index")
}  # fmt: skip


class _Admitting(pickle.Unpickler):
    def __init__(self, content: bytes, place: str) -> None:
        super().__init__(io.BytesIO(content))
        self.place = place

    def find_class(self, module: str, name: str) -> Any:
        found = MOVED_NAMES.get((module, name), (MOVED_MODULES.get(module, module), name))
        if found[1] not in ADMITTED.get(found[0], ()):
            raise InputError(
                f"the pickle needs {module}.{name}, which is not a NumPy or pandas table class",
                place=self.place, fix="do not open it elsewhere: a pickle can run any program; get the published file",
            )  # fmt: skip
        return super().find_class(*found)


def read_frame(path: Path | str) -> "pd.DataFrame":
    """Return the data frame in a pickle, plain or packed with xz.

    Raises InputError for a pickle that names anything but tables, for a file over 2 GiB unpacked, or where pandas is
    not installed; BadTable for what is no pickle or no data frame.
    """
    source = Path(path)
    try:
        import pandas as pd
    except ImportError:
        raise InputError(
            "pandas is not installed, and the pickle holds its classes", fix="python -m pip install pandas"
        ) from None
    content = _unpacked(source)
    try:
        found = _Admitting(content, str(source)).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle may raise whatever its opcodes reach
        raise BadTable(f"not a pickle that can be read: {error!r}"[:200], place=str(source),
                       fix="get the published file again") from error  # fmt: skip
    if not isinstance(found, pd.DataFrame):
        raise BadTable(f"a pickled {type(found).__name__}, expected a data frame", place=str(source),
                       fix="give the file of training curves")  # fmt: skip
    return found


def _unpacked(source: Path) -> bytes:
    if not source.is_file():
        raise InputError("no such file", place=str(source), fix="check the path")
    try:
        with lzma.open(source) if source.suffix == ".xz" else source.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise BadTable(f"not packed with xz: {error}", place=str(source), fix="get the published file again") from error
    if len(content) > MOST_BYTES:
        raise InputError("more than 2 GiB unpacked", place=str(source), fix="give the published file")
    return content
