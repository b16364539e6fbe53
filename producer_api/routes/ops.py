"""Health, readiness, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import JSONResponse

from contracts.errors import StoreUnavailable
from contracts.topology import HEARING_MODELS, LLM_LANE, speech_lane, transcript_lane
from contracts.voices import MODELS
from producer_api.canary import Finding
from producer_api.front import FrontDep

router = APIRouter(tags=["operations"])


@router.get("/health", summary="This process lives")
async def health() -> dict[str, str]:
    """Liveness: says nothing of the servers behind it; restarting this process would not mend them."""
    return {"status": "ok"}


class ModelHealth(BaseModel):
    """Whether all language models answer, and how each does."""

    ok: bool
    models: dict[str, Finding]
    """By alias; empty if no worker is known."""


@router.get(
    "/health/models",
    summary="Every language model answers",
    response_model=ModelHealth,
    responses={503: {"model": ModelHealth, "description": "One does not, or there is none"}},
)
async def health_models(front: FrontDep) -> Response:
    """Asks each model for one token, through the queue, a worker and the upstream, one model after the other; what was
    found is kept for 30 s. It says nothing of this process: restarting it would not mend a model.
    """
    models = dict(await front.canary.look())
    health = ModelHealth(ok=bool(models) and all(finding.ok for finding in models.values()), models=models)
    return JSONResponse(health.model_dump(), 200 if health.ok else 503)


@router.get("/ready", summary="Casts can be taken and made", responses={503: {"description": "Not now, and why"}})
async def ready(front: FrontDep) -> Response:
    """Store, broker, and at least one worker."""
    checks: dict[str, object] = {"broker": await front.publisher.ready()}
    try:
        models = {**{m: speech_lane(m) for m in MODELS}, **{m: transcript_lane(m) for m in HEARING_MODELS}}
        models["llm"] = LLM_LANE
        lanes = {m: await front.store.scheduler.workers(lane) for m, lane in models.items()}
        checks["store"] = True
        checks["workers"] = {m: len(workers) for m, workers in lanes.items() if workers}
    except StoreUnavailable as exc:
        checks["store"] = False
        checks["detail"] = str(exc)
    good = bool(checks["broker"] and checks["store"] and checks.get("workers"))
    return JSONResponse({"ready": good, **checks}, 200 if good else 503)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics() -> Response:
    """Of this front process; workers serve their own."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
