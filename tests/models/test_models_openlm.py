"""OpenLM against the same computation written with torch.nn, and what both computations of a model have in common."""

import pytest
import torch
from test_models_llama import ANYWHERE, ONE_CORE, lively, tokens_for
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from isoloss.models import build, plain
from isoloss.runs.shapes import forward_flops
from isoloss.runs.spec import ModelSpec, Numerics

SPEC = ModelSpec(family="openlm", width=48, depth=3, heads=3, ffn=256, vocab_size=97, context=40, qk_norm=True)


def written_out(model, tokens):
    """Logits by torch.nn's own layers, block after block, as OpenLM's model has them."""
    w, spec = model.weights(), model.spec
    dims = spec.width // spec.heads

    def layer_norm(x, gain, bias):
        layer = nn.LayerNorm(spec.width)
        layer.load_state_dict({"weight": gain.detach(), "bias": bias.detach()})
        return layer(x)

    def turned(x):
        angles = torch.outer(torch.arange(spec.context), 10_000.0 ** -(torch.arange(0, dims, 2) / dims))
        one, other = x.chunk(2, dim=-1)
        return torch.cat([one * angles.cos() - other * angles.sin(), other * angles.cos() + one * angles.sin()], dim=-1)

    x = w.embedding[tokens]
    for b in w.blocks:
        q, k, v = (layer_norm(x, b.attention_norm, b.attention_norm_bias) @ b.qkv.T).chunk(3, dim=-1)
        q, k = layer_norm(q, b.q_norm, b.q_norm_bias), layer_norm(k, b.k_norm, b.k_norm_bias)
        q, k, v = (t.unflatten(-1, (spec.heads, dims)).transpose(1, 2) for t in (q, k, v))
        scores = turned(q) @ turned(k).mT / dims**0.5
        hidden = torch.triu(torch.ones(spec.context, spec.context, dtype=torch.bool), diagonal=1)
        attended = scores.masked_fill(hidden, -torch.inf).softmax(dim=-1) @ v
        x = x + attended.transpose(1, 2).flatten(2) @ b.attention_out.T
        gate, up = (layer_norm(x, b.ffn_norm, b.ffn_norm_bias) @ b.gate_up.T).chunk(2, dim=-1)
        x = x + (F.silu(gate) * up) @ b.down.T
    return layer_norm(x, w.norm, w.norm_bias) @ w.head.T


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_those_of_the_architecture_written_out(tied):
    model = lively(SPEC.model_copy(update={"tied": tied}), ONE_CORE)
    tokens = tokens_for(SPEC, 2)
    with torch.no_grad():
        # Logits of order ten: a hundred float32 roundings.
        torch.testing.assert_close(model.logits(tokens), written_out(model, tokens), atol=1e-4, rtol=1e-5)


def test_it_starts_as_openlm_starts():
    spec = ModelSpec(family="openlm", width=128, depth=4, heads=4, ffn=512, vocab_size=300, context=16, qk_norm=True)
    model = build(spec, ANYWHERE, seed=0)
    # A normal cut at three standard deviations keeps .986 of its width; 16,384 and more draws know it to 1 %.
    for weight, std in (
        (model.embedding, 128**-0.5), (model.head, 128**-0.5), (model.blocks[2].qkv, 128**-0.5),
        (model.blocks[2].attention_out, (128 * 6) ** -0.5), (model.blocks[2].down, (512 * 6) ** -0.5),
    ):  # fmt: skip
        assert weight.std().item() == pytest.approx(0.986 * std, rel=0.02)
        assert weight.abs().max().item() <= 3 * std
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            assert torch.all(weight == (0 if name.endswith("bias") else 1))


def gradients(model, tokens, z_loss=0.0):
    model.zero_grad()
    summed = model(tokens, z_loss)
    summed.objective.backward()
    return summed.objective.detach(), summed.nats, [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("family", ["openlm", "llama"])
def test_the_objective_is_the_loss_and_the_square_of_ln_z(family):
    spec = SPEC if family == "openlm" else ModelSpec(**(SPEC.model_dump() | {"family": "llama", "qk_norm": False}))
    model, tokens = lively(spec, ANYWHERE).double(), tokens_for(spec, 2)
    objective, nats, found = gradients(model, tokens, 0.01)
    model.zero_grad()
    logits = model.logits(tokens)[:, :-1]
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum")
    expected = loss + 0.01 * logits.logsumexp(dim=-1).square().sum()
    expected.backward()
    torch.testing.assert_close(nats, loss.detach())
    torch.testing.assert_close(objective, expected.detach())
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_few_logits_at_a_time_change_nothing(monkeypatch):
    model, tokens = lively(SPEC, ANYWHERE).double(), tokens_for(SPEC, 3)
    whole, nats = gradients(model, tokens, 0.01), model.token_nats(tokens)
    sizes, linear = [], plain.F.linear
    monkeypatch.setattr(plain, "LOGITS_AT_ONCE", {"cpu": 7 * SPEC.vocab_size})
    monkeypatch.setattr(plain.F, "linear", lambda x, w: sizes.append(len(x) * len(w)) or linear(x, w))
    parts = gradients(model, tokens, 0.01)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(model.token_nats(tokens), nats)
    assert sizes.count(7 * SPEC.vocab_size) == 2 * (3 * SPEC.context // 7)


def test_what_is_computed_again_gives_the_same_gradients():
    tokens = tokens_for(SPEC, 2)
    kept, again = (gradients(lively(SPEC, Numerics(recompute=r, threads=2)), tokens) for r in (False, True))
    torch.testing.assert_close(kept, again, rtol=0, atol=0)


def test_recomputing_keeps_less():
    spec, tokens = SPEC.model_copy(update={"depth": 6}), tokens_for(SPEC, 4)
    saved = {}
    for recompute in (False, True):
        model, sizes = lively(spec, Numerics(recompute=recompute, threads=2)), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            model(tokens)
        saved[recompute] = sum(sizes)
    assert saved[True] < saved[False] / 3


@pytest.mark.parametrize("kv_heads", [None, 1])
def test_products_counted_by_torch_are_the_exact_flops(kv_heads):
    family = {"family": "llama", "qk_norm": False, "kv_heads": kv_heads} if kv_heads else {}
    spec = ModelSpec(**(SPEC.model_dump() | family))
    model, tokens = build(spec, ANYWHERE, seed=0), tokens_for(spec, 2)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model.logits(tokens)
    terms = forward_flops(spec)
    # torch counts no softmax, and looks embeddings up where the appendix multiplies.
    products = sum(terms) - terms.embedding - terms.attention_softmax
    assert counter.get_total_flops() == products * tokens.numel()
