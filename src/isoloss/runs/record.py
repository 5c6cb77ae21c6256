"""What a run leaves behind: a record, whatever happened."""

from typing import Literal

from pydantic import ConfigDict, Field

from isoloss.core.frozen import Frozen
from isoloss.runs.shapes import Counts
from isoloss.runs.spec import RunSpec

RECORD_SCHEMA = 2  # 2: carries checksums (isoloss.runs.checksums)

Status = Literal["finished", "diverged", "failed"]


class Loss(Frozen):
    """Held-out loss in nats per scored token (positions 2…n of every window), its standard error over documents.

    `excess_nats` is the loss above the exact floor of the same documents, with the standard error of that paired
    difference; None for text.
    """

    nats: float
    stderr: float
    tokens: int
    documents: int
    excess_nats: float | None = None
    excess_stderr: float | None = None


class Timing(Frozen):
    """Where a record's wall seconds went, as far as it was training or scoring; the rest is starts and files.

    `data_seconds` wait for batches, `pass_seconds` are forward and backward passes, `update_seconds` the optimiser's,
    `heldout_seconds` passes over held-out text. `batch_seconds` is the median of a step, all of it together.
    """

    steps: int
    batch_seconds: float | None
    data_seconds: float
    pass_seconds: float
    update_seconds: float
    heldout_seconds: float


class RunRecord(Frozen):
    """One finished, diverged or failed run. Curves and per-document losses stand in Parquet next to it."""

    schema_version: int = Field(default=RECORD_SCHEMA, alias="schema")
    fingerprint: str
    trunk: str
    spec: RunSpec
    counts: Counts
    status: Status
    flags: tuple[str, ...] = ()
    loss: Loss | None = None
    wall_seconds: float
    train_seconds: float = 0.0
    timing: Timing | None = None
    provenance: dict[str, str] = Field(default_factory=dict)
    error: str | None = None

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)
