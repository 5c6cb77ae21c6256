"""Verbs at work: published pins, the gzip number, the kill, the full disk."""

import contextlib
import gzip
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from isoloss.core.machine import multiplies_bfloat16
from isoloss.corpus import generate, text
from sampling import long, part
from waiting import HANGS_AFTER, wait_until

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CHINCHILLA = DATA / "chinchilla2022" / "chinchilla_runs_245.csv"
COLUMNS = ["--params", "params", "--tokens", "tokens", "--loss", "loss"]


@pytest.mark.skipif(not CHINCHILLA.exists(), reason="the published points are not at hand")
def test_fit_reproduces_the_published_optimum(isoloss, tmp_path):
    output = isoloss("fit", CHINCHILLA, "--where", "not epoch_outlier", *COLUMNS, "--starts", "hoffmann", "--json",
                   "--out", tmp_path / "law.json")  # fmt: skip
    assert output.code == 0
    (fit,) = output.json["fits"]
    # Besiroglu et al. 2024; the pins are printed to five or six digits.
    expected = {"E": 1.81722, "A": 477.83, "B": 2143.42, "alpha": 0.347311, "beta": 0.367172}
    assert {name: p["value"] for name, p in fit["params"].items()} == pytest.approx(expected, rel=1e-4)
    assert fit["objective_value"] == pytest.approx(0.001018274018, rel=1e-6)
    assert fit["converged"]
    assert fit["rows_used"] == 240
    assert fit["starts_agreeing"] > 1000
    assert json.loads((tmp_path / "law.json").read_text())["kind"] == "isoloss law"
    assert "estimate" in isoloss("fit", CHINCHILLA, "--where", "not epoch_outlier", *COLUMNS).out


def test_a_fit_that_cannot_write_its_law_says_so(isoloss, tmp_path):
    rows = [f"{n},{d},{1 + (1e4 / n) ** 0.4 + (1e5 / d) ** 0.4}" for n in (1e5, 1e6, 1e7) for d in (1e7, 1e8, 1e9)]
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n" + "\n".join(rows) + "\n")
    (tmp_path / "file").write_text("")
    output = isoloss("fit", "runs.csv", *COLUMNS, "--out", "file/law.json", "--json")
    assert output.code == 1
    assert output.json["error"]["kind"] == "StorageError"


def test_measure_gives_the_number_of_three_lines_of_gzip(isoloss, tmp_path):
    (tmp_path / "texts").mkdir()
    text = (" ".join(str(i * i % 9973) for i in range(20_000))).encode()
    for number in range(4):
        (tmp_path / "texts" / f"{number}.txt").write_bytes(text[number * 20_000 : (number + 1) * 20_000])
    output = isoloss("measure", "texts", "--sequence-tokens", 256, "--samples", 1000, "--json").json["corpora"][0]
    ratios = []
    for path in (tmp_path / "texts").iterdir():
        content = path.read_bytes()
        for start in range(0, len(content) - 255, 256):
            buffer = io.BytesIO()
            with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
                file.write(b"".join(token.to_bytes(4, "big", signed=True) for token in content[start : start + 256]))
            ratios.append(len(buffer.getvalue()) / 1024)
    measured = output["measures"]["gzip"]
    assert measured["sequences"] == len(ratios)
    assert measured["median"] == measured["value"] == statistics.median(ratios)
    assert measured["mean"] == pytest.approx(statistics.mean(ratios), rel=1e-12)
    assert measured["low"] <= measured["value"] <= measured["high"]


def test_a_grammar_is_described_and_sampled(isoloss, tmp_path):
    (tmp_path / "coin.pcfg").write_text("S -> 'a' S [0.7] | 'b' [0.3]\n")
    output = isoloss("grammar", "describe", "--family", "explicit", "--file", "coin.pcfg", "--floor", "--json").json
    assert output["tokens_per_sentence"] == pytest.approx(1 / 0.3)
    assert output["floor_nats_per_token"]["low"] < output["floor_nats_per_token"]["value"]
    sampled = isoloss("grammar", "sample", "--family", "explicit", "--file", "coin.pcfg", "--tokens", 20_000, "--out",
                      "corpora", "--json").json  # fmt: skip
    assert Path(tmp_path / sampled["path"], "train.npy").exists()
    assert sampled["tokens"] >= 20_000


