"""Counts, ladders, rules, identities, the archive and imported tables."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isoloss.core.errors import BadTable, DamagedArchive, InputError, NewerArchive
from isoloss.runs.archive import Archive
from isoloss.runs.ladders import LADDER_TOLERANCE, ladder
from isoloss.runs.mapping import Mapped
from isoloss.runs.neighbours import with_neighbour_flags
from isoloss.runs.presets import published
from isoloss.runs.read_runs import open_table, read_runs
from isoloss.runs.record import Loss, RunRecord
from isoloss.runs.rules import PowerRule, branch_step, cooldown_steps, lr_fraction, round_tokens
from isoloss.runs.shapes import count, openlm_ffn
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec, Schedule
from isoloss.runs.table_curves import table_runs
from isoloss.training.job import trunk_jobs
from isoloss.tuning.reading import read_sweep

# Hidden, FFN, layers, heads of the gzip paper's six models and their published parameter counts.
PUBLISHED = {
    (64, 128, 2, 1): 4_178_368, (128, 256, 4, 2): 8_848_768, (256, 512, 6, 4): 20_320_000,
    (512, 1024, 10, 8): 58_994_176, (1024, 2048, 20, 16): 275_295_232, (2048, 4096, 30, 32): 1_389_492_224,
}  # fmt: skip
TABLES = Path(__file__).parents[2].parent / "shared" / "data"
TINY = ModelSpec(width=8, depth=1, heads=1, ffn=16, vocab_size=16, context=8)


def spec(tokens=640, kind="wsd", **schedule):
    return RunSpec(
        corpus="corpus1-x", model=TINY, train_tokens=tokens, batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
        schedule=Schedule(kind=kind, **schedule),
    )  # fmt: skip


@pytest.mark.parametrize(("shape", "total"), PUBLISHED.items())
def test_counts_of_the_published_shapes(shape, total):
    width, ffn, depth, heads = shape
    model = ModelSpec(width=width, ffn=ffn, depth=depth, heads=heads, vocab_size=32_001, context=256)
    assert count(model).total == total


def test_conventions_differ_by_what_they_count():
    # Porian et al.: N = (4w + 3 d_ff) w l + V w, and attention adds s w l. Their smallest model, 96 wide and 3 deep.
    counts = count(ModelSpec(width=96, ffn=256, depth=3, heads=3, vocab_size=50_432, context=2048))
    assert counts.params("with_head") == 5_173_248
    assert counts.params("non_embedding") == 331_776
    assert counts.params("with_attention") == 5_763_072
    assert counts.flops_per_token("with_head") == 31_039_488
    assert counts.params("total") == counts.params("with_head") + counts.embedding + 7 * 96


@given(st.floats(3e4, 3e8), st.integers(10, 4000), st.booleans(), st.sampled_from(["llama", "openlm"]))
def test_ladders_hit_their_targets(target, vocab_size, tied, family):
    assume(target > 60 * vocab_size)
    (model,) = ladder([target], vocab_size=vocab_size, context=128, tied=tied, family=family)
    assert abs(math.log(count(model).params() / target)) <= math.log1p(LADDER_TOLERANCE)
    assert 2.2 <= model.ffn / model.width <= 3.4 if family == "llama" else model.ffn == openlm_ffn(model.width)
    assert model.depth <= max(4, model.width / 25)  # twice the usual depth


def test_presets_are_the_published_models():
    assert [count(model).total for model in published("gzip").values()] == list(PUBLISHED.values())
    architectures = TABLES / "porian2024" / "architectures.csv"
    if not architectures.exists():
        pytest.skip(f"{architectures} is not there")
    rows = pd.read_csv(architectures)
    models = list(published("porian").values())
    assert len(models) == len(rows) == 16
    for row, model in zip(rows.itertuples(), models, strict=True):
        counts = count(model)
        assert (model.width, model.depth, model.ffn) == (row.width, row.depth, row.d_ff)
        assert counts.params("with_head") == row.n
        assert counts.params("non_embedding") == row.n_no_head
        assert counts.params("with_attention") == row.n_eff_attention
        # Their own list counts norms too, and leaves out the embedding: LayerNorms with bias, qk-norm among them.
        assert counts.total - counts.embedding == row.n_exact_repo


def test_a_preset_is_named_by_its_size():
    for which, convention in (("gzip", "total"), ("porian", "with_head")):
        for name, model in published(which).items():
            size = float(name.split("-")[1].replace("M", "e6").replace("B", "e9"))
            assert count(model).params(convention) == pytest.approx(size, rel=0.05)


def test_exact_flops_are_those_of_chinchillas_appendix():
    # Hoffmann et al. 2022, appendix F, for a shape of round numbers, written out; the FFN has a third matrix.
    s, w, heads, ffn, vocab, layers = 2_048, 640, 10, 1_792, 32_000, 10
    model = ModelSpec(width=w, depth=layers, heads=heads, ffn=ffn, vocab_size=vocab, context=s)
    attention = 2 * 3 * s * w * w + 2 * s * s * w + 3 * heads * s * s + 2 * s * s * w + 2 * s * w * w
    forward = 2 * s * vocab * w + layers * (attention + 2 * s * 3 * w * ffn) + 2 * s * w * vocab
    assert count(model).flops_per_token("exact") * s == pytest.approx(3 * forward, rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"qk_norm": True}, "option of openlm"),
        ({"family": "openlm", "kv_heads": 1}, "option of llama"),
        ({"heads": 2, "kv_heads": 4}, "do not share"),
        ({"heads": 3}, "does not split"),
    ],
)
def test_a_shape_that_no_family_has_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        ModelSpec(**(TINY.model_dump() | wrong))


def test_a_vocabulary_larger_than_the_target_is_refused():
    with pytest.raises(InputError, match="no llama shape"):
        ladder([1e4], vocab_size=32_001, context=128, tied=True)


@given(st.integers(1, 500), st.floats(0.01, 1.0), st.integers(0, 40))
def test_a_branch_takes_its_share_and_the_rate_only_falls(steps, fraction, warmup):
    run = spec(32 * steps, cooldown_fraction=fraction, warmup_tokens=32 * warmup)
    assert branch_step(run) + cooldown_steps(run) == steps
    assert cooldown_steps(run) == min(steps, max(1, math.ceil(fraction * steps)))
    rates = [lr_fraction(run, step) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    start = max(branch_step(run), warmup)
    assert all(a > b for a, b in zip(rates[start:], rates[start + 1 :], strict=False))


def test_a_falling_trunk_gives_a_longer_run_a_lower_rate_and_every_run_the_same_steps():
    short, long = (spec(tokens, decay_exponent=0.5, decay_tokens=320) for tokens in (3200, 51_200))
    assert short.trunk == long.trunk
    for step in range(branch_step(short)):
        assert lr_fraction(short, step) == lr_fraction(long, step)
    for run in (short, long):
        start = branch_step(run)
        # The rate after t tokens is (1 + t / 320)^-1/2 of the peak where the cooldown begins; one step shares it.
        expected = (1 + start * run.batch_tokens / 320) ** -0.5
        assert lr_fraction(run, start - 1) == pytest.approx(expected, rel=0.01)
        assert lr_fraction(run, start) < lr_fraction(run, start - 1)


def test_a_rate_that_falls_is_part_of_the_identity_and_one_that_does_not_leaves_it_as_it_was():
    assert spec(decay_exponent=0.3).trunk != spec().trunk != spec(decay_exponent=0.4).trunk
    assert spec(decay_exponent=0.3, decay_tokens=100).trunk != spec(decay_exponent=0.3).trunk
    assert spec(decay_exponent=0.0).fingerprint == spec().fingerprint
    with pytest.raises(ValueError, match="cosine"):
        spec(kind="cosine", decay_exponent=0.3)
    with pytest.raises(ValueError, match="decay_exponent"):
        spec(decay_tokens=100)


def test_cosine_ends_where_it_should():
    run = spec(3200, kind="cosine", warmup_tokens=320, final_fraction=0.1)
    assert lr_fraction(run, 9) == pytest.approx(1.0)
    assert lr_fraction(run, 10) == pytest.approx(1.0)
    assert lr_fraction(run, 55) == pytest.approx(0.55)
    assert 0.1 < lr_fraction(run, 99) < 0.102


def test_one_trunk_serves_every_token_count_unless_the_schedule_knows_its_end():
    assert len(trunk_jobs([spec(320), spec(640), spec(640)])) == 1
    assert [s.train_tokens for s in trunk_jobs([spec(640), spec(320)])[0].specs] == [320, 640]
    assert len(trunk_jobs([spec(320, "cosine"), spec(640, "cosine")])) == 2
    assert spec(cooldown_fraction=0.1).trunk == spec(cooldown_fraction=0.5).trunk
    assert spec(cooldown_fraction=0.1).fingerprint != spec(cooldown_fraction=0.5).fingerprint


def test_identities_are_held():
    # A change here means that finished runs everywhere would be trained again: raise RUN_VERSION only on purpose.
    assert spec().fingerprint == "run1-46df2ac85e7848632cf7"
    assert spec().trunk == "trunk1-90231a9e7f874b5e3053"


def test_rules_are_plain_arithmetic():
    rule = PowerRule(at_params=1e5, value=5e-3, exponent=-0.25)
    assert rule.at(1.6e6) == pytest.approx(2.5e-3, rel=1e-6)
    assert round_tokens(1e6, batch_tokens=2048) == 488 * 2048


def record(loss=2.0, status="finished", **changes):
    run = spec(**changes)
    return RunRecord(
        fingerprint=run.fingerprint, trunk=run.trunk, spec=run, counts=count(run.model), status=status,
        loss=Loss(nats=loss, stderr=0.01, tokens=100, documents=4), wall_seconds=1.0,
    )  # fmt: skip


def test_the_archive_gives_back_what_it_took(tmp_path):
    archive = Archive(tmp_path)
    written = record()
    archive.write(written, curve={"step": [1, 2], "train_nats": [3.0, 2.0]}, documents={"nats": [2.0]})
    assert archive.read(written.fingerprint) == written
    assert archive.has(written.fingerprint)
    assert archive.read_columns("curves", written.fingerprint)["train_nats"].tolist() == [3.0, 2.0]
    assert Archive(tmp_path).query("SELECT loss_nats FROM runs").to_pylist() == [{"loss_nats": 2.0}]


def test_a_failed_run_is_tried_again(tmp_path):
    archive = Archive(tmp_path)
    failed = record(status="failed")
    archive.write(failed, curve={}, documents={})
    assert not archive.has(failed.fingerprint)


def test_a_newer_archive_is_refused_and_a_damaged_record_named(tmp_path):
    archive = Archive(tmp_path)
    written = record()
    archive.write(written, curve={}, documents={})
    path = tmp_path / "runs" / f"{written.fingerprint}.json"
    content = json.loads(path.read_text())
    del content["seal"]
    path.write_text(json.dumps(content | {"schema": 99}))
    with pytest.raises(NewerArchive, match="schema 99"):
        archive.read(written.fingerprint)
    path.write_text('{"schema": 1, "finger')
    with pytest.raises(DamagedArchive) as error:
        archive.read(written.fingerprint)
    assert str(path) in str(error.value)
    (tmp_path / "archive.json").write_text('{"schema": 2}')
    with pytest.raises(NewerArchive):
        Archive(tmp_path)


DOCUMENTS = np.arange(40)
SCATTER = np.random.default_rng(0).normal(0, 0.1, 40)  # what documents differ by, in every run alike


def write_run(archive, *, width, tokens, nats, corpus="text1-x", seed=0, peak_lr=1e-2, batch_tokens=32):
    run = spec(tokens).model_copy(
        update={"corpus": corpus, "seed": seed, "batch_tokens": batch_tokens, "optimiser": Optimiser(peak_lr=peak_lr),
                "model": TINY.model_copy(update={"width": width})}
    )  # fmt: skip
    noise = np.random.default_rng([width, tokens]).normal(0, 1e-3, 40)
    documents = {"document": DOCUMENTS, "tokens": np.full(40, 100), "nats": nats + SCATTER + noise}
    loss = Loss(nats=float(documents["nats"].mean()), stderr=0.01, tokens=4000, documents=40)
    written = RunRecord(
        fingerprint=run.fingerprint, trunk=run.trunk, spec=run, counts=count(run.model), status="finished", loss=loss,
        wall_seconds=1.0,
    )  # fmt: skip
    archive.write(written, curve={}, documents=documents)
    return written


def plateau(archive, **more):
    """A grid of three sizes and three token counts that stops falling at the middle; return the middle's run."""
    at = {}
    for i, width in enumerate((8, 16, 24)):
        for j, tokens in enumerate((320, 640, 960)):
            at[i, j] = write_run(archive, width=width, tokens=tokens, nats=2.0 + max(0, 2 - i - j), **more)
    return at[1, 1]


