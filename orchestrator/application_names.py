"""The names of Serve applications, which say what they hold. PURE.

Each replica has an application of its own: Serve then has no say in which one a scale-down takes, and replicas of two
specs can run side by side. Of an application that it deletes Serve tells the name alone, while its replica still
drains: so what we have assigned stands in the name.
"""

from msgspec import Struct

from orchestrator.types import Need, StartApplication

_OF = "~"
"""Between the parts of a name; in no deployment's name."""
_NONE = Need(cpus=0.0)


class NamedApplication(Struct, frozen=True, kw_only=True):
    """What a name says."""

    deployment: str
    spec_digest: str = ""
    slot: int = 0
    node: str = ""
    """Address of the node whose `gpus` are its own; empty, as these, where Ray assigns what it needs."""
    need: Need = _NONE
    gpus: tuple[int, ...] = ()


def application_name(
    deployment: str, digest: str, slot: int, *, node: str = "", need: Need = _NONE, gpus: tuple[int, ...] = ()
) -> str:
    """`deployment~digest~slot`, and for assigned GPUs `~node~cpus~gpus~index,index`."""
    parts = [deployment, digest, str(slot)]
    if gpus:
        parts += [node, f"{need.cpus:g}", f"{need.gpus:g}", ",".join(map(str, gpus))]
    return _OF.join(parts)


def name_of(start: StartApplication) -> str:
    """The name of the application that it creates."""
    deployment = start.deployment
    return application_name(
        deployment.name, start.spec_digest, start.slot, node=start.node, need=deployment.need, gpus=start.gpus
    )


def parse_application(name: str) -> NamedApplication:
    """What the name says; of one that is not ours no more than a deployment that does not exist."""
    deployment, *rest = name.split(_OF)
    try:
        digest, slot, *assigned = rest
        node, cpus, gpus, indices = assigned or ("", "0", "0", "")
        return NamedApplication(
            deployment=deployment,
            spec_digest=digest,
            slot=int(slot),
            node=node,
            need=Need(cpus=float(cpus), gpus=float(gpus)),
            gpus=tuple(int(index) for index in indices.split(",") if index),
        )
    except ValueError:
        return NamedApplication(deployment=deployment)
