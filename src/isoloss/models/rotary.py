"""Rotary position embedding (Su et al. 2021): the tables of angles."""

import torch
from torch import Tensor, nn

THETA = 10_000.0  # Su et al. 2021; transformers' default for Llama


class Rotary(nn.Module):
    """Cosines and sines of position × frequency, (context, K / 2) each, for heads of K dimensions."""

    cos_TK: Tensor
    sin_TK: Tensor

    def __init__(self, *, context: int, head_dims: int) -> None:
        super().__init__()
        # Written as transformers writes it: the last bit of a frequency is 1e-5 of an angle at position 200.
        frequencies = 1.0 / THETA ** (torch.arange(0, head_dims, 2, dtype=torch.float32) / head_dims)
        angles_TK = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
        # Constants, not weights: they stay out of the state.
        self.register_buffer("cos_TK", angles_TK.cos(), persistent=False)
        self.register_buffer("sin_TK", angles_TK.sin(), persistent=False)

    def tables(self, positions: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines of the first `positions`, in the dtype of `like`."""
        return self.cos_TK[:positions].to(like.dtype), self.sin_TK[:positions].to(like.dtype)