def test_an_archive_judges_runs_by_their_neighbours(tmp_path):
    archive = Archive(tmp_path)
    middle = plateau(archive)
    table = read_runs(tmp_path)
    assert [run for run, flags in zip(table.run, table.flags, strict=True) if flags] == [middle.fingerprint]
    (listed,) = archive.query("SELECT run, flags FROM runs WHERE len(flags) > 0").to_pylist()
    assert listed == {"run": middle.fingerprint, "flags": ["saturated"]}


def test_neighbours_are_of_one_corpus_seed_and_recipe_whose_floor_is_not_known(tmp_path):
    archive = Archive(tmp_path)
    for number, width in enumerate((8, 16, 24)):
        # One line of the grid each: nowhere a larger and a longer neighbour of the same recipe.
        write_run(archive, width=16, tokens=320 * (number + 1), nats=2.0)
        write_run(archive, width=width, tokens=320, nats=2.0, corpus="text1-y")
        write_run(archive, width=width, tokens=640, nats=2.0, seed=1 + number)
    assert not any(read_runs(tmp_path).flags)
    known = tmp_path / "corpora" / "pcfg1-z" / "corpus.json"
    known.parent.mkdir(parents=True)
    known.write_text('{"schema": 1, "name": "z", "floor": {"value": 1.0}}')
    plateau(archive, corpus="pcfg1-z")
    assert not any(read_runs(tmp_path).flags), "a corpus with a floor is judged by it"


