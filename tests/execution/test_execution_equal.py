"""One study, really trained: the table is the same whichever executor trained it, and each goes on with another's."""

import pytest

from isoloss.study.lab import Lab
from isoloss.study.spec import Study
from sampling import long

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # torch and Ray warn of their own parts

TOML = """
schema = 1
name = "equal"
seed = 3

[[corpus]]
name = "language"
source = "pcfg"
tokens = 60_000
heldout_tokens = 4_096
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
sequence_tokens = 64

[grid]
params = [6e3, 9e3]
tokens = [8e3, 1.6e4, 3.2e4]
context = 64

[training]
batch_tokens = 512
warmup_tokens = 2048
peak_lr = { at_params = 1e4, value = 1e-2 }
"""
SQL = "SELECT run, trunk, corpus, status, flags, params, tokens, flops, loss_nats, stderr FROM runs ORDER BY run"


def trained(folder, **where):
    """Train the study into the folder and return its table."""
    study = Study.parse(TOML, place="equal.toml")
    lab = Lab(folder, **where)
    lab.run(study, until="train")
    return lab.query(SQL).to_pylist()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("local"), executor="local", workers=2)


def test_shards_make_one_table_of_local_runs(local, tmp_path):
    first = trained(tmp_path, executor="local", shard="1/2")
    assert 0 < len(first) < len(local)
    assert trained(tmp_path, executor="local", shard="2/2") == local


@pytest.mark.ray
def test_a_cluster_of_ones_own_takes_over_a_shard_and_makes_the_same_table(local, tmp_path):
    pytest.importorskip("ray")
    trained(tmp_path, executor="local", shard="1/2")
    assert trained(tmp_path, executor="ray", workers=1) == local


@long
def test_processes_that_share_a_model_make_the_same_table_to_rounding(local, tmp_path):
    trained(tmp_path, executor="local", shard="1/2")
    together = trained(tmp_path, executor="torchrun", workers=2)
    assert len(together) == len(local) == 6
    for one, other in zip(together, local, strict=True):
        # 60 steps in another order of sums; 1e-6 seen.
        assert one.pop("loss_nats") == pytest.approx(other["loss_nats"], abs=1e-4)
        assert one.pop("stderr") == pytest.approx(other["stderr"], abs=1e-4)
        assert one.items() <= other.items()
