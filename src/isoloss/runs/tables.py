"""Runs as tables of plain columns: records, runs under way and imported runs in one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isoloss.core.arrow import lists_of_texts, reals, texts, wholes
from isoloss.core.errors import DamagedArchive
from isoloss.core.files import regular
from isoloss.runs.record import RunRecord
from isoloss.runs.shapes import DEFAULT_CONVENTION, count
from isoloss.runs.spec import RunSpec
from isoloss.runs.sql import first_line
from isoloss.runs.underway import OpenRun

IMPORTED = "imported"

TEXTS = ("run", "trunk", "corpus", "status", "error", "params_convention", "source")
WHOLES = ("params", "params_total", "params_non_embedding", "tokens", "width", "depth", "heads", "ffn", "vocab_size",
          "seed", "batch_tokens")  # fmt: skip
REALS = ("flops", "peak_lr", "loss_nats", "stderr", "excess_nats", "excess_stderr", "wall_seconds", "pass_seconds",
         "data_seconds", "batch_seconds", "progress", "train_nats", "tokens_per_second", "seconds_left")  # fmt: skip
ORDER = ("run", "trunk", "corpus", "status", "flags", *WHOLES, *REALS, "params_convention", "error", "source")


def flat_table(records: Sequence[RunRecord], open_runs: Sequence[OpenRun], *, names: Mapping[str, str]) -> Any:
    """Return one row a run. `names` are of corpora by fingerprint."""
    import pyarrow as pa

    rows = [
        *({**_spec_columns(record.spec, names), **_record_columns(record)} for record in records),
        *({**_spec_columns(run.spec, names), **_open_columns(run)} for run in open_runs),
    ]
    kinds: dict[str, Callable[[Any], pa.Array]] = {"flags": lists_of_texts}
    kinds |= dict.fromkeys(TEXTS, texts) | dict.fromkeys(WHOLES, wholes) | dict.fromkeys(REALS, reals)
    try:
        columns = [kinds[name]([row.get(name) for row in rows]) for name in ORDER]
        return pa.Table.from_arrays(columns, names=list(ORDER))
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        fix = "remove records that were written by hand"
        raise DamagedArchive(f"the runs do not fit into a table: {error}", fix=fix) from error


def _spec_columns(spec: RunSpec, names: Mapping[str, str]) -> dict[str, Any]:
    counts, model = count(spec.model), spec.model
    return {
        "corpus": names.get(spec.corpus, spec.corpus),
        "params": counts.params(), "params_total": counts.total, "params_non_embedding": counts.non_embedding,
        "params_convention": DEFAULT_CONVENTION, "tokens": spec.train_tokens,
        "flops": counts.flops_per_token() * spec.train_tokens, "width": model.width, "depth": model.depth,
        "heads": model.heads, "ffn": model.ffn, "vocab_size": model.vocab_size, "seed": spec.seed,
        "peak_lr": spec.optimiser.peak_lr, "batch_tokens": spec.batch_tokens,
    }  # fmt: skip


def _record_columns(record: RunRecord) -> dict[str, Any]:
    loss, timing = record.loss, record.timing
    return {
        "run": record.fingerprint, "trunk": record.trunk, "status": record.status, "flags": list(record.flags),
        "loss_nats": loss.nats if loss else None, "stderr": loss.stderr if loss else None,
        "excess_nats": loss.excess_nats if loss else None, "excess_stderr": loss.excess_stderr if loss else None,
        "wall_seconds": record.wall_seconds, "progress": 1.0, "error": record.error,
        "pass_seconds": timing.pass_seconds + timing.heldout_seconds if timing else None,
        "data_seconds": timing.data_seconds if timing else None,
        "batch_seconds": timing.batch_seconds if timing else None,
    }  # fmt: skip


def _open_columns(run: OpenRun) -> dict[str, Any]:
    return {
        "run": run.spec.fingerprint, "trunk": run.spec.trunk, "status": run.status, "flags": [],
        "progress": run.progress, "train_nats": run.train_nats, "tokens_per_second": run.tokens_per_second,
        "seconds_left": run.seconds_left,
    }  # fmt: skip


def with_imported(table: Any, folder: Path) -> Any:
    """Return the table with the runs that were imported into the archive `folder`, and the columns they bring.

    A run that two imports hold is there once. Raises DamagedArchive for a table that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known: set[str] = set(table["run"].to_pylist())
    for path in sorted((folder / IMPORTED).glob("[!.]*.parquet")):
        try:
            found = pq.read_table(regular(path))
            found.validate(full=True)
            runs = found["run"].cast(pa.string()).to_pylist()
            new = pa.array([run not in known for run in runs], type=pa.bool_())
            table = pa.concat_tables([table, found.filter(new)], promote_options="permissive")
        except (OSError, KeyError, pa.ArrowException) as error:
            raise DamagedArchive(
                f"imported runs cannot be read: {first_line(error)}", place=str(path),
                fix="delete the file and import them again",
            ) from error  # fmt: skip
        known.update(runs)
    return table