def test_what_lies_beyond_a_missing_planned_run_is_no_neighbour(tmp_path):
    archive = Archive(tmp_path)
    middle = plateau(archive)
    records = list(archive.records())
    between = middle.spec.model_copy(update={"train_tokens": 800})
    judge = {"losses_of": archive.document_losses, "floored": ()}
    assert sum(bool(r.flags) for r in with_neighbour_flags(records, **judge)) == 1
    assert not any(r.flags for r in with_neighbour_flags(records, planned=[between], **judge))


def test_a_sweep_of_rates_is_judged_by_the_best(tmp_path):
    archive = Archive(tmp_path)
    plateau(archive)
    write_run(archive, width=24, tokens=640, nats=1.5, peak_lr=2e-2)
    assert not any(read_runs(tmp_path).flags), "at a better rate the larger model gains"


def test_neighbours_are_found_where_rules_move_batch_and_horizon_a_little(tmp_path):
    archive = Archive(tmp_path)
    for width, batch in ((8, 32), (16, 64), (24, 96)):  # token counts that differ by what batches round
        for tokens in (3200, 6400, 12_800):
            run = tokens // batch * batch
            write_run(archive, width=width, tokens=run, batch_tokens=batch, nats=2.0, peak_lr=1e-2 * 8 / width)
    # Nowhere does size or data help: all but the largest and the longest are saturated, save where chance helps.
    assert sum(bool(flags) for flags in read_runs(tmp_path).flags) >= 3


