"""What the steps of a log count, and which rows of it are one curve: told apart by what the log says, or asked for."""

from pathlib import Path

import pytest

from isoloss.core.errors import BadTable
from isoloss.runs.imported import Imported, Mapped, import_runs

BATCH = 131_072
P = {"params": "5e7", "batch_tokens": BATCH}


def one(imported: Imported) -> dict[str, object]:
    (row,) = imported.rows
    return row


def table(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def events(folder: Path, points: list[tuple[str, int, float]]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for tag, step, value in points:
        writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])))
    writer.close()


@pytest.mark.parametrize("value", ["3.5", "NaN"])
def test_rows_of_other_columns_at_one_step_are_no_second_reading(tmp_path, value):
    """Lightning's metrics.csv: a row for the training loss, one for the rate, one for the evaluation, at one step."""
    rows = [f"{step},4.{step},,\n{step},,3e-4,\n{step},,,{value}" for step in (49, 99)]
    imported = import_runs(
        table(tmp_path, "step,train_loss,lr,val_loss", rows),
        tmp_path / "out",
        Mapped(step="step", loss="val_loss", **P),
    )
    assert (one(imported)["tokens"], imported.warnings) == (99 * BATCH, [])


RUNS = [(run, step) for run in "ab" for step in (0, 100, 200)]


@pytest.mark.parametrize("rows", [RUNS, sorted(RUNS, key=lambda row: row[1])], ids=["by run", "by step"])
@pytest.mark.parametrize("names", [("small", "large"), ("train", "val"), (0, 1), (1e-3, 2e-3)])
def test_several_curves_in_a_table_are_not_taken_for_one(tmp_path, rows, names):
    written = [f"{names[run == 'b']},{step},{4 - step / 1000 - (run == 'b')}" for run, step in rows]
    path = table(tmp_path, "kind,step,loss", written)
    with pytest.raises(BadTable, match="'kind'") as refused:
        import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss", **P))
    assert "--run kind" in refused.value.fix
    imported = import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss", run="kind", **P))
    assert {(row["name"], row["loss_nats"]) for row in imported.rows} == {(str(names[0]), 3.8), (str(names[1]), 2.8)}


def test_attempts_of_a_resumed_run_are_one_curve(tmp_path):
    died, alive = [(0, "a", 5), (100, "a", 5), (200, "a", 5)], [(100, "b", 4), (200, "b", 4), (300, "b", 4)]
    path = table(tmp_path, "step,host,loss", [f"{step},{host},{loss}" for step, host, loss in [*died, *alive]])
    imported = import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss", **P))
    assert (one(imported)["tokens"], one(imported)["loss_nats"]) == (300 * BATCH, 4)


def test_of_steps_that_begin_anew_the_later_count_where_they_go_further(tmp_path):
    first = [f"{step},5" for step in range(0, 1001, 100)]
    longer = table(tmp_path, "step,loss", [*first, *(f"{step},4" for step in range(0, 2001, 200))])
    row = one(import_runs(longer, tmp_path / "out", Mapped(step="step", loss="loss", **P)))
    assert (row["tokens"], row["loss_nats"]) == (2000 * BATCH, 4)
    shorter = table(tmp_path, "step,loss", [*first, *(f"{step},4" for step in range(0, 501, 100))])
    with pytest.raises(BadTable, match="two runs"):
        import_runs(shorter, tmp_path / "out", Mapped(step="step", loss="loss", **P))


def test_a_column_of_tokens_may_be_the_column_of_steps(tmp_path):
    path = table(tmp_path, "tokens,val_loss", [f"{step * BATCH},{4 - step / 1000}" for step in (100, 200, 300)])
    for mapped in ({}, {"tokens": "tokens"}, {"batch_tokens": BATCH}, {"tokens": "tokens * 2"}):
        asked = Mapped(step="tokens", loss="val_loss", params="5e7", **mapped)
        times = 2 if "2" in mapped.get("tokens", "") else 1
        assert one(import_runs(path, tmp_path / "out", asked))["tokens"] == times * 300 * BATCH


def test_steps_with_marks_between_thousands_are_refused_by_name(tmp_path):
    path = table(tmp_path, "step,loss", ['"100",4', '"900",3.9', '"1,000",3.8'])
    with pytest.raises(BadTable, match="thousands") as refused:
        import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss", **P))
    assert "column step" in refused.value.place


def test_an_empty_step_comes_with_the_condition_that_leaves_it_out(tmp_path):
    path = table(tmp_path, "step,iter,loss,val", ["100,,,4", ",100,4.1,", "200,,,3.9"])
    with pytest.raises(BadTable, match="step is empty") as refused:
        import_runs(path, tmp_path / "out", Mapped(step="step", loss="val", **P))
    where = '"step" IS NOT NULL'
    assert f"--where '{where}'" in refused.value.fix
    row = one(import_runs(path, tmp_path / "out", Mapped(step="step", loss="val", where=where, **P)))
    assert (row["tokens"], row["loss_nats"]) == (200 * BATCH, 3.9)


def test_a_tag_by_steps_next_to_one_by_samples_or_tokens_counts_steps(tmp_path):
    """Megatron writes every scalar twice or three times: by iterations, by samples and by tokens."""
    points = []
    for step in (500, 1000, 1500):
        points += [("loss", step, 4.0), ("loss vs samples", 64 * step, 4.0), ("loss vs tokens", step * BATCH, 4.0)]
    events(tmp_path / "run", points)
    for tag in ("loss", "loss vs samples", "loss vs tokens"):
        imported = import_runs(tmp_path / "run", tmp_path / "out", Mapped(loss=tag, **P))
        assert one(imported)["tokens"] == 1500 * BATCH, tag
    by_tokens = import_runs(tmp_path / "run", tmp_path / "out", Mapped(loss="loss vs tokens", params="5e7"))
    assert one(by_tokens)["tokens"] == 1500 * BATCH


def test_folders_of_training_and_validation_are_one_run(tmp_path):
    for kind, value in (("train", 4.1), ("validation", 4.0)):
        events(tmp_path / "logs" / "a" / kind, [("loss", step, value) for step in (100, 200)])
    events(tmp_path / "logs" / "b", [("loss", step, 4.2) for step in (100, 200, 300)])
    events(tmp_path / "logs" / "b" / "eval", [("loss", 200, 3.9)])
    imported = import_runs(tmp_path / "logs", tmp_path / "out", Mapped(**P))
    assert {(row["name"], row["tokens"], round(row["loss_nats"], 4)) for row in imported.rows} == {
        ("a", 200 * BATCH, 4.0), ("b", 200 * BATCH, 3.9),
    }  # fmt: skip


def test_steps_that_count_epochs_are_asked_about(tmp_path):
    """Keras: the third epoch stands at step 2."""
    for kind, value in (("train", 4.1), ("validation", 4.0)):
        events(tmp_path / "run" / kind, [("epoch_loss", epoch, value) for epoch in range(3)])
    with pytest.raises(BadTable, match="epochs") as refused:
        import_runs(tmp_path / "run", tmp_path / "out", Mapped(**P))
    assert "--tokens" in refused.value.fix
    row = one(import_runs(tmp_path / "run", tmp_path / "out", Mapped(params="5e7", tokens="1e9")))
    assert (row["tokens"], row["loss_nats"]) == (10**9, 4.0)
