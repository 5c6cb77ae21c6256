"""N, D and the loss of a logged run stand at one step: the one at which the loss was taken, of the run that counts."""

import json
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadTable, InputError
from isoloss.runs.imported import Imported, Mapped, import_runs
from isoloss.runs.logged import joined, sessions, settled, value_at, without_dead_ends

CASES = Path(__file__).parents[3] / "shared" / "cases"
OFFLINE = Path(__file__).with_name("offline-run-20261129_090133-abc12345")
BATCH = 131_072


def loss_at(tokens: float) -> float:
    return 1.7 + 400 / 5e7**0.34 + 410 / tokens**0.28


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def one(imported: Imported) -> dict[str, object]:
    (row,) = imported.rows
    return row


def messages(imported: Imported) -> str:
    return "\n".join(str(warning["message"]) for warning in imported.warnings)


def write_events(folder: Path, points: list[tuple[str, int, float]], *, suffix: str = "") -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for tag, step, value in points:
        writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])))
    writer.close()


rows_of_a_log = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.sampled_from(["NaN", "nan", "Infinity", None, "", "-"])),
    min_size=3, max_size=30,
).filter(lambda rows: any(taken for taken, _, _ in rows) and any(counted for _, counted, _ in rows))  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=rows_of_a_log)
def test_d_of_a_sparse_log_is_that_of_the_last_loss(tmp_path, log):
    """Evaluations and counters come at steps of their own, with words between: D is BATCH times the loss's step."""
    last = max(at for at, (taken, _, _) in enumerate(log) if taken)
    rows = []
    for at, (taken, counted, word) in enumerate(log):
        tokens = 100 * (at + 1) * BATCH
        loss = loss_at(tokens) if taken else word if at < last else None
        rows.append({"step": 100 * (at + 1), "params": 5e7, "loss": loss, "tokens": tokens if counted else None})
    path = write_jsonl(tmp_path / "runs.jsonl", rows)
    for mapped in (Mapped(loss="loss", step="step"), Mapped(loss="loss", step="step", batch_tokens=BATCH)):
        row = one(import_runs(path, tmp_path / "out", mapped))
        assert row["tokens"] == pytest.approx(100 * (last + 1) * BATCH, abs=1)
        assert row["loss_nats"] == pytest.approx(loss_at(100 * (last + 1) * BATCH))


@given(
    ends=st.lists(st.integers(2, 30), min_size=1, max_size=4), rng=st.randoms(use_true_random=False),
    every=st.integers(1, 3),
)  # fmt: skip
def test_a_run_that_was_resumed_is_its_last_lineage(ends, rng, every):
    """Each attempt begins at a checkpoint of the one before, logs its number as the loss, and dies at its end."""
    points, begins, reached = [], 1, 0
    lineage: dict[int, int] = {}
    for attempt, length in enumerate(ends):
        begins = 1 if attempt == 0 else rng.randint(2, max(2, reached))
        reached = begins + length
        lineage = {step: value for step, value in lineage.items() if step < begins}
        for step in range(begins, reached + 1):
            points.append(("train", step, float(attempt)))
            lineage[step] = attempt
            if step % every == 0:
                points.append(("loss", step, float(attempt)))
    curves, _ = joined(sessions(points), place="here")
    assert dict(curves["train"]) == lineage
    assert [step for step, _ in curves.get("loss", [])] == [step for step in sorted(lineage) if step % every == 0]
    assert all(value == lineage[step] for step, value in curves.get("loss", []))


def test_a_counter_is_read_between_and_beyond_its_steps():
    curve = [(100, 1000.0), (200, 2000.0), (400, 6000.0)]
    assert [value_at(curve, step) for step in (100, 150, 300, 400)] == [1000, 1500, 4000, 6000]
    assert value_at(curve, 50) == 500
    assert value_at(curve, 800) == 12000


