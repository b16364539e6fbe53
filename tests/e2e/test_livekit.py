"""livekit's OpenAI plugin, unmodified, as the client: it asks for events unless the model is tts-1 or tts-1-hd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from contracts.adapters import Address
from load_tests.system import system
from producer_api.audio.libav import RATE
from producer_api.speech.events import usage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its dependencies, when it is imported


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("livekit")
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
        running.front()
        running.worker("tone")
        running.wait_for_workers(1)
        yield running.url()


def samples_of(url: str, text: str) -> int:
    """Of the cast that the plugin has asked for, by the same recipe."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        posted = http.post("/v1/casts", json={"text": text, "voice": "tone"})
        assert posted.status_code == 200, "it is there"
        records = http.get(f"/v1/casts/{posted.json()['id']}/records").json()["records"]
    return sum(record["n"] for record in records if record["e"] == "audio")


@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "tts-1"])
@pytest.mark.parametrize("fmt", ["mp3", "pcm", "wav", "flac", "aac", "opus"])
async def test_the_plugin_hears_the_cast(url: str, model: str, fmt: str) -> None:
    from livekit.agents.metrics import TTSMetrics
    from livekit.plugins import openai

    measured: asyncio.Queue[TTSMetrics] = asyncio.Queue()
    text = f"The lamp of {uuid4().hex[:8]} was lit. Nobody had come that way for years."
    tts = openai.TTS(model=model, voice="tone", base_url=f"{url}/v1", api_key="none", response_format=fmt)
    tts.on("metrics_collected", measured.put_nowait)
    frame = await tts.synthesize(text).collect()
    async with asyncio.timeout(30):
        counted = await measured.get()
    await tts.aclose()
    assert (frame.sample_rate, frame.num_channels) == (RATE, 1)
    samples = samples_of(url, text)
    assert abs(frame.samples_per_channel - samples) <= RATE // 10, "its decoders lose or add a frame"
    tokens = usage(text, samples)
    heard_of = (counted.input_tokens, counted.output_tokens)
    assert heard_of == ((tokens["input_tokens"], tokens["output_tokens"]) if model == "gpt-4o-mini-tts" else (0, 0))


async def test_the_plugin_tells_what_is_wrong(url: str) -> None:
    from livekit.agents import APIConnectOptions, APIStatusError
    from livekit.plugins import openai

    tts = openai.TTS(voice="nobody", base_url=f"{url}/v1", api_key="none")
    with pytest.raises(APIStatusError, match="nobody") as caught:
        await tts.synthesize("Hello.", conn_options=APIConnectOptions(max_retry=0)).collect()
    await tts.aclose()
    assert caught.value.status_code == 400
