"""A completion: ask the upstreams of its alias in turn, and write what the first good one streams into the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from contracts.errors import EngineStopped, problem
from contracts.jobs import CompletionRecipe
from contracts.ports import Assignment, Claim, Committed, Output, Part
from contracts.records import CompletionEnd, StartHeaders
from contracts.units import Unit
from workers.llm_proxy import metrics
from workers.llm_proxy.chunks import storable
from workers.llm_proxy.config import Route
from workers.llm_proxy.failures import RequestRefused, UpstreamFailed
from workers.llm_proxy.routing import Health, Rounds, Router
from workers.llm_proxy.upstream import Answer, Upstream
from workers.llm_proxy.writing import Writing
from workers.main import Bench

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pool:
    """The upstreams of a worker, by name, and the routes of each alias."""

    upstreams: Mapping[str, Upstream]
    health: Mapping[str, Health]
    router: Router
    routes: Mapping[str, Sequence[Route]]


def pool_of(upstreams: Mapping[str, Upstream], routes: Mapping[str, Sequence[Route]]) -> Pool:
    """All of them healthy and free."""
    health = {n: Health(u.config.cooldown_s, u.config.cooldown_max_s) for n, u in upstreams.items()}
    for name, known in health.items():
        metrics.COOLDOWN_SECONDS.labels(name).set_function(partial(getattr, known, "cooldown_s"))
    return Pool(upstreams, health, Router({n: u.config.parallel for n, u in upstreams.items()}, health), routes)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of an attempt. writer: of its records; empty: it has written none. failure None: it is complete."""

    answer: Answer
    writer: str
    failure: UpstreamFailed | None


class CompletionRenderer:
    """Completions of one worker. gather_s: see Writing; retries: see Rounds."""

    def __init__(self, bench: Bench, pool: Pool, *, gather_s: float, retries: int) -> None:
        self._log, self._worker = bench.store.log_writer, bench.worker
        self._pool, self._gather_s, self._retries = pool, gather_s, retries

    async def render(self, claim: Claim, task: Assignment, *, alone: bool, stop: asyncio.Event) -> Output:  # noqa: ARG002
        """See Renderer.render. The records before the last one are in the log already."""
        return await _unless(stop, self._complete(claim, task))

    async def settled(self, unit: Unit, task: Assignment, output: Output, committed: Committed) -> None:
        """See Renderer.settled: the records are all there is."""

    async def _complete(self, claim: Claim, task: Assignment) -> Output:
        alias = CompletionRecipe.model_validate(task.recipe).model
        if alias not in self._pool.routes:
            return Output("error", problem("unknown-model", 404, f"There is no model {alias!r} here.", field="model"))
        request = _request(task.text)
        if request is None:
            return Output("error", problem("invalid-request", 400, "The request is no JSON object."))
        rounds, writer = Rounds(self._pool.routes[alias], self._retries), ""
        while routes := rounds.routes:
            async with self._pool.router.place(routes) as route:
                try:
                    tried = await self._attempt(claim, route, request)
                except RequestRefused as exc:
                    return Output("error", _refused(route, exc), writer=writer)
            writer = tried.writer or writer
            if tried.failure is None:
                return _end(claim.unit, route, tried)
            self._note(claim, route, tried.failure)
            await asyncio.sleep(rounds.failed(route, tried.failure, begun=bool(tried.writer)))
        said = "; ".join(f"{upstream}: {words}" for upstream, words in rounds.said.items())
        return Output("error", storable(problem("upstream-failed", 502, f"No upstream answers. {said}")), writer=writer)

    async def _attempt(self, claim: Claim, route: Route, request: Mapping[str, Any]) -> _Tried:
        """Ask one upstream. Raises RequestRefused; EngineStopped if the log does not take its records any more."""
        upstream, health = self._pool.upstreams[route.upstream], self._pool.health[route.upstream]
        start = StartHeaders(
            i=claim.unit.index, a=claim.attempt, w=self._worker, upstream=route.upstream, model=route.model
        )
        writer, asked_at, answer, failure = f"{self._worker}:{secrets.token_hex(4)}", health.now(), Answer(), None
        part = Part("start", start.model_dump())
        async with Writing(self._log, claim.unit, writer, part, self._gather_s) as writing:
            try:
                with metrics.IN_FLIGHT.labels(route.upstream).track_inprogress():
                    async with contextlib.aclosing(upstream.complete(route.model, request, answer)) as chunks:
                        async for chunk in chunks:
                            if chunk.token and not writing.begun:
                                health.answered()
                            await writing.add(chunk)
            except UpstreamFailed as exc:
                failure = exc
                if exc.cools:
                    health.failed(asked_at, exc.retry_after_s)
            if failure is None or writing.begun:
                _measure(route.upstream, answer)
                await writing.end()
                return _Tried(answer, writer, failure)
        return _Tried(answer, "", failure)

    def _note(self, claim: Claim, route: Route, failure: UpstreamFailed) -> None:
        metrics.FAILURES.labels(route.upstream, failure.kind).inc()
        facts = {"unit": str(claim.unit), "upstream": route.upstream, "model": route.model}
        logger.warning("upstream failed", extra={**facts, "kind": failure.kind, "error": failure.said})


def _request(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _end(unit: Unit, route: Route, tried: _Tried) -> Output:
    answer = tried.answer
    end = CompletionEnd(
        i=unit.index, finish_reason=answer.finish_reason, usage=None if answer.usage is None else dict(answer.usage),
        upstream=route.upstream, model=route.model, ttft_ms=answer.ttft_ms, g=answer.ms, a=0, w="",
    )  # fmt: skip
    headers = storable(end.model_dump(exclude={"a", "w"}))
    return Output("eos", headers, gen_ms=end.g, writer=tried.writer)


def _refused(route: Route, refusal: RequestRefused) -> Mapping[str, Any]:
    """RFC 9457 members and `upstream_error`, the upstream's own."""
    metrics.FAILURES.labels(route.upstream, "request").inc()
    said = f"Upstream {route.upstream!r} refuses the request: {refusal.error.get('message') or refusal.status}"
    members = {**problem("request-refused", refusal.status, said), "upstream_error": refusal.error}
    found: Mapping[str, Any] = storable(members)
    return found


def _measure(upstream: str, answer: Answer) -> None:
    if not answer.tokens:
        return
    counted = answer.usage.get("completion_tokens") if answer.usage else None
    tokens = counted if isinstance(counted, int) and counted > 0 else answer.tokens
    metrics.TTFT_SECONDS.labels(upstream).observe(answer.ttft_ms / 1000)
    metrics.TOKENS.labels(upstream).inc(tokens)
    if tokens > 1 and answer.ms > answer.ttft_ms:
        metrics.TOKENS_PER_SECOND.labels(upstream).observe((tokens - 1) * 1000 / (answer.ms - answer.ttft_ms))


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """Do it; give it up as soon as `stop` is set, and raise EngineStopped once it has let go of everything."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise EngineStopped("the completion was stopped")
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)
