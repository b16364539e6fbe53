"""`python -m producer_api`: one front process, configured by the environment."""

from __future__ import annotations

import logging
import resource
import sys

import uvicorn

from contracts.errors import CastlineError
from producer_api.app import create_app
from producer_api.protocol import CuttableHttp
from producer_api.settings import FrontSettings


def main() -> None:
    """Serve until SIGTERM."""
    settings = FrontSettings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s front %(name)s %(levelname)s %(message)s")
    try:
        app = create_app(settings)
    except CastlineError as exc:
        sys.exit(f"front: {exc}")
    _allow_many_connections()
    uvicorn.run(
        app, host=settings.host, port=settings.port, log_level=settings.log_level.lower(), access_log=False,
        http=CuttableHttp,
        ws_per_message_deflate=False,  # 0.5 MB a connection, for audio that does not deflate
        timeout_graceful_shutdown=5,  # followers resume elsewhere
    )  # fmt: skip


def _allow_many_connections() -> None:
    """A follower is a file descriptor, and 1,024 is what a shell gives."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
