"""Our Llama is transformers' Llama: same counts, same logits, same loss, same gradients, however it is computed."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from isoloss.models import build, empty, operations, plain
from isoloss.models.cpu.fused import FUSED, LONGEST
from isoloss.models.cpu.fused_bf16 import FUSED_BF16
from isoloss.models.exchange import from_transformers, to_transformers
from isoloss.runs.presets import published
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec, Numerics

ONE_CORE, ANYWHERE = Numerics(), Numerics(threads=2)


@st.composite
def shapes(draw, max_width=48):
    heads = draw(st.integers(1, 4))
    width = heads * 2 * draw(st.integers(1, max(1, max_width // heads // 2)))
    return ModelSpec(
        width=width, depth=draw(st.integers(1, 3)), heads=heads, ffn=draw(st.integers(1, 70)),
        vocab_size=draw(st.integers(2, 300)), context=draw(st.integers(2, 150)), tied=draw(st.booleans()),
    )  # fmt: skip


def tokens_for(spec, windows, seed=0):
    return torch.randint(spec.vocab_size, (windows, spec.context), generator=torch.Generator().manual_seed(seed))


def peer(spec):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=spec.vocab_size, hidden_size=spec.width, intermediate_size=spec.ffn,
        num_hidden_layers=spec.depth, num_attention_heads=spec.heads, max_position_embeddings=spec.context,
        tie_word_embeddings=spec.tied,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def lively(spec, numerics, seed=0):
    """A model far from its quiet start, so that every term of it matters."""
    model = build(spec, numerics, seed=seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.empty_like(weight).normal_(generator=torch.Generator().manual_seed(weight.numel()))
            weight.add_(noise * 0.3)
    return model


@pytest.mark.parametrize(("name", "spec"), (published("gzip") | published("porian")).items())
def test_presets_built_have_the_weights_that_are_counted(name, spec):
    with torch.device("meta"):
        built = empty(spec, ANYWHERE)
        theirs = [peer(spec)] if spec.family == "llama" else []
    assert [count(spec).total] * (1 + len(theirs)) == [sum(p.numel() for p in m.parameters()) for m in (built, *theirs)]


@given(shapes(), st.booleans(), st.sampled_from([None, 1]))
def test_counts_from_shapes_are_counts_of_built_models(spec, qk_norm, kv_heads):
    other = spec.model_dump() | {"family": "openlm", "qk_norm": qk_norm}
    for each in (spec, spec.model_copy(update={"kv_heads": kv_heads}), ModelSpec(**other)):
        with torch.device("meta"):
            model = empty(each, ANYWHERE)
        matrices = [p for name, p in model.named_parameters() if name.startswith("blocks") and p.ndim == 2]
        assert count(each).total == sum(p.numel() for p in model.parameters())
        assert count(each).non_embedding == sum(p.numel() for p in matrices)
        assert count(each).head == model.head.numel()


@pytest.mark.parametrize("numerics", [ONE_CORE, ANYWHERE], ids=["fused", "plain"])
@pytest.mark.parametrize("tied", [False, True])
def test_logits_and_loss_equal_transformers(numerics, tied):
    spec = ModelSpec(width=48, depth=3, heads=3, ffn=100, vocab_size=97, context=160, tied=tied)
    torch.manual_seed(1)
    theirs = peer(spec)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.mul_(5 if weight.ndim == 2 else 1)  # from 0.02 to where softmax and silu are not straight lines
    ours = build(spec, numerics, seed=0)
    ours.load_state_dict(from_transformers(ours, theirs.state_dict()), strict=not tied)
    tokens = tokens_for(spec, 3)
    with torch.no_grad():
        expected = theirs(input_ids=tokens, labels=tokens)
        # Float32 sums in another order: 1e-5 is a hundred roundings at logits of order one.
        torch.testing.assert_close(ours.logits(tokens), expected.logits, atol=1e-5, rtol=1e-5)
        mean = ours(tokens).nats / (tokens.numel() - len(tokens))
        torch.testing.assert_close(mean, expected.loss, atol=1e-5, rtol=1e-5)
    for name, weight in to_transformers(ours).items():
        assert torch.equal(weight, theirs.state_dict()[name])
    assert set(theirs.state_dict()) - set(to_transformers(ours)) == ({"lm_head.weight"} if tied else set())


@settings(max_examples=25)
@given(shapes(), st.integers(1, 3), st.sampled_from([0.0, 0.03]))
@example(
    ModelSpec(width=2, depth=3, heads=1, ffn=59, vocab_size=2, context=89), 3, 0.0
)  # the worst conditioned that was found
def test_fused_gives_the_loss_and_gradients_of_double_precision(spec, windows, z_loss):
    tokens = tokens_for(spec, windows)
    found = {}
    for name, numerics, dtype in (
        ("fused", ONE_CORE, torch.float32), ("exact", ANYWHERE, torch.float64),
        *((f"rounded {draw}", ANYWHERE, torch.float64) for draw in range(4)),
    ):  # fmt: skip
        model = lively(spec, numerics).to(dtype)
        if name.startswith("rounded"):
            round_weights(model, torch.Generator().manual_seed(int(name[-1])))
        objective, loss = model(tokens, z_loss)
        objective.backward()
        penalty = (objective - loss).detach()
        found[name] = loss, model.token_nats(tokens), [p.grad.double() for p in model.parameters()], penalty
    loss, nats, gradients, penalty = found["fused"]
    torch.testing.assert_close(penalty, found["exact"][3].float(), rtol=1e-4, atol=1e-4 * float(loss))
    torch.testing.assert_close(loss.double(), found["exact"][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(nats, found["exact"][1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(nats.sum().float(), loss, rtol=1e-5, atol=1e-5)

    def errors(others):
        # Sums of hundreds of float32 terms of either sign: compared at the scale of the largest.
        pairs = zip(others, found["exact"][2], strict=True)
        return max(float((g - exact).abs().max() / (exact.abs().max() + 1e-3)) for g, exact in pairs)

    # A norm of two columns that nearly vanish loses digits whoever computes it: as many as weights rounded to float32
    # lose in double precision, a few times over, for a pass rounds at every step. Elsewhere that is 1e-6.
    assert errors(gradients) < 2e-4 + 5 * max(errors(found[f"rounded {draw}"][2]) for draw in range(4))


def round_weights(model, generator):
    """Move every weight by up to one rounding of float32."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + 2.0**-23 * (2 * torch.rand(weight.shape, generator=generator, dtype=weight.dtype) - 1))


