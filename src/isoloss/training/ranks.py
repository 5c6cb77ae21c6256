"""The processes that train one model together, as torchrun starts them: what each must agree on before it steps."""

import os
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh


class Ranks:
    """This process among the `size` that share a model; rank 0 decides, hears the main process and writes."""

    def __init__(self, device: str) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.device = torch.device(device)
        self.mesh: DeviceMesh = init_device_mesh(device, (self.size,))

    @classmethod
    def join(cls, device: str) -> Self:
        """Meet the other processes. Messages between them always go over the CPU, weights over `device`."""
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
        return cls(device)

    @property
    def first(self) -> bool:
        """Whether this is the process that decides, hears and writes."""
        return self.rank == 0

    def agree(self, yes: bool) -> bool:
        """Return what rank 0 says."""
        said = torch.tensor([yes], dtype=torch.uint8)
        dist.broadcast(said, src=0)
        return bool(said[0])

    def everybody(self, yes: bool) -> bool:
        """Return whether every process says yes."""
        said = torch.tensor([yes], dtype=torch.uint8)
        dist.all_reduce(said, op=dist.ReduceOp.MIN)
        return bool(said[0])

    def summed(self, value: Tensor) -> Tensor:
        """Return the sum of every process's tensor, on the CPU in float64."""
        total = value.detach().to("cpu", torch.float64)
        dist.all_reduce(total)
        return total

    def gathered(self, text: str) -> list[str]:
        """Return every process's text, in order of rank."""
        return [self.share(text, source=rank) for rank in range(self.size)]

    def share(self, text: str, *, source: int = 0) -> str:
        """Return the text of the process `source`."""
        content = torch.tensor(list(text.encode()), dtype=torch.uint8)
        length = torch.tensor([len(content)])
        dist.broadcast(length, src=source)
        if self.rank != source:
            content = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(content, src=source)
        return content.numpy().tobytes().decode()

    def leave(self) -> None:
        """Part from the others."""
        dist.destroy_process_group()
