"""`roundhouse join` and `roundhouse node …`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from orchestrator.cli.node_labels import NodeLabels, labels_of
from orchestrator.cli.output import AsJson, connect, console, path_of, show, size, state
from orchestrator.errors import HostError, InvalidRequestError
from orchestrator.host import processes, ray_node, router_process, weights_process
from orchestrator.host.home import Home, free_ports, require_own_address, write_secret
from orchestrator.host.join import JoinToken, parse_join_token
from orchestrator.host.options import RouterOptions

app = typer.Typer(help="Machines of the cluster.", no_args_is_help=True)


@app.command("list")
def list_nodes(as_json: AsJson = False) -> None:
    """List the machines of the cluster."""
    with connect() as api:
        nodes = api.get("/nodes")
    show(
        nodes,
        [
            ("address", lambda row: row["address"] + (" (head)" if row["head"] else "")),
            ("host", lambda row: row["hostname"]),
            ("state", lambda row: state(_state(row))),
            ("CPUs free#", lambda row: f"{row['cpus_free']:g}/{row['cpus']:g}"),
            ("GPUs free#", lambda row: f"{row['gpus_free']:g}/{row['gpus']:g}"),
            ("memory size", lambda row: size(row["memory_bytes"])),
            ("weights", _weights),
            ("labels", lambda row: " ".join(f"{name}={value}" for name, value in sorted(row["labels"].items()))),
        ],
        as_json,
        "Ray has no nodes yet.",
    )


def _state(row: dict[str, Any]) -> str:
    if not row["alive"]:
        return "gone"
    return "drained" if row["drained"] else "cordoned" if row["cordoned"] else "alive"


def _weights(row: dict[str, Any]) -> str:
    """What the node has of the library, and what it fetches."""
    weights = row["weights"]
    if weights is None:
        return "does not report"
    kept = f"{len(weights['revisions'])} revisions"
    if weights["library"]:
        return f"{kept} (library)"
    words = [f"{kept}, {size(weights['used_bytes'])} of {size(weights['limit_bytes'])}"]
    words += [
        f"fetching {each['revision'][:19]}: {size(each['done_bytes'])} of {size(each['total_bytes'])}"
        for each in weights["fetches"]
    ]
    return "; ".join(words)


@app.command("cordon")
def cordon(address: Annotated[str, typer.Argument(help="As `node list` shows it.")]) -> None:
    """Start no new replica on a machine; those that run stay."""
    _order(address, "cordon", "takes no new replica")


@app.command("drain")
def drain(address: Annotated[str, typer.Argument(help="As `node list` shows it.")]) -> None:
    """Empty a machine: each replica ends once another one, where there is room, has taken its place."""
    _order(address, "drain", "is being emptied; `roundhouse status` shows its replicas")


@app.command("uncordon")
def uncordon(address: Annotated[str, typer.Argument(help="As `node list` shows it.")]) -> None:
    """Let a machine take replicas again, whether it was cordoned or drained."""
    _order(address, "uncordon", "takes replicas again")


def _order(address: str, order: str, outcome: str) -> None:
    with connect() as api:
        api.post(path_of("nodes", address, order))
    console.print(f"{address} {outcome}.")


@app.command("join-command")
def join_command() -> None:
    """Print the command that makes another machine a node of this cluster."""
    with connect() as api:
        answer = api.get("/join")
    typer.echo(answer["command"])
    console.print(answer["note"], style="dim" if answer["reachable"] else "yellow")


def _size(text: str) -> str:
    try:
        TypeAdapter(ByteSize).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter("Give a size such as 200GiB.") from error
    return text


def join(
    token: Annotated[str, typer.Argument(help="The token of `roundhouse node join-command`; `-` reads it from stdin.")],
    node_address: Annotated[
        str | None, typer.Option(help="Address at which the others reach this machine; found by itself if left out.")
    ] = None,
    cpus: Annotated[int | None, typer.Option(min=0, help="CPUs offered to replicas.")] = None,
    label: NodeLabels = None,
    cache_size: Annotated[
        str | None,
        typer.Option(help="Disk for weights, as 200GiB; left out: all but a twentieth of it.", parser=_size),
    ] = None,
    router: Annotated[bool, typer.Option("--router", help="Serve /v1 here as well, with the cluster's keys.")] = False,
    host: Annotated[str, typer.Option(help="Address of the router's public port.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The router's public port.", min=1, max=65535)] = 8000,
    ops_host: Annotated[str, typer.Option(help="Address of its ops port (/metrics, /ready).")] = "127.0.0.1",
    ops_port: Annotated[int, typer.Option(help="Its ops port.", min=1, max=65535)] = 9000,
    workers: Annotated[int, typer.Option(help="Router processes on the public port.", min=1, max=64)] = 1,
) -> None:
    """Make this machine a node that takes replicas, until Ctrl-C."""
    parsed = parse_join_token(sys.stdin.readline() if token == "-" else token)  # noqa: S105 - a dash
    head, _, head_port = parsed.ray_address.rpartition(":")
    if ray_node.is_loopback(head):
        raise InvalidRequestError(
            "The cluster's head listens on loopback only, where no other machine can join. Start it with "
            "`roundhouse up --node-address ADDRESS`, and use the join command that it prints then."
        )
    home = Home.of_environment()
    home.prepare()
    home.lock()
    address = node_address or _address_towards(head, int(head_port))
    require_own_address(address)
    processes.end(processes.marked(home))  # what an earlier join left when it was killed hard
    wanted = None
    if router:
        wanted = RouterOptions(host=host, port=port, ops_host=ops_host, ops_port=ops_port, workers=workers)
        router_process.require_free_ports(wanted)
    weights = weights_process.cache_child(home, store_url=parsed.store_url, address=address, cache_size=cache_size)
    offered = os.cpu_count() or 1 if cpus is None else cpus
    asyncio.run(_join(home, parsed, address, offered, labels_of(label or []), weights, wanted))


def _address_towards(host: str, port: int) -> str:
    """The address of this machine that packets to `host` carry. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port))
        except OSError as error:
            raise HostError(f"There is no way from here to {host}: {error}. Check the network.") from error
        return str(probe.getsockname()[0])