def test_queries_reach_nothing_but_the_runs(tmp_path):
    archive = Archive(tmp_path)
    archive.write(record(), curve={}, documents={})
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(BadTable):
        archive.query(f"SELECT * FROM read_csv('{secret}')")
    with pytest.raises(BadTable):
        archive.query(f"COPY runs TO '{tmp_path / 'out.csv'}'")
    with pytest.raises(BadTable):
        archive.query("SET enable_external_access = true")
    with pytest.raises(BadTable, match="two columns are called 'a'"):
        archive.query("SELECT 1 AS a, 2 AS a")


ROWS = {"n": [1e6, 2e6, 4e6], "d": [1e7, 2e7, 4e7], "val": [3.0, 2.8, 2.6], "set": ["a", "a", "b"]}
NAMED = {"params": "n", "tokens": "d", "loss": "val", "corpus": "set"}


def test_tables_come_from_anywhere(tmp_path):
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "runs.csv", index=False)
    frame.to_parquet(tmp_path / "runs.parquet")
    frame.to_json(tmp_path / "runs.jsonl", orient="records", lines=True)
    sources = [tmp_path / "runs.csv", tmp_path / "runs.parquet", tmp_path / "runs.jsonl", frame, pl.DataFrame(ROWS)]
    tables = [read_runs(source, **NAMED) for source in sources]
    assert len({table.fingerprint for table in tables}) == 1
    assert tables[0].flops.tolist() == [6e13, 2.4e14, 9.6e14]
    assert tables[0].where(corpus="b").rows.tolist() == [3]


def test_a_condition_keeps_the_row_numbers_of_the_source():
    table = read_runs(pd.DataFrame(ROWS), where="n > 1e6 and \"set\" <> 'b'", **NAMED)
    assert table.rows.tolist() == [2]


def read_by_import(path, where):
    return table_runs(path, Mapped(params="n", tokens="d", loss="val", where=where))


def read_by_tune(path, where):
    return read_sweep(path, params="n", tokens="d", rate="n", loss="val", batch_tokens=None, where=where)


def read_as_runs(path, where):
    return read_runs(path, where=where, **NAMED)


