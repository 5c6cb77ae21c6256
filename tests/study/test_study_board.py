"""What TensorBoard is given is what the archive holds, and what comes in between."""

import io

import pytest

from isoloss.core.progress import Lines, Live
from isoloss.runs.archive import Archive
from isoloss.runs.events import read_events
from isoloss.study.board import Board
from isoloss.study.training import train_missing
from isoloss.training.events import Advanced, Note, RunEnded
from isoloss.training.job import trunk_jobs
from isoloss.training.worker import run_trunk
from tiny_training import tiny_spec, write_corpus


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path)
    write_corpus(archive)
    return archive


class Here:
    """An executor in this process."""

    def run(self, jobs, archive, *, on_event):
        for job in jobs:
            on_event(
                Advanced(trunk=job.trunk, tokens=64, total_tokens=job.tokens, loss_nats=2.5, tokens_per_second=8.0)
            )
            yield from run_trunk(job, archive, report=on_event)


def test_event_files_hold_the_curves_and_the_latest_losses(archive):
    pytest.importorskip("tensorboard")
    (job,) = trunk_jobs([tiny_spec(20)])
    (record,) = run_trunk(job, archive)
    with Board(archive.folder / "tensorboard", archive) as board:
        board.hear(Advanced(trunk=job.trunk, tokens=64, total_tokens=99, loss_nats=2.5, tokens_per_second=8.0))
        board.hear(RunEnded(trunk=job.trunk, run=record.fingerprint, status="finished"))
    ((trunk,), _) = read_events(archive.folder / "tensorboard" / "trunks")
    assert trunk.curves == {"loss/latest": [(64, 2.5)], "tokens_per_second": [(64, 8.0)]}
    ((run,), _) = read_events(archive.folder / "tensorboard" / "runs")
    curve = archive.read_columns("curves", record.fingerprint)
    assert [value for _, value in run.curves["loss/train"]] == pytest.approx(curve["train_nats"].tolist())
    assert run.at("loss/heldout", None) == pytest.approx(record.loss.nats)


def test_a_pipe_is_reported_each_run_in_a_line_and_a_terminal_the_trunks_in_a_table(archive):
    from rich.console import Console

    pipe, screen = io.StringIO(), io.StringIO()
    names = {"corpus1-chain": "chain"}
    train_missing([tiny_spec(5)], archive, executor=Here(), progress=Lines(pipe), names=names)
    assert "chain, " in pipe.getvalue()
    assert pipe.getvalue().rstrip().endswith("640 tokens: finished")
    live = Live(Console(file=screen, force_terminal=True, width=120))
    train_missing([tiny_spec(5, seed=1)], archive, executor=Here(), progress=live, names=names)
    for word in ("trunk", "loss, nats", "2.500", "tokens/s", "left"):
        assert word in screen.getvalue(), word


class Waiting(Here):
    """An executor that says three times that it waits."""

    def run(self, jobs, archive, *, on_event):
        for job in jobs:
            for _ in range(3):
                on_event(Note(trunk=job.trunk, text="another process trains this trunk"))
        yield from super().run(jobs, archive, on_event=on_event)


def test_a_trunk_that_waits_is_reported_once_by_the_name_that_people_know(archive):
    pipe = io.StringIO()
    train_missing([tiny_spec(5)], archive, executor=Waiting(), progress=Lines(pipe), names={"corpus1-chain": "chain"})
    (line,) = (line for line in pipe.getvalue().splitlines() if "another process" in line)
    assert line.startswith("chain, ")