async def _stay(token: JoinToken, ray: processes.Child, others: Sequence[processes.Child], stop: asyncio.Event) -> None:
    """Until `stop`. Raises HostError when Ray ends before; another one that falls is started again."""
    ended, stopped = asyncio.create_task(ray.wait()), asyncio.create_task(stop.wait())
    kept = [asyncio.create_task(processes.keep_running(each, stop.is_set)) for each in others]
    try:
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise HostError(
                f"Ray left the cluster: {processes.last_line(ray.log)} Check that {token.ray_address} can be reached "
                f"from here and that the token is of the cluster that runs now. The whole log is {ray.log}."
            )
    finally:
        for task in (ended, stopped, *kept):
            task.cancel()
        await asyncio.gather(ended, stopped, *kept, return_exceptions=True)


async def _join(
    home: Home,
    token: JoinToken,
    node_address: str,
    cpus: int,
    labels: Mapping[str, str],
    weights: processes.Child,
    wanted_router: RouterOptions | None,
) -> None:
    token_path = home.run / "joined.token"
    processes.adopt_orphans()
    (agent_port,) = free_ports(node_address, 1)
    ray = processes.Child(
        "ray",
        ray_node.join_command(home, token.ray_address, node_address, cpus, labels, agent_port),
        ray_node.environment(home, token_path, node_address),
        home.logs / "ray.log",
        death_signal=signal.SIGKILL,
    )
    router = None
    if wanted_router is not None:
        router = router_process.router_child(home, wanted_router, store_url=token.store_url)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        write_secret(token_path, token.ray_token)
        ray_node.write_node_config(home, token.store_url, node_address)
        await weights.start()
        await ray.start()
        console.print(f"Joining {token.ray_address} as {node_address}. Ctrl-C leaves.")
        if router is not None and wanted_router is not None:
            await router.start()
            console.print(f"Its router listens at {wanted_router.local_url}. Its log is {router.log}.")
        await _stay(token, ray, [weights] if router is None else [weights, router], stop)
    finally:
        stop.set()
        if router is not None:
            await router.stop(router_process.GRACE_S)
        await ray.stop(2)
        await weights.stop(weights_process.GRACE_S)
        await asyncio.to_thread(processes.end, processes.descendants())
        for path in (token_path, home.node_config):
            path.unlink(missing_ok=True)
    console.print("Left.")
