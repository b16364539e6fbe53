"""Kokoro without the silence: its graph cut in two, and most silent frames left out in between.

The first half (4 % of the time) predicts durations, pitch and loudness per frame of 25 ms; the second half (96 %) makes
sound of frames. Loudness says where the sound begins and ends, 0.2 to 0.4 s from either end of every utterance; frames
beyond that carry nothing and cost as much as speech.

Leaving them out alone makes speech 2 to 5 dB softer and its last 100 ms 10 dB softer, because the second half
normalises every channel by its mean and variance over time, silence included. So its means over time become weighted
means, in which the frames next to a gap stand for the frames that are missing. (Limiting the durations of the padding
tokens in the first half is not possible: the melody then begins too early, and first words are lost.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.tts.engines.onnx_wire import Graph, Node, make_node

FEATURES = "/encoder/MatMul_1_output_0"
"""float32 (1, 512, frames)."""
PITCH = "/encoder/Reshape_output_0"
"""float32 (1, 2 * frames)."""
LOUDNESS = "/encoder/Reshape_1_output_0"
"""float32 (1, 2 * frames); a logarithm: about -10 in silence, 9 at the loudest."""
DURATIONS = "/encoder/Clip_output_0"
"""float32 (1, tokens): frames of each token, the padding at both ends included."""
AUDIO = "audio"
FRAME = 600
"""Samples per frame."""

_BETWEEN = {FEATURES: (1, 512, "frames"), PITCH: (1, "half_frames"), LOUDNESS: (1, "half_frames")}
_WEIGHTS = {1: "weights_1", 2: "weights_2", 20: "weights_20", 120: "weights_120"}
"""Input per rate of the second half, in steps per frame; shape (steps, 1), sum 1. The last has one step more."""
_BLOCK = re.compile(r"/decoder/decoder/(?:generator/(noise_res|resblocks)\.(\d)|(encode|decode\.\d)/(norm\d))")

_AUDIBLE = 14.0
"""Below the loudest half frame by more than this is silence. Over all 54 voices the sound then begins within 20 ms of
where it does in the audio, and ends at most 75 ms later."""
_KEPT_OUTSIDE = 2
"""Silent frames that stay at the very beginning and end: convolutions see the same edge as before."""
_KEPT_BEFORE, _KEPT_AFTER = 3, 4
"""Silent frames that stay before the first and after the last sound."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which frames are rendered, ascending, and how many frames each stands for."""

    frames: NDArray[np.int64]
    weights: NDArray[np.float64]

    def samples(self, durations: NDArray[np.float32]) -> NDArray[np.int64]:
        """Where each token begins in the audio, and where the last one ends. durations: shape (tokens,)."""
        frames = np.concatenate([[0], np.cumsum(durations.astype(np.int64))])
        return FRAME * np.searchsorted(self.frames, frames).astype(np.int64)


def halves(model: bytes) -> tuple[bytes, bytes] | None:
    """The two models; None if this is not the export whose parts we know by name. Raises ValueError if damaged."""
    graph = Graph(model)
    if not {FEATURES, PITCH, LOUDNESS, DURATIONS, AUDIO} <= {name for node in graph.nodes for name in node.outputs}:
        return None
    means = {
        node.name: mean
        for node in graph.nodes
        if node.op == "ReduceMean" and (mean := _weighted_mean(node)) is not None
    }
    if not means:
        return None
    first = graph.part(dict.fromkeys(("tokens", "style", "speed"), ()), {**_BETWEEN, DURATIONS: (1, "tokens")})
    weights = {name: (f"steps_{rate}", 1) for rate, name in _WEIGHTS.items()}
    second = graph.part({**_BETWEEN, "style": (1, 256), **weights}, {AUDIO: ("samples",)}, means)
    return first, second


def plan(loudness: NDArray[np.float32]) -> Plan:
    """Leave out the middle of the silence at both ends. loudness: shape (2 * frames,)."""
    total = loudness.size // 2
    audible = np.flatnonzero(loudness > loudness.max() - _AUDIBLE)
    begin, end = int(audible[0]) // 2, int(audible[-1]) // 2 + 1
    weights = np.ones(total)
    kept = np.ones(total, bool)
    for start, stop in ((_KEPT_OUTSIDE, begin - _KEPT_BEFORE), (end + _KEPT_AFTER, total - _KEPT_OUTSIDE)):
        if stop > start:
            kept[start:stop] = False
            weights[[start - 1, stop]] += (stop - start) / 2
    frames = np.flatnonzero(kept)
    return Plan(frames, weights[frames])


def second_inputs(
    features: NDArray[np.float32], pitch: NDArray[np.float32], loudness: NDArray[np.float32], chosen: Plan
) -> dict[str, NDArray[np.float32]]:
    """Inputs of the second half, `style` apart, for the frames of a plan."""
    half = np.stack([2 * chosen.frames, 2 * chosen.frames + 1], axis=1).ravel()
    inputs = {
        FEATURES: np.ascontiguousarray(features[:, :, chosen.frames]),
        PITCH: np.ascontiguousarray(pitch[:, half]),
        LOUDNESS: np.ascontiguousarray(loudness[:, half]),
    }
    for rate, name in _WEIGHTS.items():
        steps = np.repeat(chosen.weights, rate)
        if rate == max(_WEIGHTS):
            steps = np.append(steps, chosen.weights[-1])
        inputs[name] = (steps / steps.sum()).astype(np.float32)[:, np.newaxis]
    return inputs


def _weighted_mean(node: Node) -> Node | None:
    """A ReduceMean over time in the second half as a product with weights; None for any other node."""
    match = _BLOCK.match(node.name)
    if match is None:
        return None
    block, index, stage, norm = match.groups()
    if block == "noise_res":
        rate = 20 if index == "0" else 120
    elif block == "resblocks":
        rate = 20 if index in "012" else 120
    else:
        rate = 2 if (stage, norm) == ("decode.3", "norm2") else 1
    return make_node(node.name, "MatMul", (node.inputs[0], _WEIGHTS[rate]), node.outputs)