STUDY = """
schema = 1
name = "small"
seed = 1

[[corpus]]
name = "language"
source = "pcfg"
tokens = 40_000
heldout_tokens = 4_096
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
sequence_tokens = 64

[grid]
params = [4e3, 6e3]
tokens = [8e3, 1.6e4]
context = 64

[training]
batch_tokens = 512
peak_lr = { at_params = 1e4, value = 1e-2 }
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=long)])
def test_a_stopped_study_says_so_and_the_same_command_goes_on(isoloss, tmp_path, number):
    (tmp_path / "small.toml").write_text(STUDY.replace("[8e3, 1.6e4]", "[8e3, 4e5]").replace("40_000", "500_000"))
    command = [sys.executable, "-m", "isoloss", "run", "small.toml", "--out", "out", "--until", "train", "--json"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: running.poll() is not None or list(tmp_path.glob("out/runs/*.json")), "a first record")
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/runs/*.json")}
    running.send_signal(number)
    out, _ = running.communicate(timeout=HANGS_AFTER)
    assert running.returncode == 130
    assert json.loads(out)["error"]["kind"] == "Interrupted"
    output = isoloss("run", "small.toml", "--out", "out", "--until", "train", "--json")
    assert output.code == 0
    assert output.json["runs"]["finished"] == 4
    assert {path: path.stat().st_mtime_ns for path in first} == first


def workers_of(folder):
    """Command lines of the worker processes that train into `folder`."""
    found = subprocess.run(["pgrep", "-af", f"worker_main {folder}"], capture_output=True, text=True, check=False)
    return [line for line in found.stdout.splitlines() if "pgrep" not in line]


def last_saved(folder):
    """When a state was last saved below a results folder; 0 where none is there."""
    stamps = [0]
    for path in folder.glob("checkpoints/**/*"):
        with contextlib.suppress(FileNotFoundError):
            stamps.append(path.stat().st_mtime_ns)
    return max(stamps)


def _ended_or_saved(running, folder, before):
    return running.poll() is not None or last_saved(folder) != before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pgrep") is None, reason="needs pgrep to look for orphans")
def test_many_kills_leave_no_orphan_repeat_no_record_and_change_no_bit(isoloss, tmp_path):
    grown = STUDY.replace("[8e3, 1.6e4]", "[8e3, 6e4, 3e5]").replace("40_000", "400_000")
    grown += "checkpoint_seconds = 0.5\n"
    (tmp_path / "small.toml").write_text(grown)
    assert isoloss("run", "small.toml", "--out", tmp_path / "calm", "--until", "train").code == 0
    command = [
        sys.executable,
        "-m",
        "isoloss",
        "run",
        "small.toml",
        "--out",
        str(tmp_path / "out"),
        "--until",
        "train",
    ]
    chance, written = random.Random(7), {}
    for life in range(part(4, of=20)):
        before = last_saved(tmp_path / "out")
        running = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
        # Half of the lives end at any moment, half after they saved a state: on a busy machine none might get so far.
        trains = chance.random() < 0.5
        if trains:
            wait_until(partial(_ended_or_saved, running, tmp_path / "out", before), "a saved state")
        try:
            # Soon after a saved state: on an idle machine all would be trained seconds later.
            running.wait(chance.uniform(0.0, 0.4) if trains else chance.uniform(0.3, 5.0))
        except subprocess.TimeoutExpired:
            # The main process alone, or its whole group with the workers.
            os.kill(running.pid, signal.SIGKILL) if life % 2 else os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        # A worker that is still importing torch notices only then that it is alone.
        wait_until(lambda: not workers_of(tmp_path / "out"), f"the end of the orphans of life {life}")
        for path in tmp_path.glob("out/runs/*.json"):
            stamp = path.stat().st_ino, path.stat().st_mtime_ns
            assert written.setdefault(path, stamp) == stamp, "a finished record was written again"
    assert isoloss("run", "small.toml", "--out", tmp_path / "out", "--until", "train").code == 0

    def losses(folder):
        records = [json.loads(path.read_text()) for path in sorted((tmp_path / folder / "runs").glob("*.json"))]
        return {record["fingerprint"]: (record["status"], record["loss"]) for record in records}

    assert len(losses("calm")) == 6
    assert losses("out") == losses("calm")
    log = (tmp_path / "out" / "isoloss.log").read_text()
    assert "continues from step" in log, "no checkpoint was ever used"


def test_check_lists_every_run_and_writes_nothing(isoloss, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY)
    output = isoloss("check", "small.toml", "--json")
    assert output.code == 0
    assert len(output.json["runs"]) == 4
    assert {"fingerprint", "corpus", "counts", "tokens", "flops"} <= set(output.json["runs"][0])
    assert output.json["seconds_estimate"] > 0
    assert output.json["analysis_seconds_estimate"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_bfloat16_on_a_processor_without_it_is_said_to_cost_more(isoloss, tmp_path, monkeypatch):
    (tmp_path / "wide.toml").write_text(STUDY)
    (tmp_path / "half.toml").write_text(STUDY + 'dtype = "bfloat16"\n')
    calls = [("check", f"{name}.toml", "--json") for name in ("wide", "half")]
    monkeypatch.setattr("isoloss.study.run_plan.multiplies_bfloat16", lambda: True)
    design, as_well = (isoloss(*call).json["warnings"] for call in calls)
    assert design == as_well
    monkeypatch.setattr("isoloss.study.run_plan.multiplies_bfloat16", lambda: False)
    wide, half = (isoloss(*call).json for call in calls)
    assert wide["warnings"] == design
    (warning,) = (said for said in half["warnings"] if said not in design)
    assert half["seconds_estimate"] > 1.5 * wide["seconds_estimate"]
    assert warning in " ".join(isoloss("check", "half.toml").out.split())


def test_numba_informed_of_another_processor_is_believed(monkeypatch):
    from numba.core import config

    monkeypatch.setattr(config, "CPU_FEATURES", "")
    assert not multiplies_bfloat16()
    monkeypatch.setattr(config, "CPU_FEATURES", "+avx2,+avx512bf16")
    assert multiplies_bfloat16()


def test_check_builds_nothing_that_a_grammar_says_or_that_stands_and_leaves_nothing(isoloss, tmp_path, monkeypatch):
    prose = '[[corpus]]\nname = "prose"\nsource = "files"\npaths = "*.txt"\n\n[complexity]'
    (tmp_path / "small.toml").write_text(STUDY.replace("[complexity]", prose).replace("[4e3, 6e3]", "[6e3, 9e3]"))
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"the {number}th text says little " * 200)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    built_anew = isoloss("check", "small.toml", "--out", "out", "--json")
    assert isoloss("run", "small.toml", "--out", "out", "--until", "corpora").code == 0
    stood = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}

    def build_again(*arguments, **more):
        raise AssertionError("the corpus stands in the results folder")

    monkeypatch.setattr(generate, "sample_blocks", build_again)
    monkeypatch.setattr(text, "_write", build_again)
    assert isoloss("check", "small.toml", "--out", "out", "--json").json == built_anew.json
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == stood
    assert not list((tmp_path / "temporary").iterdir())
    with pytest.raises(AssertionError, match="stands in the results"):
        isoloss("check", "small.toml", "--out", "elsewhere")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_sees_progress_and_a_pipe_does_not(tmp_path):
    import pty

    rows = [f"{n},{d},{1 + (1e4 / n) ** 0.4 + (1e5 / d) ** 0.4}" for n in (1e5, 1e6, 1e7) for d in (1e7, 1e8, 1e9)]
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n" + "\n".join(rows) + "\n")
    command = [sys.executable, "-m", "isoloss", "fit", "runs.csv", *COLUMNS]
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not any(sign in piped.stderr for sign in ("\x1b", "\r", "━"))  # no bar; a slow machine gives a sign of life
    main_end, terminal = pty.openpty()
    shown = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=terminal, text=True, check=True)
    os.close(terminal)
    seen = os.read(main_end, 65536).decode()
    os.close(main_end)
    assert "fits" in seen
    assert [line for line in shown.stdout.splitlines() if "seconds" not in line] == [
        line for line in piped.stdout.splitlines() if "seconds" not in line
    ]


def limited(bytes_a_file):
    """Return what makes a child, and its workers, fail at writing more than that into one file."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["corpora", "train"])
