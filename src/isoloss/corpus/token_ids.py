"""What every tokenizer shares: the type of its ids, and how its file is read."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.files import regular

Ids = NDArray[np.unsignedinteger[Any]]


def read_model(path: Path) -> bytes:
    """Return the content of a tokenizer's file. Raises InputError where it cannot be read."""
    try:
        return regular(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"the tokenizer cannot be read: {error.strerror or error}",
            place=str(path),
            fix="give the path of a tokenizer.json or of a SentencePiece .model",
        ) from error