def test_two_runs_in_one_folder_are_refused_unless_the_later_one_went_further(tmp_path):
    first = [("eval/loss", step, 5.0) for step in range(100, 1001, 100)]
    write_events(tmp_path / "short", first, suffix=".a")
    write_events(tmp_path / "short", [("eval/loss", step, 4.0) for step in range(100, 501, 100)], suffix=".b")
    with pytest.raises(BadTable, match="two runs"):
        import_runs(tmp_path / "short", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))
    write_events(tmp_path / "long", first, suffix=".a")
    write_events(tmp_path / "long", [("eval/loss", step, 4.0) for step in range(100, 2001, 100)], suffix=".b")
    imported = import_runs(tmp_path / "long", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))
    assert (one(imported)["tokens"], one(imported)["loss_nats"]) == (2000 * BATCH, 4.0)
    assert "two runs" in messages(imported)


def test_the_attempt_that_died_does_not_count(tmp_path):
    points = [("eval/loss", step, 5.5) for step in range(100, 1501, 100)]
    points += [("eval/loss", step, 4.5) for step in range(1000, 1501, 100)]
    write_events(tmp_path / "run", points)
    imported = import_runs(tmp_path / "run", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))
    assert (one(imported)["tokens"], one(imported)["loss_nats"]) == (1500 * BATCH, 4.5)
    assert "resumed at step 1000" in messages(imported)


def test_two_writers_of_one_folder_are_one_run(tmp_path):
    write_events(tmp_path / "run", [("train/loss", step, 5.0) for step in range(1, 101)], suffix=".train")
    write_events(tmp_path / "run", [("eval/loss", step, 4.0) for step in (50, 100)], suffix=".eval")
    imported = import_runs(tmp_path / "run", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))
    assert (one(imported)["tokens"], one(imported)["loss_nats"], imported.warnings) == (100 * BATCH, 4.0, [])


def test_folders_without_a_loss_are_passed_over_and_named(tmp_path):
    write_events(tmp_path / "logs" / "a", [("eval/loss", step, 4.0) for step in (50, 100)])
    write_events(tmp_path / "logs" / "a" / "1795921613.92", [("hparam/best", 0, 3.9)])
    write_events(tmp_path / "logs" / "empty", [])
    imported = import_runs(tmp_path / "logs", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))
    assert one(imported)["name"] == "a"
    assert "a/1795921613.92" in messages(imported)
    assert "empty" in messages(imported)
    with pytest.raises(BadTable, match="no scalar"):
        import_runs(tmp_path / "logs" / "empty", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))


def test_series_of_one_chart_are_curves_of_one_run(tmp_path):
    write_events(tmp_path / "run", [("lr", 100, 1e-3)])
    for series, value in (("train", 4.1), ("eval", 4.0)):
        write_events(tmp_path / "run" / f"model_loss_{series}", [("model/loss", 100, value)])
    imported = import_runs(tmp_path, tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH))
    assert (one(imported)["name"], one(imported)["loss_nats"]) == ("run", 4.0)


def test_steps_that_count_samples_are_distinguished_or_asked_for(tmp_path):
    steps = range(100, 1001, 100)
    points = [("lm loss", s, 4.0) for s in steps] + [("lm loss vs samples", 256 * s, 4.0) for s in steps]
    write_events(
        tmp_path / "both", sorted(points, key=lambda point: point[1] if point[0] == "lm loss" else point[1] / 256)
    )
    mapped = Mapped(params="5e7", batch_tokens=BATCH, loss="lm loss vs samples")
    imported = import_runs(tmp_path / "both", tmp_path / "out", mapped)
    assert one(imported)["tokens"] == 1000 * BATCH
    assert "256 per step" in messages(imported)
    write_events(tmp_path / "alone", [("lm loss vs samples", 256 * s, 4.0) for s in steps])
    with pytest.raises(BadTable, match="count samples") as caught:
        import_runs(tmp_path / "alone", tmp_path / "out", mapped)
    assert "--sample-tokens" in caught.value.fix
    given = Mapped(params="5e7", sample_tokens=512, loss="lm loss vs samples")
    assert one(import_runs(tmp_path / "alone", tmp_path / "out", given))["tokens"] == 256_000 * 512
    epochs = [("loss", at, 4.0) for at in range(1, 11)] + [("lr", 977 * at, 1e-3) for at in range(1, 11)]
    write_events(tmp_path / "epochs", epochs)
    with pytest.raises(BadTable, match="epochs"):
        import_runs(tmp_path / "epochs", tmp_path / "out", Mapped(params="5e7", batch_tokens=BATCH, loss="loss"))