@pytest.mark.parametrize("read", [read_as_runs, read_by_import, read_by_tune])
@pytest.mark.parametrize(
    ("where", "said"),
    [("true UNION ALL BY NAME SELECT 1 AS more", "more than a condition"), ("n > 1e99", "no row satisfies")],
)
def test_every_door_takes_a_condition_and_nothing_more(tmp_path, read, where, said):
    pd.DataFrame(ROWS).to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(BadTable, match=said):
        read(tmp_path / "runs.csv", where)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("n", float("nan"), "row 2.*nan"), ("d", -5.0, "row 2.*-5.*above zero"), ("val", 0.0, "row 2.*0"),
     ("d", float("inf"), "row 2.*inf"), ("val", None, "row 2.*empty")],
)  # fmt: skip
def test_bad_numbers_name_their_column_and_row(tmp_path, column, value, said):
    rows = {key: list(values) for key, values in ROWS.items()}
    rows[column][1] = value
    lines = [json.dumps({key: values[i] for key, values in rows.items()}) for i in range(3)]
    (tmp_path / "runs.jsonl").write_text("\n".join(lines))
    with pytest.raises(BadTable, match=said) as error:
        read_runs(tmp_path / "runs.jsonl", **NAMED)
    assert column in error.value.place or {"n": "params", "d": "tokens", "val": "loss"}[column] in error.value.place


def test_text_in_numbers_and_missing_columns(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("n,d,val\n1e6,1e7,3\n1e6,lots,3\n")
    with pytest.raises(BadTable, match="column d, row 2.*'lots'"):
        read_runs(path, params="n", tokens="d", loss="val")
    path.write_text("n,d,val\n1e6,1e7,3\n1e6,2e7,3\n")
    with pytest.raises(BadTable, match="did you mean 'val'"):
        read_runs(path, params="n", tokens="d", loss="vall")
    with pytest.raises(BadTable, match="no row satisfies"):
        read_runs(path, params="n", tokens="d", loss="val", where="n > 1e9")
    with pytest.raises(BadTable, match="columns of runs"):
        read_runs(path, params="n", tokens="d", loss="val", where="nn > 1e9")
    with pytest.raises(InputError, match="no such file"):
        read_runs(tmp_path / "none.csv")


SUFFIXED = "params,tokens,loss,corpus\n" + "".join(
    f"{n},{d},{loss},{corpus}\n"
    for n, d, loss, corpus in (("20M", "1B", 4.0, "a"), ("160M", "2B", 3.5, "70M"), ("1.28B", "0.1B", 3.0, "b"))
)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("params > 30e6", [1.6e8, 1.28e9]),
        ("30e6 < params AND corpus <> 'b'", [1.6e8]),
        ("params BETWEEN 30e6 AND 1e9", [1.6e8]),
        ("tokens > params", [2e7, 1.6e8]),  # as text 20M lies above 1B
        ("params = '160M'", [1.6e8]),
        ("params IN ('20M', '1.28B') AND tokens < 5e8", [1.28e9]),
        ("corpus >= 'b'", [1.28e9]),  # a column of words is compared as words
        ("ln(params) < 18", [2e7]),
        ("loss < 3.7", [1.6e8, 1.28e9]),
    ],
)
def test_conditions_read_numbers_with_suffixes_as_formulas_do(tmp_path, where, kept):
    (tmp_path / "runs.csv").write_text(SUFFIXED)
    found = read_runs(tmp_path / "runs.csv", loss="loss", corpus="corpus", where=where)
    assert found.params.tolist() == kept
    assert open_table(tmp_path / "runs.csv", where=where)["params"].type == "string", "cells stay as they were"


@pytest.mark.parametrize(
    "where",
    ["params >= '40M'", "'40M' < \"params\"", "params BETWEEN '40M' AND '1B'", "params NOT BETWEEN '40M' AND '1B'",
     "log(loss) < 1", "corpus = 'a' OR log(params) < 8"],
)  # fmt: skip
def test_conditions_that_would_mean_something_else_are_refused(tmp_path, where):
    (tmp_path / "runs.csv").write_text(SUFFIXED)
    with pytest.raises(BadTable) as refused:
        read_runs(tmp_path / "runs.csv", loss="loss", where=where)
    assert where in refused.value.place
    assert ("4e+07" if "40M" in where else "ln(") in refused.value.fix


def test_flags_travel_with_their_rows():
    from isoloss.runs.observations import observations

    table = observations(
        params=[1, 2], tokens=[1, 2], loss_nats=[1, 1], flags=[(), ("unconverged",)], complexity={"gzip": [0.1, 0.2]}
    )
    assert table.where(flagged=True).measure("gzip").tolist() == [0.2]
    assert len(table.where(flagged=False)) == 1
    with pytest.raises(InputError, match="did you mean 'gzip'"):
        table.measure("gzp")
    assert np.array_equal(table.to_arrow()["params"].to_numpy(), [1, 2])
