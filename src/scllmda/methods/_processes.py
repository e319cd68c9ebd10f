"""One process, or several that train one network under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Processes:
    """The processes that share the work, as one of them sees them."""

    rank: int
    """Number of this process, counted from 0."""
    size: int
    """Number of all processes."""
    device: str
    """Torch device of this process."""

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def parallel(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return a network whose gradients are the mean over all processes; the same if there is but one."""
        if self.size == 1:
            return network
        import torch

        devices = [torch.device(self.device)] if self.device.startswith("cuda") else None
        # Buffers are constants here.
        return torch.nn.parallel.DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)

    def apart(self, network: torch.nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Return a context in which gradients are added up here, and exchanged at the last batch of a step only."""
        return nullcontext() if last or self.size == 1 else network.no_sync()  # type: ignore[operator]

    def sum(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        if self.size == 1:
            return value
        import torch

        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return total.item()

    def wait(self) -> None:
        """Wait for all others."""
        if self.size > 1:
            import torch

            torch.distributed.barrier()


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; without it, this one is alone.

    Parameters
    ----------
    device
        Torch device, or "auto"; "cuda" is each process' own GPU.
    """
    import torch

    from ..nn import pick_device

    device, size = pick_device(device), int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Processes(0, 1, device)
        return
    rank = int(os.environ["RANK"])
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    is_new = not torch.distributed.is_initialized()
    if is_new:
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(rank, size, device)
    finally:
        if is_new:
            torch.distributed.destroy_process_group()
