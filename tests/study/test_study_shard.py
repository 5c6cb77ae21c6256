"""Parts of a study are disjoint, whole and about equally long, whoever asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.core.errors import InputError
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec
from isoloss.study.shard import Shard
from isoloss.training.job import trunk_jobs


def specs(lengths):
    model = ModelSpec(width=8, depth=1, heads=1, ffn=16, vocab_size=16, context=8)
    return [
        RunSpec(corpus="x", model=model, train_tokens=32 * n, batch_tokens=32, optimiser=Optimiser(peak_lr=1), seed=i)
        for i, n in enumerate(lengths)
    ]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 8))
def test_every_trunk_is_in_one_part_and_no_part_is_much_longer(lengths, count):
    jobs = trunk_jobs(specs(lengths))
    parts = [Shard(i, count).part(jobs[::-1]) for i in range(1, count + 1)]
    assert sorted(job.trunk for part in parts for job in part) == sorted(job.trunk for job in jobs)
    loads = [sum(job.flops for job in part) for part in parts]
    # The longest first, each to the least loaded: no part exceeds another by more than one job (Graham 1969).
    assert max(loads) - min(loads) <= max(job.flops for job in jobs) * (1 + 1e-9)


@pytest.mark.parametrize("text", ["3", "0/4", "5/4", "a/b", "1/0", "-1/3", ""])
def test_what_names_no_part_is_refused(text):
    with pytest.raises(InputError, match="expected I/N"):
        Shard.parse(text)
