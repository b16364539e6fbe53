"""`python -m workers.llm_proxy`: one completion worker, configured by the environment and a file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

from contracts.errors import Misconfigured
from contracts.topology import LLM_LANE
from workers.engine import EngineInfo
from workers.llm_proxy.config import Route, load_config, single_upstream
from workers.llm_proxy.failures import UpstreamFailed
from workers.llm_proxy.renderer import CompletionRenderer, Pool, pool_of
from workers.llm_proxy.settings import CompletionSettings, key_from
from workers.llm_proxy.upstream import Upstream
from workers.main import Post, Posts, run_worker
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

DEFAULT_UPSTREAM = "default"
ASK_AGAIN_S = 0.5


def main() -> None:
    """Run until SIGTERM."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per request, with its URL
    sys.exit(run_worker(completions(CompletionSettings()), WorkerSettings()))


def completions(completion: CompletionSettings) -> Posts:
    """The one post of a completion worker."""

    @contextlib.asynccontextmanager
    async def opened(settings: WorkerSettings) -> AsyncIterator[Sequence[Post]]:
        async with contextlib.AsyncExitStack() as stack:
            pool = await _open(stack, completion, settings.engine_start_s)
            slots = sum(upstream.config.parallel for upstream in pool.upstreams.values())
            info = EngineInfo(
                name="llm-proxy", model="", device_asked="", device_active="", voices=tuple(pool.routes), slots=slots,
                probe_xrt=float(slots),
            )  # fmt: skip
            gather_s, retries = completion.gather_ms / 1000, completion.retries
            yield [
                Post(LLM_LANE, info, lambda bench: CompletionRenderer(bench, pool, gather_s=gather_s, retries=retries))
            ]

    return opened


async def _open(stack: contextlib.AsyncExitStack, completion: CompletionSettings, patience_s: float) -> Pool:
    """Upstreams and routes, from the file or from what one upstream says. Raises Misconfigured."""
    if (completion.config is None) == (not completion.url):
        raise Misconfigured("set CASTLINE_LLM_CONFIG (a file) or CASTLINE_LLM_URL (one upstream), and not both")
    if completion.config is not None:
        config = load_config(completion.config)
        upstreams = {name: Upstream(name, u, key_from(u.key_env)) for name, u in config.upstreams.items()}
        routes: Mapping[str, Sequence[Route]] = config.routes()
    else:
        single = single_upstream(completion.url, completion.parallel)
        upstreams = {DEFAULT_UPSTREAM: Upstream(DEFAULT_UPSTREAM, single, completion.key.get_secret_value())}
    for upstream in upstreams.values():
        stack.push_async_callback(upstream.close)
    if completion.config is None:
        names = await _models(upstreams[DEFAULT_UPSTREAM], patience_s)
        routes = {name: [Route(DEFAULT_UPSTREAM, name)] for name in names}
    return pool_of(upstreams, routes)


async def _models(upstream: Upstream, patience_s: float) -> Sequence[str]:
    """Ask until it answers: it may be starting, too. Raises Misconfigured."""
    end = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            found = await upstream.models()
        except UpstreamFailed as exc:
            if exc.standing or asyncio.get_running_loop().time() >= end:
                raise Misconfigured(f"CASTLINE_LLM_URL: /models can not be had: {exc.said}") from exc
            logger.info("upstream does not answer yet", extra={"error": exc.said})
            await asyncio.sleep(ASK_AGAIN_S)
        else:
            if not found:
                raise Misconfigured("CASTLINE_LLM_URL: the upstream has no models")
            return found


if __name__ == "__main__":
    main()
