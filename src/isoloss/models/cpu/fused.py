"""The computation of a transformer on one CPU core: compiled from end to end, a few windows at a time.

Same functions as `plain`, same results to rounding; `fused_bf16` takes the products of rounded numbers. A few windows
pass through all blocks, forward and backward, before the next ones start: what they leave stays in the second-level
cache, and no step between two products goes through Python. Gradients are written out by hand.

Legend: as in `plain`; R rows at once.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from isoloss.models.cpu import _kernels
from isoloss.models.cpu._memory import array
from isoloss.models.parts import RMS_EPS, Geometry, Summed, Weights, next_tokens
from isoloss.runs.spec import ModelSpec

# Rows that pass through the model at once, in whole windows: at width 64 and context 256 one window leaves .8 MiB a
# block, about a second-level cache.
ROWS_AT_ONCE = 256
# Rows of logits at a time. Fewer multiply slowly (a vocabulary of 32,001: 2 rows 545 tokens/s, 32 rows 3,900, 131 rows
# 4,400), more gain nothing up to a vocabulary of 2,048.
LOGIT_ROWS = 128
# Attention's weights are kept for the backward pass, context²/2 floats a head and block: `plain` takes longer windows.
LONGEST = 512

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Arrays(NamedTuple):
    """A model's weights, or their gradients."""

    embedding_VC: Floats
    norm_C: Floats
    head_VC: Floats
    blocks: tuple[_kernels.Block, ...]


def holds(spec: ModelSpec) -> bool:
    """Return whether this computation is written for models of such a shape."""
    usual = spec.family == "llama" and spec.kv_heads is None and spec.norm_eps in (None, RMS_EPS)
    return usual and spec.context <= LONGEST


class Passes(Protocol):
    """A few windows forward, and forward and backward, by one kind of product."""

    def __init__(self, w: Arrays, cos_TK: Floats, sin_TK: Floats, heads: int) -> None: ...

    def forward(self, tokens_N: Ints, targets_N: Ints, nats_N: Doubles, log_z_N: Doubles) -> None:
        """Write loss and ln Z of every row."""

    def forward_and_backward(
        self, tokens_N: Ints, targets_N: Ints, z_loss: float, nats_N: Doubles, log_z_N: Doubles, dw: Arrays
    ) -> None:
        """The same, and add the gradient of the summed objective to `dw`."""


