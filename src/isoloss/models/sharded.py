"""A model whose weights are spread over processes (FSDP2: Zhao et al. 2023, arXiv:2304.11277; torch's `fully_shard`).

Every block gathers its weights when it is called and lets them go afterwards; embedding, head and the last norm belong
to the model itself.

Legend: as in `plain`.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from isoloss.models import plain
from isoloss.models.llama import Llama
from isoloss.models.parts import Summed
from isoloss.runs.spec import Numerics


class ShardedModel(nn.Module):
    """A model of any family over the processes of `mesh`. Calling it returns the loss of this process's windows.

    Under bfloat16 weights are gathered, and products taken, in bfloat16; gradients are summed, and weights kept, in
    float32.
    """

    def __init__(self, model: Llama, mesh: DeviceMesh, numerics: Numerics) -> None:
        super().__init__()
        self.model = model
        # The stream between blocks stays as it is: in float32, as under autocast in one process.
        half = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if numerics.dtype == "bfloat16" else None, reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        )  # fmt: skip
        for block in model.blocks:
            if numerics.compile:
                block.compile()
            fully_shard(block, mesh=mesh, mp_policy=half)
        whole = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
        fully_shard(self, mesh=mesh, mp_policy=whole)

    def named_weights(self) -> dict[str, nn.Parameter]:
        """Return the shards that lie here, by the names of the model itself."""
        return dict(self.model.named_parameters())

    def reshard(self) -> None:
        """Let go of whatever weights are gathered."""
        for module in (self, *self.model.blocks):
            cast(FSDPModule, module).reshard()

    def forward(self, tokens_BT: Tensor, z_loss: float | None) -> Summed | Tensor:
        """Return objective and loss, summed; without `z_loss` the loss of positions 2…T, (B, T - 1), float64."""
        weights, geometry = self.model.weights(), self.model.geometry()
        x_NC = F.embedding(tokens_BT.flatten(), weights.embedding)
        for block in self.model.blocks:
            if self.model.recompute and z_loss is not None:
                x_NC = cast(Tensor, checkpoint(block, x_NC, geometry, len(tokens_BT), use_reentrant=False))
            else:
                x_NC = block(x_NC, geometry, len(tokens_BT))
        hidden_NC = plain.norm(x_NC, weights.norm, weights.norm_bias, geometry)
        if z_loss is None:
            nats_N = plain.nats_of_hidden(hidden_NC, weights.head, tokens_BT)
            return nats_N.view(tokens_BT.shape)[:, :-1]
        return plain.summed_of_hidden(hidden_NC, weights.head, tokens_BT, z_loss)