def test_d_of_a_whole_run_is_shared_out_where_its_loss_was_taken_before_the_end(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    state = {"global_step": 1000, "num_input_tokens_seen": 1000 * BATCH,
             "log_history": [{"step": 500, "eval_loss": 4.0}, {"step": 1000, "loss": 3.9}]}  # fmt: skip
    (folder / "trainer_state.json").write_text(json.dumps(state))
    imported = import_runs(folder, tmp_path / "out", Mapped(params="5e7"))
    assert one(imported)["tokens"] == 500 * BATCH
    assert "500 of 1,000" in messages(imported)
    imported = import_runs(folder, tmp_path / "out", Mapped(params="5e7", tokens="1e9"))
    assert one(imported)["tokens"] == 10**9
    assert "--tokens" in messages(imported)


@pytest.mark.parametrize("ending", ["NaN", math.nan, "Infinity"])
def test_a_curve_that_ends_in_no_number_is_a_run_that_diverged(tmp_path, ending):
    rows = [
        {"step": 1, "loss": 4.0, "params": 5e7, "tokens": 1e6},
        {"step": 2, "loss": ending, "params": 5e7, "tokens": 2e6},
    ]
    row = one(import_runs(write_jsonl(tmp_path / "r.jsonl", rows), tmp_path / "out", Mapped(loss="loss", step="step")))
    assert (row["status"], row["loss_nats"], row["tokens"]) == ("diverged", None, 2_000_000)
    folder = tmp_path / "run"
    folder.mkdir()
    history = [{"step": 1, "eval_loss": 4.0}, {"step": 2, "eval_loss": ending}]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 2, "log_history": history}))
    row = one(import_runs(folder, tmp_path / "out", Mapped(params="5e7", batch_tokens=8)))
    assert (row["status"], row["tokens"]) == ("diverged", 16)


@pytest.mark.parametrize("step", ["ckpt-100", "", "nan", "0.5", "inf", "1e400"])
def test_a_step_that_is_no_whole_number_is_refused_by_row(tmp_path, step):
    path = tmp_path / "runs.csv"
    path.write_text(f"run,step,tokens,params,loss\na,100,1e6,5e7,4.5\na,{step},2e6,5e7,4.4\n")
    with pytest.raises(BadTable, match="whole number") as caught:
        import_runs(path, tmp_path / "out", Mapped(run="run", step="step", loss="loss"))
    assert "row 2" in caught.value.place


@pytest.mark.parametrize("name", ["", " ", "NA"])
def test_a_row_without_a_name_is_no_run(tmp_path, name):
    path = tmp_path / "runs.csv"
    path.write_text(f"run,params,tokens,loss\na,5e7,1e6,4.5\n{name},5e7,1e6,4.4\n")
    with pytest.raises(BadTable, match="does not name a run") as caught:
        import_runs(path, tmp_path / "out", Mapped(run="run", loss="loss"))
    assert "row 2" in caught.value.place


