"""Runs from elsewhere stand in an archive as its own do, and say where they are from."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from isoloss.core.errors import BadTable, InputError
from isoloss.runs.archive import Archive
from isoloss.runs.imported import Mapped, import_runs
from isoloss.runs.read_runs import read_runs

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "gzip2024"

# The shape and the numbers of a line as the paper's script writes it (KhoomeiK/complexity-scaling, main.py).
SHAPE = {"vocab_size": 32001, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 1, "max_position_embeddings": 256}  # fmt: skip


def gzip_line(*, dataset="khoomeik/gzipscale-0.12-10M", tokens=99695, train=(10.3, 10.0), valid=(10.02, 10.04)):
    return {
        "dataset_name": dataset, "dataset_gzip": [0.12, 0.0036], "token_ct": tokens, "model_stats": SHAPE,
        "model_size": 4178368, "num_epochs": 1, "train_loss": list(train), "valid_loss": list(valid),
    }  # fmt: skip


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "archive")


def test_the_gzip_papers_own_lines_become_runs_with_their_curves(tmp_path, archive):
    pilot = {
        "dataset_stats": [5, 50, 3, 2, False], "dataset_gzip": [0.149, 0.003], "token_ct": 9971, "model_stats": SHAPE,
        "model_size": 4178368, "num_epochs": 2, "train_pplx": [29595.8, 16212.9], "valid_pplx": [29624.8, 16243.2],
    }  # fmt: skip
    imported = import_runs(write_lines(tmp_path / "results.jsonl", [gzip_line(), pilot]), archive, Mapped())
    released, piloted = imported.rows
    assert (released["corpus"], released["params"], released["tokens"]) == ("gzipscale-0.12-10M", 4178368, 99695)
    assert released["loss_nats"] == pytest.approx(10.03)
    assert released["train_loss_last5pct"] == 10.0
    assert released["flops"] == 6.0 * 4178368 * 99695
    assert piloted["loss_nats"] == pytest.approx(math.log(16243.2))
    assert (piloted["unique_tokens"], piloted["tokens"]) == (9971, 2 * 9971)
    import pyarrow.parquet as pq

    curves = pq.read_table(imported.table.parent / "curves" / imported.table.name).to_pylist()
    assert [(row["step"], row["value"]) for row in curves if row["run"] == released["run"]] == [(1, 10.3), (2, 10.0)]


@pytest.mark.skipif(not DATA.exists(), reason="the published runs are not at hand")
def test_the_published_runs_are_fitted_from_a_folder_as_from_their_table(tmp_path, archive):
    import pyarrow.parquet as pq

    losses = {}
    for point in pq.read_table(DATA / "gzip_pcfg_train_curves.parquet").to_pylist():
        losses.setdefault(point["run"], []).append(point["train_loss"])
    rows = list(csv.DictReader((DATA / "gzip_pcfg_runs_150.csv").read_text().splitlines()))
    lines = [
        gzip_line(dataset=row["dataset"], tokens=int(row["tokens"]), train=losses[int(row["run"])],
                  valid=[float(row["valid_loss_mean"])]) | {"model_size": int(row["params"])}
        for row in rows
    ]  # fmt: skip
    imported = import_runs(write_lines(tmp_path / "results_new.jsonl", lines), archive, Mapped())
    assert len(imported.rows) == 150
    # The table was made of the same curves; they are kept in float32.
    output = [row["train_loss_last5pct"] for row in imported.rows]
    assert output == pytest.approx([float(row["train_loss_last5pct"]) for row in rows], rel=1e-6)
    from_folder = read_runs(archive.folder, loss="valid_loss")
    from_table = read_runs(DATA / "gzip_pcfg_runs_150.csv", loss="valid_loss_mean", corpus="dataset")
    key = lambda table: sorted(zip(table.corpus, table.params, table.tokens, table.loss_nats, strict=True))
    assert key(from_folder) == key(from_table)
    assert from_folder.params_convention == "total"


def write_events(folder, losses, *, tag="eval/loss"):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, loss in losses:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=loss)])
        writer.add_event(Event(step=step, wall_time=0.0, summary=summary))
    writer.close()


def test_event_files_give_a_run_a_folder_and_their_last_loss(tmp_path, archive):
    write_events(tmp_path / "logs" / "small", [(100, 4.0), (200, 3.5)])
    write_events(tmp_path / "logs" / "large", [(100, 3.5), (200, 3.0)])
    imported = import_runs(
        tmp_path / "logs", archive, Mapped(params="1.5M", batch_tokens=2048, corpus="web", convention="total")
    )
    assert {(row["name"], row["loss_nats"]) for row in imported.rows} == {("small", 3.5), ("large", 3.0)}
    assert {(row["params"], row["tokens"], row["corpus"]) for row in imported.rows} == {(1_500_000, 409_600, "web")}


def test_what_event_files_do_not_say_is_asked_for(tmp_path, archive):
    write_events(tmp_path / "logs", [(100, 4.0)])
    with pytest.raises(BadTable, match=r"tokens: the source does not say it(.|\n)*--batch-tokens"):
        import_runs(tmp_path / "logs", archive, Mapped(params="1e6"))
    with pytest.raises(BadTable, match="did you mean 'eval/loss'"):
        import_runs(tmp_path / "logs", archive, Mapped(params="1e6", batch_tokens=8, loss="evl/loss"))


def write_state(folder, *, step, losses, config=None, **more):
    folder.mkdir(parents=True)
    history = [{"step": at, "epoch": 1.0, "eval_loss": loss, "learning_rate": 1e-4} for at, loss in losses]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history, **more}))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))


LLAMA = {"model_type": "llama", **SHAPE, "num_key_value_heads": 1, "tie_word_embeddings": False}


def test_a_trainers_state_gives_its_furthest_checkpoint_and_the_shape_next_to_it(tmp_path, archive):
    for step in (50, 100):
        losses = [(at, 5.0 - at / 50) for at in range(50, step + 1, 50)]
        write_state(tmp_path / "run" / f"checkpoint-{step}", step=step, losses=losses, config=LLAMA,
                    num_input_tokens_seen=step * 1000)  # fmt: skip
    (row,) = import_runs(tmp_path / "run", archive, Mapped(corpus="web")).rows
    assert (row["name"], row["loss_nats"], row["tokens"], row["depth"]) == ("run", 3.0, 100_000, 2)
    # Blocks of 2 · (4 · 64² + 3 · 64 · 128) and a head of 32001 · 64.
    assert (row["params"], row["params_convention"]) == (2 * (4 * 64**2 + 3 * 64 * 128) + 32001 * 64, "with_head")


def test_flops_of_a_trainer_show_what_to_give(tmp_path, archive):
    write_state(tmp_path / "run", step=10, losses=[(10, 3.0)], num_input_tokens_seen=1000, total_flos=6e9)
    with pytest.raises(BadTable, match=r"--params NUMBER \(total_flos implies 1e\+06 outside the embedding"):
        import_runs(tmp_path / "run" / "trainer_state.json", archive, Mapped())


def test_a_table_of_curves_gives_the_last_point_of_each_run(tmp_path, archive):
    path = tmp_path / "export.csv"
    path.write_text("id,Step,tokens,val,n\n" + "".join(f"r{r},{s},{s * 10},{4 - s / 10 - r},1e6\n"
                                                       for s in (1, 3, 2) for r in (0, 1)))  # fmt: skip
    imported = import_runs(path, archive, Mapped(params="n", loss="val", run="id", step="Step", unit="bits"))
    losses = {row["name"]: row["loss_nats"] for row in imported.rows}
    assert losses == pytest.approx({"r0": 3.7 * math.log(2), "r1": 2.7 * math.log(2)})
    assert {row["tokens"] for row in imported.rows} == {30}
    with pytest.raises(BadTable, match="--step COLUMN"):
        import_runs(path, archive, Mapped(params="n", loss="val", run="id"))


def test_a_loss_that_is_no_number_is_a_run_that_diverged(tmp_path, archive):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"params": 1e6, "tokens": 1e7, "loss_nats": NaN}\n{"params": 1e6, "tokens": 2e7, "loss_nats": 3}')
    rows = import_runs(path, archive, Mapped()).rows
    assert [(row["status"], row["loss_nats"]) for row in rows] == [("diverged", None), ("finished", 3.0)]
    assert read_runs(archive.folder).loss_nats.tolist() == [3.0]


def test_the_same_source_twice_is_there_once_and_another_joins_it(tmp_path, archive):
    first = write_lines(tmp_path / "a.jsonl", [{"params": 1e6, "tokens": 1e7, "loss_nats": 3.0, "lr": 0.1}])
    both = write_lines(tmp_path / "b.jsonl", [{"params": 2e6, "tokens": 1e7, "loss_nats": 2.5, "data": "x"}])
    for source in (first, first, both):
        import_runs(source, archive, Mapped())
    table = archive.query("SELECT params, lr, data, status FROM runs ORDER BY params").to_pylist()
    assert table == [
        {"params": 1_000_000, "lr": 0.1, "data": None, "status": "finished"},
        {"params": 2_000_000, "lr": None, "data": "x", "status": "finished"},
    ]
    clash = write_lines(tmp_path / "c.jsonl", [{"params": 2e6, "tokens": 1e7, "loss_nats": 2.5, "lr": "high"}])
    with pytest.raises(BadTable, match="does not fit the runs in the folder"):
        import_runs(clash, archive, Mapped())


def perplexities(path, losses=(20.0, 12.0, 8.0)):
    rows = [f"{10**6 * (at + 1)},{10**7 * (at + 2)},{loss}" for at, loss in enumerate(losses)]
    path.write_text("\n".join(["params,tokens,ppl", *rows]) + "\n")
    return path


def test_a_source_read_again_by_a_corrected_option_replaces_its_runs(tmp_path, archive):
    source = perplexities(tmp_path / "runs.csv")
    import_runs(source, archive, Mapped(loss="ppl"))
    right = import_runs(source, archive, Mapped(loss="ppl", unit="perplexity"))
    assert (right.replaced, right.known, right.in_folder) == (3, 0, 3)
    assert read_runs(archive.folder).loss_nats == pytest.approx(np.log([20.0, 12.0, 8.0]))
    same = import_runs(source, archive, Mapped(loss="ppl", unit="perplexity"))
    assert (same.replaced, same.known, same.in_folder) == (0, 3, 3)
    # Another option of some rows alone: the others stay as they are, and come back as they were.
    part = import_runs(source, archive, Mapped(loss="ppl", unit="perplexity", flops="7 * params * tokens",
                                               where="ppl < 10"))  # fmt: skip
    assert (part.replaced, part.in_folder) == (1, 3)
    ratios = archive.query("SELECT flops / params / tokens AS f FROM runs ORDER BY params")["f"].to_pylist()
    assert ratios == pytest.approx([6, 6, 7])
    back = import_runs(source, archive, Mapped(loss="ppl", unit="perplexity"))
    assert (back.replaced, back.known, back.in_folder) == (1, 2, 3)
    assert [path.name for path in (archive.folder / "imported").glob("*.parquet")] == [back.table.name]


def test_curves_go_with_the_runs_that_are_replaced(tmp_path, archive):
    rows = [{"run": run, "step": step, "n": 1e6, "d": 1e5 * step, "ppl": 30.0 - step + at}
            for at, run in enumerate("ab") for step in (1, 2, 3)]  # fmt: skip
    source = write_lines(tmp_path / "curves.jsonl", rows)
    said = {"params": "n", "tokens": "d", "loss": "ppl", "run": "run", "step": "step"}
    import_runs(source, archive, Mapped(**said))
    right = import_runs(source, archive, Mapped(**said, unit="perplexity", where="run = 'a'"))
    assert (right.replaced, right.in_folder) == (1, 2)
    import pyarrow.parquet as pq

    runs = {run for path in (archive.folder / "imported" / "curves").glob("*") for run in
            pq.read_table(path)["run"].to_pylist()}  # fmt: skip
    assert runs == set(archive.table()["run"].to_pylist())


def test_runs_of_a_place_that_says_something_else_by_now_stay_and_are_named(tmp_path, archive):
    import_runs(perplexities(tmp_path / "runs.csv"), archive, Mapped(loss="ppl"))
    other = import_runs(perplexities(tmp_path / "runs.csv", (20.0, 12.0, 9.0)), archive, Mapped(loss="ppl"))
    assert (other.replaced, other.known, other.in_folder) == (0, 2, 4)
    (warning,) = other.warnings
    assert warning["message"].startswith("1 of these places")


def test_a_table_of_one_name_and_other_content_replaces_nothing(tmp_path, archive):
    for folder, losses in (("a", (20.0, 12.0)), ("b", (19.0, 11.0))):
        (tmp_path / folder).mkdir()
        found = import_runs(perplexities(tmp_path / folder / "runs.csv", losses), archive, Mapped(loss="ppl"))
    assert (found.replaced, found.in_folder, found.warnings) == (0, 4, [])


def test_params_counted_by_two_conventions_are_not_fitted_together(tmp_path, archive):
    for number, convention in enumerate(("total", "with_head")):
        source = write_lines(tmp_path / f"{number}.jsonl", [{"params": 1e6 + number, "tokens": 1e7, "loss_nats": 3.0}])
        import_runs(source, archive, Mapped(convention=convention))
    with pytest.raises(BadTable, match="total and with_head"):
        read_runs(archive.folder)
    assert read_runs(archive.folder, where="params_convention = 'total'").params.tolist() == [1e6]


@pytest.mark.parametrize(
    ("content", "mapped", "said"),
    [
        ("params,tokens\n1,2\n", Mapped(), "loss: nothing is called 'loss_nats'"),
        ("params,tokens,loss_nats\nx,2,3\n", Mapped(), "params: found 'x', expected a number"),
        ("params,tokens,loss_nats\n0.5,2,3\n", Mapped(), "expected numbers from 1 to"),
        ("params,tokens,loss_nats\n5,2,3\n", Mapped(group="data"), "no column 'data'"),
        ("params,tokens,loss_nats\n5,2,3\n", Mapped(run="idd"), "no column 'idd'"),
        ("params,tokens,loss_nats\n5,2,3\n5,2,3\n", Mapped(run="tokens"), "2 rows of run '2'"),
    ],
)
def test_what_is_wrong_with_a_source_is_named(tmp_path, archive, content, mapped, said):
    (tmp_path / "runs.csv").write_text(content)
    with pytest.raises(BadTable) as error:
        import_runs(tmp_path / "runs.csv", archive, mapped)
    assert said in str(error.value)
    assert "runs.csv" in error.value.place
    assert error.value.fix
    assert not (archive.folder / "imported").exists()


def test_a_folder_without_runs_is_refused(tmp_path, archive):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without runs in a known format"):
        import_runs(tmp_path / "empty", archive, Mapped())


STEPS = [*range(100, 900, 100)]


@pytest.mark.parametrize("name", ["step", "_steps", "trainer/global_step", "iteration"])
def test_rows_that_look_like_one_curve_are_said_to(tmp_path, name):
    rows = "".join(f"{step},{4 - step / 1000}\n" for step in STEPS)
    (tmp_path / "log.csv").write_text(f"{name},loss\n{rows}")
    with pytest.raises(BadTable) as refused:
        import_runs(tmp_path / "log.csv", tmp_path / "a", Mapped(loss="loss", params="50M", batch_tokens=1000))
    assert f"--step {name}" in str(refused.value.fix)
    each = Mapped(loss="loss", params="50M", tokens=f'"{name}" * 1000')
    found = import_runs(tmp_path / "log.csv", tmp_path / "b", each)
    assert any(f"--step {name}" in str(warning["message"]) for warning in found.warnings)
    curve = Mapped(loss="loss", params="50M", batch_tokens=1000, step=name)
    one = import_runs(tmp_path / "log.csv", tmp_path / "c", curve)
    assert [(row["tokens"], row["loss_nats"]) for row in one.rows] == [(800_000, 3.2)]
    assert not one.warnings


def test_runs_of_other_steps_are_not_taken_for_a_curve(tmp_path):
    rows = "".join(f"{step},{step * 1000},{4 - step / 1000}\n" for step in [500, 100, 300, 200, 800, 400])
    (tmp_path / "runs.csv").write_text(f"steps,tokens,loss\n{rows}")
    found = import_runs(tmp_path / "runs.csv", tmp_path / "a", Mapped(loss="loss", params="50M"))
    assert len(found.rows) == 6
    assert not found.warnings
