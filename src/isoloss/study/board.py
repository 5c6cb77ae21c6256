"""Training as TensorBoard shows it: event files, a folder a trunk while it trains, and one a run.

    tensorboard/trunks/<trunk>/                      loss and speed as they come
    tensorboard/runs/<corpus>-<params>-<tokens>-…/   a run's curve when it has ended: training, held-out loss, rate

The x axis is tokens.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from isoloss.core.errors import InputError
from isoloss.core.files import storage_errors
from isoloss.runs.archive import Archive
from isoloss.runs.shapes import count
from isoloss.training.events import Advanced, Note, RunEnded

TAGS = {"train_nats": "loss/train", "heldout_nats": "loss/heldout", "lr": "rate"}


class Board(AbstractContextManager["Board"]):
    """Writes event files into `folder` while it is open. Raises InputError without tensorboard."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            fix = "pip install 'isoloss[tensorboard]'"
            raise InputError("event files need tensorboard, which is not installed", fix=fix) from error
        self.new_writer, self.folder, self.archive = EventFileWriter, folder, archive
        self.writers: dict[str, Any] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files of trunks."""
        for writer in self.writers.values():
            writer.close()

    def hear(self, event: Advanced | RunEnded | Note) -> None:
        """Write one event."""
        match event:
            case Advanced(loss_nats=float() as loss):
                self._write(self._writer(event.trunk), event.tokens,
                            {"loss/latest": loss, "tokens_per_second": event.tokens_per_second})  # fmt: skip
            case RunEnded():
                self._curve(event.run)
            case _:
                return

    def _writer(self, trunk: str) -> Any:
        if trunk not in self.writers:
            with storage_errors(self.folder):
                self.writers[trunk] = self.new_writer(str(self.folder / "trunks" / trunk))
        return self.writers[trunk]

    def _curve(self, run: str) -> None:
        record = self.archive.read(run)
        if record is None:
            return
        size = f"{count(record.spec.model).params()}-{record.spec.train_tokens}"
        with storage_errors(self.folder):
            writer = self.new_writer(str(self.folder / "runs" / f"{record.spec.corpus}-{size}-{run}"))
        for tokens, values in _points(self.archive.read_columns("curves", run)):
            self._write(writer, tokens, values)
        writer.close()

    def _write(self, writer: Any, tokens: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        writer.add_event(Event(step=tokens, wall_time=time.time(), summary=summary))


def _points(curve: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, float]]]:
    for i, tokens in enumerate(curve["tokens"]):
        found = {tag: float(curve[name][i]) for name, tag in TAGS.items() if curve[name][i] is not None}
        yield int(tokens), {tag: value for tag, value in found.items() if value == value}
