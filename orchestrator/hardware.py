"""What memory the cluster's hosts have now."""

import asyncio

import psutil

from orchestrator.fitting import accelerator, hardware_of
from orchestrator.library.fit_types import Hardware
from orchestrator.store import Store
from replicas.devices import gpus


async def hardware_now(store: Store) -> Hardware:
    """GPUs as their hosts told them last; memory of this host. Raises StoreUnavailableError."""
    memory = await asyncio.to_thread(psutil.virtual_memory)
    hosts = await store.hosts()
    if hosts:
        return hardware_of(hosts, memory.total, memory.available)
    # Right after a start no host has told anything yet.
    here = tuple(accelerator("", gpu) for gpu in await asyncio.to_thread(gpus))
    return Hardware(accelerators=here, host_memory_bytes=memory.total, host_free_bytes=memory.available)
