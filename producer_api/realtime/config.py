"""What a session is set to. Clients say it in the words of the GA protocol, or of the beta before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_serializer

from contracts import voices
from contracts.errors import BadInput
from producer_api.speech.request import named, voice_of

PCM_RATE = 24_000
WaveFormat = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
_BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_TO_BETA = {ga: beta for beta, ga in _BETA_FORMATS.items()}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)  # fields of other servers' sessions change nothing


class Format(_Part):
    """Of sound, mono. rate: Hz; 8,000 for G.711."""

    type: WaveFormat = "audio/pcm"
    rate: int = Field(default=PCM_RATE, ge=8_000, le=48_000)

    @property
    def hz(self) -> int:
        """Samples per second on the wire."""
        return self.rate if self.type == "audio/pcm" else 8_000

    @model_serializer
    def _shown(self) -> dict[str, Any]:
        return {"type": self.type, "rate": self.rate} if self.type == "audio/pcm" else {"type": self.type}


class Transcription(_Part):
    """How the client is heard. model: whisper, or a name of OpenAI's, which means the same here."""

    model: str = "whisper"
    language: str | None = None
    prompt: str | None = None


class ServerVad(_Part):
    """A turn ends with a silence. threshold and prefix_padding_ms are accepted; our detector sets its own."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=10_000)
    silence_duration_ms: int = Field(default=500, ge=100, le=10_000)
    idle_timeout_ms: int | None = Field(default=None, ge=1_000, le=600_000)
    """After so long without a word behind a reply, the model says something by itself."""
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(_Part):
    """A turn ends when it sounds like an end, or with a long silence; eagerness says how long that is."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    @property
    def patience_s(self) -> float:
        """The longest silence inside a turn."""
        return {"low": 8.0, "medium": 4.0, "auto": 4.0, "high": 2.0}[self.eagerness]


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Input(_Part):
    """The client's sound. turn_detection null: the client says when a turn ends (push to talk)."""

    format: Format = Format()
    transcription: Transcription | None = Transcription()
    turn_detection: TurnDetection | None = ServerVad()


class Output(_Part):
    """Our sound. voice: as at /v1/audio/speech."""

    format: Format = Format()
    voice: Annotated[str, BeforeValidator(named)] = voices.MODELS["kokoro"].default_voice
    speed: float = Field(default=1.0, ge=0.25, le=1.5)


class Audio(_Part):
    """Both directions."""

    input: Input = Input()
    output: Output = Output()


class Config(_Part):
    """One session's. model: alias of a language model."""

    model: str = ""
    instructions: str = Field(default="", max_length=200_000)
    output_modalities: list[Literal["text", "audio"]] = Field(default=["audio"], min_length=1, max_length=1)
    audio: Audio = Audio()
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] = "auto"
    max_output_tokens: int | Literal["inf"] = "inf"
    temperature: float | None = Field(default=None, ge=0, le=2)
    language: str | None = None
    """Of the voice: ours; the voice's own if absent."""

    @property
    def speaks(self) -> bool:
        """Whether responses are spoken."""
        return self.output_modalities == ["audio"]

    def updated(self, changes: Mapping[str, Any], of: str = "session") -> Config:
        """With what a `session.update` (or `response.create`, see `of`) says. Raises BadInput."""
        if of == "session" and changes.get("type", "realtime") != "realtime":
            raise BadInput("session.type: only `realtime` is served here.", field="session.type")
        try:
            found = Config.model_validate(_merged(self.model_dump(), _of_any_generation(changes)))
        except ValidationError as exc:
            first = exc.errors(include_input=False)[0]
            field = f"{of}." + ".".join(str(part) for part in first["loc"])
            raise BadInput(f"{field}: {first['msg']}.", field=field) from exc
        voices.parse_mix(voice_of(found.audio.output.voice))
        return found

    def shown(self, session: str, *, beta: bool) -> dict[str, Any]:
        """As `session.created` and `session.updated` have it."""
        said = self.model_dump(exclude={"temperature", "language"})
        if not beta:
            return {"type": "realtime", "object": "realtime.session", "id": session, **said}
        heard, spoken = self.audio.input, self.audio.output
        return {
            "object": "realtime.session", "id": session, "model": self.model, "instructions": self.instructions,
            "modalities": ["text", "audio"] if self.speaks else ["text"], "voice": spoken.voice, "speed": spoken.speed,
            "input_audio_format": _TO_BETA[heard.format.type], "output_audio_format": _TO_BETA[spoken.format.type],
            "input_audio_transcription": said["audio"]["input"]["transcription"],
            "turn_detection": said["audio"]["input"]["turn_detection"], "tools": self.tools,
            "tool_choice": self.tool_choice, "temperature": self.temperature or 0.8,
            "max_response_output_tokens": self.max_output_tokens,
        }  # fmt: skip


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Objects are merged, all else replaced; a turn detection of another type begins anew."""
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        same_kind = isinstance(before, dict) and isinstance(value, dict) and before.get("type") == value.get("type")
        typeless = isinstance(value, dict) and "type" not in value
        merged[name] = _merged(before, value) if isinstance(before, dict) and (same_kind or typeless) else value
    return merged


def _of_any_generation(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The beta's flat fields at their place of today."""
    found: dict[str, Any] = {}
    for name, (path, convert) in _BETA.items():
        if name in changes:
            value = convert(changes[name])
            for step in reversed(path):
                value = {step: value}
            found = _merged(found, value)
    return _merged(found, {name: value for name, value in changes.items() if name not in _BETA})


def _format(value: Any) -> Any:  # noqa: ANN401  whatever a client has sent
    return {"type": _BETA_FORMATS.get(value, value)} if isinstance(value, str) else value


def _modalities(value: Any) -> Any:  # noqa: ANN401
    return (["audio"] if "audio" in value else ["text"]) if isinstance(value, list) else value


def _same(value: Any) -> Any:  # noqa: ANN401
    return value


_BETA: dict[str, tuple[tuple[str, ...], Any]] = {
    "modalities": (("output_modalities",), _modalities),
    "voice": (("audio", "output", "voice"), _same),
    "speed": (("audio", "output", "speed"), _same),
    "input_audio_format": (("audio", "input", "format"), _format),
    "output_audio_format": (("audio", "output", "format"), _format),
    "input_audio_transcription": (("audio", "input", "transcription"), _same),
    "turn_detection": (("audio", "input", "turn_detection"), _same),
    "max_response_output_tokens": (("max_output_tokens",), _same),
}
