"""`isoloss export` and `isoloss count`, and the weights that a run leaves."""

import pytest
import torch

from isoloss.runs.archive import Archive
from isoloss.training.job import TrunkJob
from isoloss.training.worker import run_trunk
from tiny_training import tiny_spec, write_corpus


def trained(folder, *, keep):
    archive = Archive(folder)
    write_corpus(archive)
    if keep:
        archive.keep_weights()
    return run_trunk(TrunkJob((tiny_spec(20), tiny_spec(40))), archive)


def test_a_kept_run_becomes_a_folder_for_transformers_with_the_loss_that_was_recorded(isoloss, tmp_path):
    from transformers import LlamaForCausalLM

    from isoloss.corpus.corpus import Corpus

    records = trained(tmp_path / "results", keep=True)
    heldout = Corpus.open(tmp_path / "results" / "corpora" / "corpus1-chain").heldout
    windows = torch.from_numpy(heldout.reshape(-1, 32).astype("int64"))
    for number, record in enumerate(records):
        output = isoloss("export", "results", record.fingerprint[:12], "--out", f"model{number}", "--json")
        assert output.code == 0
        assert output.json["run"] == record.fingerprint
        model = LlamaForCausalLM.from_pretrained(tmp_path / f"model{number}", dtype=torch.float32)
        with torch.no_grad():
            loss = model(input_ids=windows, labels=windows).loss.item()
        assert loss == pytest.approx(record.loss.nats, abs=1e-5)  # means of float32 sums in another order


def test_what_cannot_be_exported_is_said(isoloss, tmp_path):
    (record, _) = trained(tmp_path / "results", keep=False)
    output = isoloss("export", "results", record.fingerprint, "--out", "model")
    assert output.code == 2
    assert "were not kept" in output.err
    assert "keep_weights = true" in output.err
    assert "2 runs begin with" in isoloss("export", "results", "run1-"[:3], "--out", "model").err
    assert "no run 'zzz'" in isoloss("export", "results", "zzz", "--out", "model").err


def test_count_says_every_convention(isoloss):
    output = isoloss("count", "gzip-4M", "--json").json
    assert output["params"] == {
        "total": 4_178_368, "non_embedding": 81_920, "with_head": 2_129_984, "with_attention": 2_162_752,
    }  # fmt: skip
    assert output["flops_per_token"]["with_head"] == 6 * 2_129_984
    assert output["flops_per_token"]["exact"] == pytest.approx(3 * sum(output["forward_flops_per_token"].values()))
    assert isoloss("count", "gzip-4M", "--vocab-size", 512, "--json").json["params"]["with_head"] == 114_688
    assert "did you mean 'porian-5M'" in isoloss("count", "porian-5").err
    people = isoloss("count", "porian-5M")
    assert "5,173,248" in people.out
    assert people.code == 0
