"""One name, one meaning: an alias and a deployment never share one, and what an alias names is there. PURE."""

from collections.abc import Collection, Mapping

from orchestrator.errors import ConflictError, NotFoundError
from orchestrator.sentences import Saying, say
from router.types import Alias


def refuse_taken(deployment: str, aliases: Mapping[str, Alias]) -> None:
    """Raises ConflictError if a deployment cannot be called so."""
    if deployment in aliases:
        raise ConflictError(say(Saying.NAME_IS_ALIAS, name=deployment), code="name_in_use")


def refuse_named(deployment: str, aliases: Mapping[str, Alias]) -> None:
    """Raises ConflictError if an alias needs the deployment: its requests would find nothing."""
    naming = [alias.name for alias in aliases.values() if any(each.model == deployment for each in alias.targets)]
    if naming:
        raise ConflictError(say(Saying.NAMED_BY_ALIAS, alias=naming[0], name=deployment), code="named_by_alias")


def refuse_alias(alias: Alias, deployments: Collection[str]) -> None:
    """Raises ConflictError if the name is a deployment's, NotFoundError if a target is none."""
    if alias.name in deployments:
        raise ConflictError(say(Saying.NAME_IS_DEPLOYMENT, name=alias.name), code="name_in_use")
    for target in alias.targets:
        if target.model not in deployments:
            raise NotFoundError(say(Saying.ALIAS_NAMES_NOTHING, name=target.model))
