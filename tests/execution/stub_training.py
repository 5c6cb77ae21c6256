"""Trainers that train nothing, for tests and benchmarks of what surrounds training: `stub_training:NAME`."""

import json
import os
import signal
import time

from isoloss.training.events import Note
from isoloss.training.provenance import failed_record


def instant(job, archive, **_):
    """Record every run as failed at once, in one file."""
    for spec in job.specs:
        record = failed_record(spec, error="stub", wall_seconds=0.0)
        archive.write_record(json.loads(record.model_dump_json()), digests={})


def deadly(job, archive, **_):
    """Die as of too little memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def patient(job, archive, *, stop, report, **_):
    """Leave a sign of life, say so, and wait for the word to stop, or for the sign `go`.

    The word comes in the end: who conducts says it, or is gone, which is one too.
    """
    sign = archive.folder / f"attempt-{len(list(archive.folder.glob('attempt-*')))}"
    sign.write_text(str(os.getpid()))
    report(Note(trunk=job.trunk, text="patient"))
    while not (archive.folder / "go").exists():
        if stop():
            (archive.folder / "stopped").write_text("")
            return
        time.sleep(0.02)
    instant(job, archive)
