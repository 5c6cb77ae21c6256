"""Sharded checkpoints: every process writes its shards as safetensors (torch.distributed.checkpoint; no pickle).

    checkpoints/<trunk>/trunk.<step>/shard-….safetensors    a process's shards, with their places in the whole
    checkpoints/<trunk>/trunk.<step>/manifest.json          what it is of, and the checksum of every file; written last

They are read by any number of processes, one included, whatever number wrote them.
"""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from isoloss.core import files
from isoloss.runs.checksums import file_digest, opened, with_checksums
from isoloss.training.loop import Snapshot

if TYPE_CHECKING:
    from isoloss.training.ranks import Ranks

MANIFEST = "manifest.json"
SCHEMA = 1


def save(folder: Path, which: str, snapshot: Snapshot, *, identity: str, ranks: "Ranks") -> None:
    """Write a snapshot of `identity` next to the one before, and put it in its place when all processes are done."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save as save_shards

    target = folder / f"{which}.{snapshot.step}"
    if ranks.first:
        shutil.rmtree(target, ignore_errors=True)
    ranks.everybody(True)
    with files.storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        state = {name: tensor for name, tensor in snapshot.tensors.items() if name != "step"}
        with _quiet():
            save_shards(state, storage_writer=HuggingFaceStorageWriter(str(target), save_distributed=True))
        written = sorted(target.glob("*.safetensors"))[ranks.rank :: ranks.size]
        digests = json.dumps({path.name: file_digest(path) for path in written})
    shards = ranks.gathered(digests)
    if ranks.first:
        about = {
            "schema": SCHEMA, "identity": identity, "optimiser_step": float(snapshot.tensors["step"]),
            "train_seconds": snapshot.train_seconds, "step_losses": list(snapshot.step_losses),
            "heldout_nats": list(snapshot.heldout_nats.items()),
        }  # fmt: skip
        digests_of = {name: digest for each in shards for name, digest in json.loads(each).items()}
        files.write_json(target / MANIFEST, with_checksums(about, files=digests_of))
        for older in folder.glob(f"{which}.*"):
            if older.is_dir() and older != target:
                shutil.rmtree(older, ignore_errors=True)
    ranks.everybody(True)


def load(folder: Path, which: str, *, identity: str) -> Snapshot | None:
    """Return the latest whole snapshot of `identity`, its tensors whole, or None where there is none.

    Raises ValueError or OSError where it is damaged. Every process that calls this reads all of it.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load as load_shards

    whole = sorted(folder.glob(f"{which}.*/{MANIFEST}"), key=lambda path: int(path.parent.suffix[1:]))
    if not whole:
        return None
    about, digests = opened(json.loads(whole[-1].read_bytes()))
    if about.get("schema") != SCHEMA or about.get("identity") != identity:
        return None
    source = whole[-1].parent
    for name, digest in (digests or {}).items():
        if file_digest(source / name) != digest:
            raise ValueError(f"{source.name}/{name}: its checksum does not fit its content")
    sizes: dict[str, Any] = HuggingFaceStorageReader(str(source)).read_metadata().state_dict_metadata
    tensors = {name: torch.empty(about_tensor.size) for name, about_tensor in sizes.items()}
    with _quiet():
        load_shards(tensors, storage_reader=HuggingFaceStorageReader(str(source)), no_dist=True)
    return Snapshot(
        step_losses=tuple(about["step_losses"]),
        heldout_nats=dict(about["heldout_nats"]),
        train_seconds=about["train_seconds"],
        tensors={**tensors, "step": torch.tensor(about["optimiser_step"])},
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from telling that one process reads alone: it is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.distributed")
        yield