class Compiled:
    """How a transformer is computed by one kind of passes; `kernel` is one of theirs: where it is cached, all lie."""

    def __init__(self, name: str, passes: type[Passes], kernel: Any) -> None:
        self.name, self.passes, self.kernel = name, passes, kernel
        self.TOKENS_AT_ONCE = {"cpu": 65_536}

    def summed_nats(
        self, tokens_BT: Tensor, weights: Weights, geometry: Geometry, *, z_loss: float = 0.0, recompute: bool = False
    ) -> Summed:
        """As `plain.summed_nats`. What is kept is one window's at a time whether or not `recompute`."""
        given = (tokens_BT, geometry, z_loss, self.passes, *_flat(weights))
        return Summed(*_SummedNats.apply(*given))  # type: ignore[no-untyped-call]

    def token_nats(self, tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
        """As `plain.token_nats`."""
        nats_N, _ = _nats(tokens_BT, _arrays(_flat(weights)), None, geometry, z_loss=0.0, passes=self.passes)
        return torch.from_numpy(nats_N)


class MeanGradient:
    """The mean loss of a batch, and its gradient written straight to the `grad` of a model's weights.

    Same numbers as by autograd, without its steps: at 10,000 parameters they take as long as the passes. `vectors` are
    the memory that all of `grad` lies in, `scored` the positions of a batch. Weights and gradients have to stay where
    they are.
    """

    def __init__(
        self, weights: Weights, geometry: Geometry, passes: type[Passes], *, vectors: Sequence[Tensor], z_loss: float,
        scored: int,
    ) -> None:  # fmt: skip
        flat = _flat(weights)
        self.w, self.geometry, self.passes = _arrays(flat), geometry, passes
        self.z_loss, self.scored = z_loss, scored
        gradients = [cast(Tensor, weight.grad) for weight in flat]
        # Of an embedding that is the head, too, the two gradients are summed when each is whole.
        self.embedding = gradients[0]
        self.of_head = torch.zeros_like(self.embedding) if weights.head is weights.embedding else None
        if self.of_head is not None:
            gradients[2] = self.of_head
        self.dw = _arrays(gradients)
        self.vectors = [*vectors, *([] if self.of_head is None else [self.of_head])]

    def __call__(self, tokens_BT: Tensor) -> float:
        """Return the mean loss of a batch, (B, T)."""
        for vector in self.vectors:
            vector.zero_()
        nats_N, _ = _nats(tokens_BT, self.w, self.dw, self.geometry, z_loss=self.z_loss, passes=self.passes)
        for vector in self.vectors:
            vector.mul_(1 / self.scored)
        if self.of_head is not None:
            self.embedding.add_(self.of_head)
        return float(nats_N.sum()) / self.scored


class _SummedNats(Function):
    """The gradient is taken on the way, for what it needs is in the cache then."""

    @staticmethod
    def forward(
        ctx: Any, tokens_BT: Tensor, geometry: Geometry, z_loss: float, passes: type[Passes], *flat: Tensor
    ) -> tuple[Tensor, Tensor]:
        gradients = [torch.from_numpy(floats(*weight.shape)).zero_() for weight in flat]
        nats_N, log_z_N = _nats(tokens_BT, _arrays(flat), _arrays(gradients), geometry, z_loss=z_loss, passes=passes)
        ctx.save_for_backward(*gradients)
        nats = flat[0].new_tensor(nats_N.sum())
        ctx.mark_non_differentiable(nats)
        return flat[0].new_tensor(nats_N.sum() + z_loss * (log_z_N**2).sum()), nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dsum: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, None, *(gradient * dsum for gradient in ctx.saved_tensors)


def _flat(weights: Weights) -> list[Tensor]:
    each = len(_kernels.Block._fields)
    return [*weights[:3], *(cast(Tensor, weight) for block in weights.blocks for weight in block[:each])]


def _arrays(flat: Sequence[Tensor]) -> Arrays:
    embedding_VC, norm_C, head_VC, *rest = (weight.detach().numpy() for weight in flat)
    each = len(_kernels.Block._fields)
    blocks = tuple(_kernels.Block(*rest[first : first + each]) for first in range(0, len(rest), each))
    return Arrays(embedding_VC, norm_C, head_VC, blocks)


def _nats(
    tokens_BT: Tensor, w: Arrays, dw: Arrays | None, geometry: Geometry, *, z_loss: float, passes: type[Passes]
) -> tuple[Doubles, Doubles]:
    """Return loss and ln Z of every row, 0 where none is scored, and add the objective's gradient to `dw` if given."""
    B, T = tokens_BT.shape
    vocab = len(w.embedding_VC)
    tokens_N, targets_N = (x.long().numpy() for x in (tokens_BT.flatten(), next_tokens(tokens_BT)))
    if not 0 <= tokens_N.min() <= tokens_N.max() < vocab:
        raise IndexError(f"tokens from {tokens_N.min()} to {tokens_N.max()}, vocabulary of {vocab}")
    at_once = T * max(1, ROWS_AT_ONCE // T)
    nats_N, log_z_N = np.empty(B * T), np.empty(B * T)
    some = passes(w, geometry.cos_TK[:T].numpy(), geometry.sin_TK[:T].numpy(), geometry.heads)
    for first in range(0, B * T, at_once):
        rows = slice(first, min(first + at_once, B * T))
        if dw is None:
            some.forward(tokens_N[rows], targets_N[rows], nats_N[rows], log_z_N[rows])
        else:
            some.forward_and_backward(tokens_N[rows], targets_N[rows], z_loss, nats_N[rows], log_z_N[rows], dw)
    return nats_N, log_z_N


class Workspace(NamedTuple):
    """Memory that every pass writes and reads, so that it stays in the cache."""

    kept: tuple[_kernels.Kept, ...]
    last_NC: Floats
    head_scale_N: Floats  # of the last norm
    dx_NC: Floats
    scratch: _kernels.Scratch


class _Single:
    """Passes in float32."""

    def __init__(self, w: Arrays, cos_TK: Floats, sin_TK: Floats, heads: int) -> None:
        self.w, self.cos_TK, self.sin_TK, self.heads = w, cos_TK, sin_TK, heads

    def forward(self, tokens_N: Ints, targets_N: Ints, nats_N: Doubles, log_z_N: Doubles) -> None:
        here = self._streams(tokens_N)
        _kernels.head_forward(*self._head(here, targets_N, 0.0, nats_N, log_z_N))

    def forward_and_backward(
        self, tokens_N: Ints, targets_N: Ints, z_loss: float, nats_N: Doubles, log_z_N: Doubles, dw: Arrays
    ) -> None:
        here, turns = self._streams(tokens_N), (self.cos_TK, self.sin_TK, self.heads)
        head = self._head(here, targets_N, z_loss, nats_N, log_z_N)
        backward: Any = (*head, here.scratch.small_NC, here.dx_NC, dw.norm_C, dw.head_VC)
        _kernels.head_backward(*backward)
        for block, dblock, kept in zip(reversed(self.w.blocks), reversed(dw.blocks), reversed(here.kept), strict=True):
            _kernels.block_backward(here.dx_NC, block, *turns, kept, here.scratch, dblock)
        _kernels.embed_backward(tokens_N, here.dx_NC, dw.embedding_VC)

    def _streams(self, tokens_N: Ints) -> Workspace:
        """Pass through all blocks."""
        here = workspace(self.w, len(tokens_N), len(self.cos_TK), self.heads)
        streams = [*(kept.x_NC for kept in here.kept), here.last_NC]
        _kernels.embed(tokens_N, self.w.embedding_VC, streams[0])
        for block, kept, y_NC in zip(self.w.blocks, here.kept, streams[1:], strict=True):
            _kernels.block_forward(kept, block, self.cos_TK, self.sin_TK, self.heads, here.scratch, y_NC)
        return here

    def _head(self, here: Workspace, targets_N: Ints, z_loss: float, nats_N: Doubles, log_z_N: Doubles) -> Any:
        rows, vocab = len(targets_N), len(self.w.head_VC)
        return (
            here.last_NC, self.w.norm_C, self.w.head_VC, targets_N, here.scratch.normed_NC, here.head_scale_N,
            _logits(min(rows, LOGIT_ROWS), vocab), np.float32(z_loss), nats_N, log_z_N,
        )  # fmt: skip


FUSED = Compiled("fused", _Single, _kernels.block_forward)


@lru_cache(maxsize=3)
def _logits(rows: int, vocab: int) -> Floats:
    return floats(rows, vocab)


def workspace(w: Arrays, rows: int, positions: int, heads: int) -> Workspace:
    """Return room for so many rows of a model."""
    block = w.blocks[0]
    return _workspace(rows, positions, len(w.blocks), heads, block.down_CF.shape[0], block.down_CF.shape[1])


def floats(*shape: int) -> Floats:
    """Return an array, of any content, for passes to write to."""
    return array(shape, np.float32)


# Shared between calls: a process that computes this way has one thread. The last windows of a batch may be fewer.
@lru_cache(maxsize=3)
def _workspace(rows: int, positions: int, depth: int, heads: int, width: int, ffn: int) -> Workspace:
    weights = rows // positions * heads * _kernels.kept_floats(positions)
    kept = tuple(
        _kernels.Kept(
            x_NC=floats(rows, width), first_scale_N=floats(rows), qkv_N3C=floats(rows, 3 * width),
            weights=floats(weights), attended_NC=floats(rows, width), middle_NC=floats(rows, width),
            second_scale_N=floats(rows), gate_up_N2F=floats(rows, 2 * ffn),
        )
        for _ in range(depth)
    )  # fmt: skip
    scratch = _kernels.Scratch(
        normed_NC=floats(rows, width), small_NC=floats(rows, width), dqkv_N3C=floats(rows, 3 * width),
        scores=floats(_kernels.BLOCK_ROWS * positions), hidden_NF=floats(rows, ffn),
    )  # fmt: skip
    return Workspace(
        kept=kept, last_NC=floats(rows, width), dx_NC=floats(rows, width), scratch=scratch, head_scale_N=floats(rows)
    )
