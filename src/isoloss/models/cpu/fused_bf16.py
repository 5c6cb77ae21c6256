"""As `fused`, with every matrix product taken of numbers rounded to bfloat16 and summed in float32.

Weights, gradients, the stream, norms and softmax stay float32, and logits exist for some columns at a time. A processor
with AVX512-BF16 multiplies twice as fast as in float32; any other gives the same numbers, to the order of sums, slowly.

Legend: as in `_kernels`.
"""

from functools import lru_cache

import numpy as np

from isoloss.models.cpu import _bf16, _kernels, fused
from isoloss.models.cpu import _kernels_bf16 as kernels
from isoloss.models.cpu._memory import array
from isoloss.models.cpu.fused import Arrays, Doubles, Floats, Ints, Workspace


class _Half:
    """Passes with products in bfloat16. Weights are packed when it is made."""

    def __init__(self, w: Arrays, cos_TK: Floats, sin_TK: Floats, heads: int) -> None:
        self.w, self.cos_TK, self.sin_TK, self.heads = w, cos_TK, sin_TK, heads
        block = w.blocks[0]
        self.shape = (heads, *block.down_CF.shape, *w.head_VC.shape[:1])
        self.blocks, self.head = _packed(w, len(w.blocks), *self.shape[1:])

    def forward(self, tokens_N: Ints, targets_N: Ints, nats_N: Doubles, log_z_N: Doubles) -> None:
        here, packs, room = self._streams(tokens_N)
        kernels.head_forward(
            here.last_NC, self.w.norm_C, len(self.w.head_VC), self.head, targets_N, here.scratch.normed_NC,
            here.head_scale_N, room, packs, nats_N, log_z_N,
        )  # fmt: skip

    def forward_and_backward(
        self, tokens_N: Ints, targets_N: Ints, z_loss: float, nats_N: Doubles, log_z_N: Doubles, dw: Arrays
    ) -> None:
        here, packs, room = self._streams(tokens_N)
        kernels.head_backward(
            here.last_NC, self.w.norm_C, self.w.head_VC, self.head, targets_N, here.scratch.normed_NC,
            here.head_scale_N, room, packs, np.float32(z_loss), nats_N, log_z_N, here.scratch.small_NC, here.dx_NC,
            dw.norm_C, dw.head_VC,
        )  # fmt: skip
        turns, backwards = (self.cos_TK, self.sin_TK, self.heads), slice(None, None, -1)
        for block, packed, dblock, kept in zip(
            self.w.blocks[backwards], self.blocks[backwards], dw.blocks[backwards], here.kept[backwards], strict=True
        ):
            kernels.block_backward(here.dx_NC, block, packed, *turns, kept, here.scratch, packs, dblock)
        _kernels.embed_backward(tokens_N, here.dx_NC, dw.embedding_VC)

    def _streams(self, tokens_N: Ints) -> tuple[Workspace, kernels.Packs, kernels.Head]:
        """Pass through all blocks."""
        rows, positions = len(tokens_N), len(self.cos_TK)
        here = fused.workspace(self.w, rows, positions, self.heads)
        packs, room = _room(rows, positions, *self.shape)
        streams = [*(kept.x_NC for kept in here.kept), here.last_NC]
        _kernels.embed(tokens_N, self.w.embedding_VC, streams[0])
        turns = (self.cos_TK, self.sin_TK, self.heads)
        for block, packed, kept, y_NC in zip(self.w.blocks, self.blocks, here.kept, streams[1:], strict=True):
            kernels.block_forward(kept, block, packed, *turns, here.scratch, packs, y_NC)
        return here, packs, room


FUSED_BF16 = fused.Compiled("fused_bf16", _Half, kernels.block_forward)


def _pairs(*shape: int) -> _bf16.Pairs:
    return array(shape, np.int32)


def _packed(
    w: Arrays, depth: int, width: int, ffn: int, vocab: int
) -> tuple[tuple[kernels.Packed, ...], kernels.Operand]:
    blocks, head, scratch = _operands(depth, width, ffn, vocab)
    for block, packed in zip(w.blocks, blocks, strict=True):
        matrices = (block.qkv_3CC, block.attention_out_CC, block.gate_up_2FC, block.down_CF)
        for matrix, operand in zip(matrices, packed, strict=True):
            kernels.pack_weight(matrix, scratch, operand)
    kernels.pack_weight(w.head_VC, scratch, head)
    return blocks, head


# One model at a time trains in a process.
@lru_cache(maxsize=1)
def _operands(
    depth: int, width: int, ffn: int, vocab: int
) -> tuple[tuple[kernels.Packed, ...], kernels.Operand, _bf16.Pairs]:
    def operand(rows: int, columns: int) -> kernels.Operand:
        return kernels.Operand(*(_pairs(_bf16.panel_size(*way)) for way in ((columns, rows), (rows, columns))))

    shapes = ((3 * width, width), (width, width), (2 * ffn, width), (width, ffn))
    blocks = tuple(kernels.Packed(*(operand(*shape) for shape in shapes)) for _ in range(depth))
    largest = max(rows * _bf16.pairs_of(columns) for rows, columns in (*shapes, (vocab, width)))
    return blocks, operand(vocab, width), _pairs(largest)


@lru_cache(maxsize=3)
def _room(
    rows: int, positions: int, heads: int, width: int, ffn: int, vocab: int
) -> tuple[kernels.Packs, kernels.Head]:
    dims, half, size = width // heads, _bf16.pairs_of, _bf16.panel_size
    packs = kernels.Packs(
        narrow_rows=_pairs(rows, half(width)), wide_rows=_pairs(rows, ffn), joint_rows=_pairs(rows, half(3 * width)),
        left=_pairs(size(rows, max(3 * width, 2 * ffn))), right=_pairs(size(rows, max(width, ffn))),
        head_rows=_pairs(positions, half(dims)), weight_rows=_pairs(_kernels.BLOCK_ROWS, half(positions)),
        keys=_pairs(max(size(dims, positions), size(positions, dims))),
        values=_pairs(max(size(dims, positions), size(positions, dims))), queries=_pairs(size(positions, dims)),
        upstream=_pairs(size(positions, dims)), triangle=_pairs(size(positions, positions)),
        dtriangle=_pairs(size(positions, positions)),
    )  # fmt: skip
    room = kernels.Head(
        chunk=fused.floats(rows * kernels.CHUNK), chunk_rows=_pairs(rows, kernels.CHUNK // 2),
        probabilities=_pairs(size(rows, vocab)), highest_N=fused.floats(rows), total_N=np.empty(rows),
        wanted_N=fused.floats(rows),
    )  # fmt: skip
    return packs, room