def test_a_write_that_fails_ends_in_exit_1_and_the_same_command_goes_on(isoloss, tmp_path, stage):
    """A limit on the size of files needs no rights, and fails a real write in main process and workers alike."""
    (tmp_path / "small.toml").write_text(STUDY)
    if stage == "train":
        assert isoloss("run", "small.toml", "--out", "out", "--until", "complexity").code == 0
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file() and path.suffix != ".log"}
    command = [sys.executable, "-m", "isoloss", "run", "small.toml", "--out", "out", "--until", "train", "--json"]
    output = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited(1024),
        timeout=HANGS_AFTER,
    )
    assert output.returncode == 1, output.stderr
    assert "Traceback" not in output.stderr
    error = json.loads(output.stdout)["error"]
    assert error["kind"] == "StorageError"
    assert "a write was cut short" in error["message"]
    assert {path: path.read_bytes() for path in kept} == kept
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert not list((tmp_path / "out").glob("runs/*.json"))
    again = isoloss("run", "small.toml", "--out", "out", "--until", "train", "--json")
    assert again.code == 0, again.err
    assert again.json["runs"]["finished"] == 4


@pytest.mark.slow
def test_a_full_disk_ends_in_exit_1_and_the_same_command_goes_on(isoloss, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(out)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    try:
        (tmp_path / "small.toml").write_text(STUDY)
        assert isoloss("run", "small.toml", "--out", "out", "--until", "complexity").code == 0
        kept = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file() and path.suffix != ".log"}
        (out / "ballast").write_bytes(bytes(shutil.disk_usage(out).free - 8192))
        full = isoloss("run", "small.toml", "--out", "out", "--until", "train", "--json")
        assert full.code == 1
        assert full.json["error"]["kind"] == "StorageError"
        assert "no space" in full.json["error"]["message"]
        assert {path: path.read_bytes() for path in kept} == kept
        (out / "ballast").unlink()
        output = isoloss("run", "small.toml", "--out", "out", "--until", "train", "--json")
        assert output.code == 0, output.err
        assert output.json["runs"]["finished"] == 4
    finally:
        subprocess.run(["umount", str(out)], check=True)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_ends_in_exit_1(tmp_path):
    (tmp_path / "small.toml").write_text(STUDY)
    tmp_path.chmod(0o555)
    mortal = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    command = [*mortal, sys.executable, "-m", "isoloss", "run", "small.toml", "--out", "out", "--json"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=HANGS_AFTER)
    tmp_path.chmod(0o755)
    assert output.returncode == 1, output.stderr
    assert json.loads(output.stdout)["error"]["kind"] == "StorageError"
    assert "no permission" in json.loads(output.stdout)["error"]["message"]


def test_measure_draws_corpora_side_by_side_with_their_placebo(isoloss, tmp_path):
    texts = {"words": " ".join(str(i * i % 9973) for i in range(40_000)), "letters": "".join(map(chr, range(97, 123)))}
    (tmp_path / "words.txt").write_text(texts["words"])
    (tmp_path / "letters.txt").write_text(texts["letters"] * 2000)
    call = ("measure", "words.txt", "letters.txt", "--measure", "gzip,ngram", "--placebo", "--samples", 50)
    output = isoloss(*call, "--figure", "side.svg")
    assert output.code == 0
    drawing = (tmp_path / "side.svg").read_text()
    assert all(
        word in drawing for word in ("words.txt", "letters.txt", "gzip", "ngram", "nats per token", "relabelled")
    )
    assert output.out.count("●") == 4
    measures = isoloss(*call, "--json").json["corpora"][0]["measures"]
    assert set(measures) == {"gzip", "gzip-placebo", "ngram", "ngram-placebo"}
    assert measures["gzip"]["bits_per_byte"]["value"] == pytest.approx(32 * measures["gzip"]["value"])
    refused = isoloss(*call, "--figure", "side.pdf")
    assert (refused.code, "side.svg" in refused.err) == (2, True)