def test_which_operations_hold_follows_from_shape_and_numerics():
    spec = ModelSpec(width=8, depth=1, heads=1, ffn=8, vocab_size=11, context=LONGEST)
    assert operations(spec, Numerics()) is FUSED
    assert operations(spec, Numerics(dtype="bfloat16")) is FUSED_BF16
    for other in (Numerics(threads=2), Numerics(compile=True), Numerics(device="cuda")):
        assert operations(spec, other) is plain
    assert operations(spec, Numerics(recompute=True)) is plain
    for unusual in (
        {"context": LONGEST + 1},
        {"norm_eps": 1e-5},
        {"kv_heads": 1, "heads": 2},
        {"family": "openlm"},
    ):
        assert operations(ModelSpec(**(spec.model_dump() | unusual)), Numerics()) is plain


@pytest.mark.parametrize("numerics", [ONE_CORE, ANYWHERE], ids=["fused", "plain"])
def test_no_position_sees_what_comes_after_it(numerics):
    spec = ModelSpec(width=16, depth=2, heads=2, ffn=20, vocab_size=50, context=100)
    model, tokens = lively(spec, numerics), tokens_for(spec, 1)
    changed = tokens.clone()
    changed[0, 70:] = (changed[0, 70:] + 1) % 50
    before, after = model.token_nats(tokens)[0], model.token_nats(changed)[0]
    assert torch.equal(before[:69], after[:69])  # the last of these predicts position 69, counted from 0
    assert not torch.allclose(before[69:], after[69:])


def test_a_token_outside_the_vocabulary_is_refused():
    spec = ModelSpec(width=8, depth=1, heads=1, ffn=8, vocab_size=11, context=8)
    model, tokens = build(spec, ONE_CORE, seed=0), tokens_for(spec, 2)
    for wrong in (-1, 11):
        tokens[1, 3] = wrong
        with pytest.raises(IndexError, match="vocabulary of 11"):
            model(tokens)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_broken_weight_shows_in_the_loss(poison):
    spec = ModelSpec(width=16, depth=2, heads=2, ffn=20, vocab_size=50, context=40)
    for name in ("blocks.0.qkv", "blocks.1.down", "blocks.0.gate_up", "head", "embedding"):
        model, tokens = lively(spec, ONE_CORE), tokens_for(spec, 2)
        with torch.no_grad():
            model.get_parameter(name)[tokens[0, 0] % 16].fill_(poison)
        model(tokens).objective.backward()
        norms = [p.grad.norm() for p in model.parameters()]
        assert not torch.isfinite(torch.stack(norms)).all(), name


def test_initial_weights_follow_from_seed_and_shape_alone():
    spec = ModelSpec(width=64, depth=2, heads=2, ffn=96, vocab_size=300, context=64)
    first, again, other = (build(spec, n, seed=s) for n, s in ((ONE_CORE, 1), (ANYWHERE, 1), (ONE_CORE, 2)))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head, other.head)
    assert torch.all(first.norm == 1)
    # √(2/320) and half of it; 12,288 and 4,096 draws know it to .6 and 1.1 %.
    assert first.blocks[0].qkv.std().item() == pytest.approx(0.0791, rel=0.03)
    assert first.blocks[0].attention_out.std().item() == pytest.approx(0.0791 / 2, rel=0.05)


def test_the_first_loss_is_near_uniform():
    spec = ModelSpec(width=32, depth=2, heads=1, ffn=84, vocab_size=256, context=128)
    model, tokens = build(spec, ONE_CORE, seed=0), tokens_for(spec, 4)
    uniform = F.cross_entropy(torch.zeros(1, 256), torch.zeros(1, dtype=torch.long))
    # Logits of unit-rms features start with a standard deviation of √(2/5): half their variance is lost in the loss.
    assert model.token_nats(tokens).mean().item() == pytest.approx(uniform.item() + 0.2, abs=0.1)
