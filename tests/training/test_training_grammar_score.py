"""A model's excess over a grammar's floor: what theory says, position by position."""

import numpy as np
import pytest
import torch

from isoloss.core.errors import InputError
from isoloss.grammar.families import ExplicitGrammar
from isoloss.models import empty
from isoloss.models.folder import write_folder
from isoloss.runs.spec import ModelSpec, Numerics
from isoloss.training.grammar_score import score_model

# A letter, then the separator, again and again: letters cost ln 2, separators nothing.
LETTERS = ExplicitGrammar(text="S -> 'a' [0.5] | 'b' [0.5]").language()


@pytest.fixture
def ignorant(tmp_path):
    """A model of three token ids that finds all of them equally likely."""
    model = empty(ModelSpec(width=16, depth=1, heads=1, ffn=16, vocab_size=3, context=32, tied=True), Numerics())
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    write_folder(model, tmp_path / "model")
    return tmp_path / "model"


def test_who_knows_nothing_pays_the_logarithm_of_the_ids_at_every_position(ignorant):
    found = score_model(ignorant, LETTERS, documents=40, context=16, seed=1)
    np.testing.assert_allclose(found.losses, np.log(3), rtol=1e-6)
    position = np.arange(2, 17)
    np.testing.assert_allclose(found.floors, np.tile(np.where(position % 2, np.log(2), 0), (40, 1)), atol=1e-12)
    output = found.to_json()
    assert [one["position"] for one in output["positions"]] == position.tolist()
    assert output["positions"][0]["excess_nats"]["value"] == pytest.approx(np.log(3), rel=1e-6)
    assert output["positions"][1]["excess_nats"]["value"] == pytest.approx(np.log(3 / 2), rel=1e-6)
    assert found.excess.value == pytest.approx(np.log(3) - 7 / 15 * np.log(2), rel=1e-6)


def test_a_model_of_fewer_ids_or_positions_is_refused(ignorant):
    three = ExplicitGrammar(text="S -> 'a' [0.5] | 'b' [0.25] | 'c' [0.25]").language()
    with pytest.raises(InputError, match="token ids"):
        score_model(ignorant, three, documents=4, context=16, seed=1)
    with pytest.raises(InputError, match="32 tokens"):
        score_model(ignorant, LETTERS, documents=4, context=64, seed=1)
    with pytest.raises(InputError, match="two"):
        score_model(ignorant, LETTERS, documents=1, context=16, seed=1)
