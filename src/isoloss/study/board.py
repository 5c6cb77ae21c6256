"""Training as TensorBoard shows it: event files, a folder a trunk while it trains, and one a run.

    tensorboard/trunks/<trunk>/                      loss and speed as they come
    tensorboard/runs/<corpus>-<params>-<tokens>-…/   a run's curve when it has ended: training, held-out loss, rate

The x axis is tokens.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from isoloss.core.files import storage_errors
from isoloss.core.optional import optional
from isoloss.runs.archive import Archive
from isoloss.runs.shapes import count
from isoloss.training.events import Advanced, Note, RunEnded

TAGS = {"train_nats": "loss/train", "heldout_nats": "loss/heldout", "lr": "rate"}


class Board(ExitStack):
    """Writes event files into `folder` while it is open. Raises InputError without tensorboard."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        super().__init__()
        module = "tensorboard.summary.writer.event_file_writer"
        self.new_writer = optional(module, extra="tensorboard", what="writing event files").EventFileWriter
        self.folder, self.archive = folder, archive
        self.writers: dict[str, Any] = {}  # of trunks

    def hear(self, event: Advanced | RunEnded | Note) -> None:
        """Write one event."""
        match event:
            case Advanced(loss_nats=float() as loss):
                self._write(self._writer(event.trunk), event.tokens,
                            {"loss/latest": loss, "tokens_per_second": event.tokens_per_second})  # fmt: skip
            case RunEnded():
                self._curve(event.run)

    def _writer(self, trunk: str) -> Any:
        if trunk not in self.writers:
            self.writers[trunk] = self.enter_context(closing(self._open("trunks", trunk)))
        return self.writers[trunk]

    def _open(self, kind: str, name: str) -> Any:
        with storage_errors(self.folder):
            return self.new_writer(str(self.folder / kind / name))

    def _curve(self, run: str) -> None:
        record = self.archive.read(run)
        if record is None:
            return
        size = f"{count(record.spec.model).params()}-{record.spec.train_tokens}"
        with closing(self._open("runs", f"{record.spec.corpus}-{size}-{run}")) as writer:
            for tokens, values in _points(self.archive.read_columns("curves", run)):
                self._write(writer, tokens, values)

    def _write(self, writer: Any, tokens: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        writer.add_event(Event(step=tokens, wall_time=time.time(), summary=summary))


def _points(curve: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, float]]]:
    for i, tokens in enumerate(curve["tokens"]):
        found = {tag: float(curve[name][i]) for name, tag in TAGS.items() if curve[name][i] is not None}
        yield int(tokens), {tag: value for tag, value in found.items() if value == value}
