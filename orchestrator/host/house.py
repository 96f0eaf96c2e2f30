"""The processes of one `up`: started in order, watched, restarted when they fall, stopped in order."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable

import httpx
import psutil

from orchestrator.errors import HostError
from orchestrator.host import ray_node, router_process, store_server, weights_process
from orchestrator.host.home import Home, Instance
from orchestrator.host.options import UpOptions
from orchestrator.host.processes import Child, descendants, end, keep_running
from orchestrator.host.progress import Event, Stage, StageFinished, StageStarted

_POLL_S = 0.1
_STORE_READY_S = 15.0
_HTTP_READY_S = 60.0
_GRACE_S = {
    "router": router_process.GRACE_S,
    "orchestrator": 10.0,
    "weights": weights_process.GRACE_S,
    "ray": 2.0,
    "store": 10.0,
}
"""In the order in which they stop."""
_RAY_END_S = 1.5


class House:
    """Store, Ray, weights, orchestrator and router of this machine, as children of this process."""

    def __init__(self, home: Home, options: UpOptions, report: Callable[[Event], None]) -> None:
        self._home = home
        self._options = options
        self._report = report
        self._ports = home.ports(options.node_address)
        self._ray_env = ray_node.environment(home, home.ray_token, options.node_address)
        self._children: dict[str, Child] = {}
        self._stopping = False
        own_store = store_server.store_url(home, options.node_address, self._ports.store)
        self.store_url = options.store_url or own_store

    @property
    def _ray_address(self) -> str:
        return f"{self._options.node_address}:{self._ports.ray}"

    async def start(self, expected: Callable[[Stage], float]) -> None:
        """Start everything up to answering HTTP. Raises HostError when a part does not come up."""
        self._report(StageStarted(Stage.STORE, time.time(), expected(Stage.STORE)))
        ray_node.write_node_config(self._home, self.store_url, self._options.node_address)
        if self._options.store_url is None:
            await self._start_child(self._store())
        # Ray takes longest and needs nothing of the others.
        self._report(StageStarted(Stage.RAY, time.time(), expected(Stage.RAY)))
        await self._start_child(self._ray())
        await self._wait_for_store()
        where = "append-only file in the home" if self._options.store_url is None else "external"
        self._report(StageFinished(Stage.STORE, time.time(), where))
        await self._start_child(self._weights())
        await self._start_child(self._router())
        await self._start_child(self._orchestrator())
        for url in self._options.ops_urls:
            await self._wait_for_http(f"{url}/ready", "router")
        await self._wait_for_http(f"http://127.0.0.1:{self._ports.orchestrator}/api/v1/openapi.json", "orchestrator")
        self._home.write_instance(
            Instance(
                pid=os.getpid(),
                url=self._options.local_url,
                dashboard_url=f"http://127.0.0.1:{self._ports.dashboard}",
            )
        )

    def require_running(self) -> None:
        """Raise HostError with the reason when a part that a start needs has ended."""
        for child in self._children.values():
            child.require_running()

    async def watch(self) -> None:
        """Start again whatever falls, until cancelled. The others go on meanwhile."""
        async with asyncio.TaskGroup() as group:
            for child in self._children.values():
                group.create_task(keep_running(child, lambda: self._stopping))

    async def stop(self) -> None:
        """Stop in the order in which nobody is left waiting: the router drains first, the store goes last."""
        self._stopping = True
        for name, grace_s in _GRACE_S.items():
            if name in self._children:
                await self._children[name].stop(grace_s)
            if name == "ray":
                # Ray's processes leave their starter; as their adopted parent we know them all. The router has
                # drained before, so nothing is cut short here.
                await asyncio.to_thread(end, self._not_ours(), _RAY_END_S)
        self._home.clear_instance()

    def _not_ours(self) -> list[psutil.Process]:
        """Descendants that are none of our own children."""
        own = {child.pid for child in self._children.values()}
        return [process for process in descendants() if process.pid not in own]

    async def _start_child(self, child: Child) -> None:
        self._children[child.name] = child
        await child.start()

    def _store(self) -> Child:
        configuration = store_server.write_configuration(self._home, self._options.node_address, self._ports.store)
        argv = [str(store_server.server_binary()), str(configuration)]
        return Child("store", argv, ray_node.child_environment(self._home), self._home.logs / "store.log")

    def _ray(self) -> Child:
        argv = ray_node.head_command(
            self._home, self._ports, self._options.node_address, os.cpu_count() or 1, self._options.labels
        )
        # Asked politely, Ray takes most of a minute; killed, its own reaper ends its processes at once.
        return Child("ray", argv, self._ray_env, self._home.logs / "ray.log", death_signal=signal.SIGKILL)

    def _orchestrator(self) -> Child:
        settings = {
            "STORE_URL": self.store_url,
            "HOME": str(self._home.root),
            "PORT": str(self._ports.orchestrator),
            "RAY_ADDRESS": self._ray_address,
            "NODE_ADDRESS": self._options.node_address,
            "NO_AUTH": str(self._options.no_auth).lower(),
        }
        env = self._ray_env | {f"ROUNDHOUSE_ORCHESTRATOR_{name}": value for name, value in settings.items()}
        argv = [sys.executable, "-m", "orchestrator.main"]
        return Child("orchestrator", argv, env, self._home.logs / "orchestrator.log")

    def _weights(self) -> Child:
        return weights_process.library_child(self._home, store_url=self.store_url, address=self._options.node_address)

    def _router(self) -> Child:
        return router_process.router_child(
            self._home,
            self._options,
            store_url=self.store_url,
            orchestrator_url=f"http://127.0.0.1:{self._ports.orchestrator}",
            no_auth=self._options.no_auth,
            ui_dir=self._options.ui_dir,
        )

    async def _wait_for_store(self) -> None:
        from orchestrator.errors import StoreUnavailableError
        from orchestrator.store import Store

        deadline = time.monotonic() + _STORE_READY_S
        async with Store(self.store_url) as store:
            while True:
                try:
                    return await store.ping()
                except StoreUnavailableError as error:
                    if "store" in self._children:
                        self._children["store"].require_running()
                    if time.monotonic() > deadline:
                        raise HostError(f"The store does not answer. {error.message}") from error
                await asyncio.sleep(_POLL_S)

    async def _wait_for_http(self, url: str, name: str) -> None:
        deadline = time.monotonic() + _HTTP_READY_S
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while time.monotonic() < deadline:
                self._children[name].require_running()
                try:
                    if (await client.get(url)).is_success:
                        return
                except httpx.HTTPError:
                    pass  # not listening yet
                await asyncio.sleep(_POLL_S)
        raise HostError(f"The {name} does not answer at {url}. Its log is {self._children[name].log}.")