def test_an_empty_cell_is_named_with_its_row_and_the_remedy(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("Name,params,tokens,eval/loss\na,5e7,1e6,4.5\nb,5e7,2e6,\n")
    with pytest.raises(BadTable, match="'eval/loss' is empty") as caught:
        import_runs(path, tmp_path / "out", Mapped(loss="eval/loss", run="Name"))
    assert "row 2" in caught.value.place
    where = '"eval/loss" IS NOT NULL'
    assert where in caught.value.fix
    assert one(import_runs(path, tmp_path / "out", Mapped(loss="eval/loss", run="Name", where=where)))["name"] == "a"


def test_the_later_of_two_rows_at_a_step_counts(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("step,tokens,params,loss\n1,1e6,5e7,5\n2,2e6,5e7,4.5\n2,2e6,5e7,4.2\n")
    imported = import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss"))
    assert one(imported)["loss_nats"] == 4.2
    assert "later row" in messages(imported)


def test_a_counter_that_restarts_is_warned_of(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("step,tokens,params,loss\n1,1e6,5e7,5\n2,2e6,5e7,4.5\n3,1e6,5e7,4.2\n")
    assert "restarted" in messages(import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss")))


def test_formulas_over_columns_are_taken_as_fit_takes_them(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("model_m,tokens_b,bits,a-b\n50,1.5,5,7\n100,3,,8\n")
    said = {"params": "model_m*1e6", "tokens": "tokens_b * 1e9", "loss": "bits * ln(2)", "flops": "6*model_m*tokens_b"}
    row = one(import_runs(path, tmp_path / "out", Mapped(**said, where="bits IS NOT NULL")))
    assert (row["params"], row["tokens"], row["flops"]) == (50_000_000, 1_500_000_000, 450)
    assert row["loss_nats"] == pytest.approx(5 * math.log(2))
    assert {"model_m", "tokens_b", "bits", "a-b"} <= set(row)
    assert not {"model_m*1e6", "bits * ln(2)"} & set(row)
    named = Mapped(params="model_m*1e6", tokens="tokens_b*1e9", loss="a-b")  # a column, and no difference
    assert [row["loss_nats"] for row in import_runs(path, tmp_path / "out", named).rows] == [7, 8]
    with pytest.raises(BadTable, match="nosuch"):
        import_runs(path, tmp_path / "out", Mapped(params="nosuch*1e6", tokens="tokens_b", loss="bits"))


def test_text_in_a_curve_is_passed_over_by_row(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("step,params,loss,note\n1,5e7,5,x\n2,5e7,crash,y\n3,5e7,4.5,\n")
    imported = import_runs(path, tmp_path / "out", Mapped(step="step", loss="loss", batch_tokens=BATCH))
    assert (one(imported)["loss_nats"], one(imported)["tokens"], one(imported)["note"]) == (4.5, 3 * BATCH, "y")
    assert "'crash' in row 2" in messages(imported)


def test_an_offline_run_of_wandb_is_read(tmp_path):
    row = one(import_runs(OFFLINE, tmp_path / "out", Mapped()))
    # Logged by wandb 0.31 every 100 steps to 2,100, evaluated every 500; at 500 the evaluation was NaN.
    assert (row["name"], row["params"], row["tokens"]) == ("small", 50_000_000, 2000 * BATCH)
    assert row["loss_nats"] == pytest.approx(loss_at(2000 * BATCH), abs=6e-5)
    assert (row["lr"], row["model.width"], row["data"], row["note"]) == (3e-4, 64, "web", "done")
    by_call = Mapped(step="_step", batch_tokens=BATCH, tokens=None, loss="train/loss")
    assert one(import_runs(OFFLINE, tmp_path / "out", by_call))["tokens"] == 2100 * BATCH  # the logged counter counts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 4074), flip=st.integers(0, 255))
def test_a_damaged_offline_run_is_read_as_far_as_it_goes_or_refused(tmp_path, at, flip):
    (content,) = (path.read_bytes() for path in OFFLINE.glob("*.wandb"))
    for damaged in (content[:at], content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]):
        path = tmp_path / "run.wandb"
        path.write_bytes(damaged)
        try:
            imported = import_runs(path, tmp_path / "out", Mapped(params="5e7"))
        except InputError:
            continue
        for row in imported.rows:  # what is read is what was logged, up to the damage
            assert 0 < row["tokens"] <= 2100 * BATCH
            # Evaluations were logged to four digits, training losses with noise; the evaluation at 500 was NaN.
            lost = row["loss_nats"] is None
            assert lost or row["loss_nats"] == pytest.approx(loss_at(row["tokens"]), rel=0.01)


@pytest.mark.slow
def test_what_the_package_writes_here_is_read(tmp_path):
    if find_spec("wandb") is None:
        pytest.skip("the package wandb is not installed")
    script = (
        "import wandb\n"
        "run = wandb.init(project='p', name='n', mode='offline', config={'params': 5e7})\n"
        "for step in range(1, 1201):\n"
        "    wandb.log({'tokens': step * 100, 'eval/loss': 4 - step / 1000, 'text': 'x' * 200})\n"
        "run.finish()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    row = one(import_runs(tmp_path / "wandb", tmp_path / "out", Mapped()))
    assert (row["tokens"], row["loss_nats"]) == (120_000, pytest.approx(2.8))


def test_a_history_exported_from_wandb_is_a_curve(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("_step,_timestamp,params,tokens,eval/loss\n0,1.5,5e7,100,4.0\n1,2.5,5e7,200,\n2,3.5,5e7,300,3.0\n")
    imported = import_runs(path, tmp_path / "out", Mapped(loss="eval/loss"))
    assert (one(imported)["tokens"], one(imported)["loss_nats"]) == (300, 3.0)


P = {"params": "50M", "batch_tokens": BATCH}
RIGHT = [  # folder of the cases, what is asked, D, loss (None: diverged)
    ("03-wide-export/wandb_export.csv",
     {"step": "Step", "params": "20M", "batch_tokens": 262_144, "loss": "m20M - eval/loss"}, 786_432_000, 4.3417),
    *((f"05-tb-side-folders/{name}", P, 655_360_000, 4.4111) for name in ("metric", "profile", "scalars")),
    ("06-tb-resumed/late", P, 655_360_000, 4.0584),
    ("06-tb-resumed/purged", P, 183_500_800, 4.6553),
    ("06-table-steps/resumed.csv", {"run": "run", "step": "step"}, 196_608_000, 4.6172),
    ("09-last-eval/tokens", P, 655_360_000, 4.0584),
    ("09-last-eval/steps", P, 655_360_000, 4.0584),
    ("09-last-eval/aligned", P, 1_310_720_000, 3.8126),
    ("09-last-eval/twice", P, 1_310_720_000, 3.5),
    *((f"10-nan-words/{name}.jsonl", {"step": "_step", "loss": "eval/loss"}, 262_144_000, 4.4661)
      for name in ("fine", "spike_fine", "spike_bare", "nan_then_fine")),
    ("10-nan-words/state_str", P, 262_144_000, None),
    ("10-nan-words/state_nan", P, 262_144_000, None),
]  # fmt: skip


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases of public reports are not here")
@pytest.mark.parametrize(("source", "mapped", "tokens", "loss"), RIGHT, ids=[case[0] for case in RIGHT])
def test_the_cases_of_public_reports_come_out_right(tmp_path, source, mapped, tokens, loss):
    if "-tb-" in source:
        pytest.importorskip("tensorboard")
    row = one(import_runs(CASES / source, tmp_path / "out", Mapped(**mapped)))
    assert row["tokens"] == tokens
    assert row["loss_nats"] == (None if loss is None else pytest.approx(loss, abs=1e-4))


@given(every=st.integers(1, 50), first=st.integers(6, 40), checkpoint=st.integers(1, 5), more=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_what_a_resumed_run_threw_away_is_no_part_of_its_curve(every, first, checkpoint, more):
    """Shorter or longer than the first attempt: the last lineage counts, up to where it got."""
    died = [(every * i, 5.0) for i in range(first)]
    alive = [(every * i, 4.0) for i in range(checkpoint, checkpoint + more)]
    assert settled(without_dead_ends([*died, *alive], place="here")) == died[:checkpoint] + alive


@given(st.permutations([(step, float(step)) for step in range(0, 900, 100)]))
@settings(max_examples=40, deadline=None)
def test_rows_in_any_order_are_no_resumed_run(points):
    assert without_dead_ends(points, place="here") == points
