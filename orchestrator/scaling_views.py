"""From the autoscaler's records to what the API shows."""

from msgspec import structs

from orchestrator.api.scaling_schemas import (
    OverrideView,
    Scaling,
    ScalingInputsView,
    ScalingRecordView,
    ScalingView,
)
from orchestrator.api.sentence_schemas import english, sentences
from orchestrator.scaling.types import Override
from orchestrator.types import Deployment, ScalingLog, ScalingRecord


def scaling_view(deployment: Deployment, log: ScalingLog) -> ScalingView:
    return ScalingView(
        deployment=deployment.name,
        replicas=deployment.replicas,
        scaling=Scaling.of(deployment.scaling) if deployment.scaling else None,
        override=override_view(deployment.override),
        records=[_record_view(each) for each in log.records if each.at >= deployment.created_at],
    )


def override_view(override: Override | None) -> OverrideView | None:
    return OverrideView(replicas=override.replicas, until=override.until) if override else None


def _record_view(record: ScalingRecord) -> ScalingRecordView:
    return ScalingRecordView(
        at=record.at,
        before=record.before,
        target=record.decision.target,
        granted=record.granted,
        reason=record.decision.reason,
        cause=record.decision.cause,
        values=record.decision.values,
        shortage=english(record.shortage),
        sentences=sentences(shortage=record.shortage),
        inputs=ScalingInputsView(**structs.asdict(record.decision.inputs)),
    )
