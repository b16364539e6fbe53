"""The real front with one file more: the recorder of the tests, which its policy lets the page load from nowhere else.

Run as `python -m browser.listened_front`.
"""

from __future__ import annotations

from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from producer_api.app import create_app
from producer_api.protocol import CuttableHttp
from producer_api.settings import FrontSettings


def listened(settings: FrontSettings) -> FastAPI:
    """The application of the front, with /test."""
    app = create_app(settings)
    app.mount("/test", StaticFiles(directory=Path(__file__).parent))
    return app


if __name__ == "__main__":
    settings = FrontSettings()
    uvicorn.run(listened(settings), port=settings.port, access_log=False, http=CuttableHttp)
