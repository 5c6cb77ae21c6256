"""Where runs are trained, never what they give: executors by name. A user's own executor is named `module:Name`."""

from collections.abc import Callable

from isoloss.core.registry import Registry
from isoloss.execution.base import ANYWHERE
from isoloss.execution.base import Executor as Executor
from isoloss.execution.base import Where as Where
from isoloss.execution.local import LocalExecutor
from isoloss.execution.ray_cluster import RayExecutor
from isoloss.execution.torchrun import TorchrunExecutor

EXECUTORS: Registry[Callable[[Where], Executor]] = Registry("executor", own=Executor, derive_from="isoloss.Executor")
EXECUTORS.add("local", LocalExecutor)
EXECUTORS.add("ray", RayExecutor)
EXECUTORS.add("torchrun", TorchrunExecutor)


def executor(name: str, where: Where = ANYWHERE) -> Executor:
    """Return the executor `name`.

    Raises UnknownName with the nearest, InputError for what is no executor or not allowed.
    """
    return EXECUTORS[name](where)
