"""Checkpoints: a snapshot in one file of plain arrays, each with its checksum (NumPy's npz; nothing is unpickled)."""

import json
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from isoloss.core import files
from isoloss.training.loop import Snapshot

CHECKPOINT_SCHEMA = 1
# Writing may take this share of the time: large states are written less often.
WRITING_SHARE = 0.05
REACHED = "reached"


class UnusableCheckpoint(Exception):
    """A file that is no checkpoint of ours, or is damaged: training starts from before it."""


class Reached(NamedTuple):
    """How far a trunk or branch had come, and the seconds between two checkpoints that were then in force."""

    step: int
    train_seconds: float
    interval: float


class Checkpoints:
    """The files of an unfinished trunk: its own state, that of the branch it was in, and how far it came."""

    def __init__(self, folder: Path, *, every_seconds: float) -> None:
        self.folder = folder
        self.interval = self.every_seconds = every_seconds
        self.last = time.monotonic()
        self.on_disk: dict[str, tuple[str, int]] = {}

    def due(self) -> bool:
        """Whether the time between two checkpoints has passed."""
        return time.monotonic() - self.last >= self.interval

    def save(self, which: str, identity: str, snapshot: Snapshot) -> None:
        """Write the snapshot of `identity`, a trunk or a run, under the name `which`, unless it is there."""
        if self.on_disk.get(which) == (identity, snapshot.step):
            return
        started = time.monotonic()
        self.write(which, identity, snapshot)
        self.on_disk[which] = (identity, snapshot.step)
        self.last = time.monotonic()
        self.interval = max(self.every_seconds, (self.last - started) / WRITING_SHARE)

    def write(self, which: str, identity: str, snapshot: Snapshot) -> None:
        """Write the snapshot to the disk."""
        save(self.folder / f"{which}.npz", snapshot, identity=identity)

    def load(self, which: str, identity: str) -> Snapshot | None:
        """Return the snapshot of `identity` under the name `which`, or None; the later one where many processes wrote
        another. Raises UnusableCheckpoint where all there are of them are damaged.
        """
        found, trouble = [], []
        for read in (self._load_whole, self._load_sharded):
            try:
                found.append(read(which, identity))
            except UnusableCheckpoint as error:
                trouble.append(error)
        snapshots = [snapshot for snapshot in found if snapshot is not None]
        if trouble and not snapshots:
            raise trouble[0]
        return max(snapshots, key=lambda snapshot: snapshot.step, default=None)

    def _load_whole(self, which: str, identity: str) -> Snapshot | None:
        return load(self.folder / f"{which}.npz", identity=identity)

    def _load_sharded(self, which: str, identity: str) -> Snapshot | None:
        if not any(self.folder.glob(f"{which}.*/")):
            return None
        from isoloss.training import sharded_checkpoint  # torch.distributed takes a while to load

        try:
            return sharded_checkpoint.load(self.folder, which, identity=identity)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise UnusableCheckpoint(f"{which}: {error}") from error

    def note_reached(self, step: int, train_seconds: float) -> None:
        """Write down how far training has come, so that what a kill costs can be reported. Takes microseconds."""
        with files.storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / REACHED, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(handle, f"{step:12d} {train_seconds:18.6f} {self.interval:12.3f}\n".encode(), 0)
            finally:
                os.close(handle)

    def last_reached(self) -> Reached | None:
        """Return how far an earlier process had come, or None where nothing tells."""
        try:
            step, train_seconds, interval = (self.folder / REACHED).read_text(encoding="ascii").split()
            return Reached(int(step), float(train_seconds), float(interval))
        except (OSError, ValueError):
            return None

    def remove(self) -> None:
        """Remove what is needed only to go on."""
        shutil.rmtree(self.folder, ignore_errors=True)


def save(path: Path, snapshot: Snapshot, *, identity: str) -> None:
    """Write the snapshot of `identity` (a trunk or a run) to `path`, atomically."""
    about = {
        "schema": CHECKPOINT_SCHEMA, "identity": identity, "train_seconds": snapshot.train_seconds,
        "heldout_nats": list(snapshot.heldout_nats.items()),
    }  # fmt: skip
    arrays: dict[str, Any] = {name: tensor.cpu().numpy() for name, tensor in snapshot.tensors.items()}
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), step_losses=np.array(snapshot.step_losses), **arrays)


def load(path: Path, *, identity: str) -> Snapshot | None:
    """Return the snapshot of `identity` in `path`, or None where there is none. Raises UnusableCheckpoint."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}  # reading checks every checksum
        about = json.loads(str(content.pop("about")))
        step_losses = tuple(content.pop("step_losses").tolist())
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UnusableCheckpoint(f"{path.name}: {error}") from error
    if about.get("schema") != CHECKPOINT_SCHEMA or about.get("identity") != identity:
        return None
    return Snapshot(
        step_losses=step_losses,
        heldout_nats=dict(about["heldout_nats"]),
        train_seconds=about["train_seconds"],
        tensors={name: torch.from_numpy(array) for name, array in content.items()},
    )
