"""One edit of Kokoro's ONNX graph: a limit on how long each token may last, as an input of its own.

Kokoro gives the padding token before the first sound 13 to 19 frames of 25 ms and computes that silence like speech.
Its graph predicts durations, rounds them, clips them at 1 from below, and repeats every token so often; a Min between
the last two steps lets the caller say how long silence may be. Weights are not touched.

The edit is made on the serialized bytes: a protobuf message is a list of tagged fields, and three of them change. The
package `onnx` would do the same in one second more at every start, and with 300 MB.
"""

from __future__ import annotations

from collections.abc import Iterator

LIMIT_INPUT = "max_frames"
"""float32, shape (1, tokens): upper bound of each token's duration in frames."""
FRAME_SAMPLES = 600
"""Samples at 24,000 Hz per frame of duration."""

_DURATIONS = "/encoder/Clip_output_0"
_FREE = "unlimited_durations"

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INPUT = 1, 11
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_ELEM, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE, _DIM_PARAM = 1, 1, 2, 1, 1, 2
_FLOAT = 1
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5


def limit_durations(model: bytes) -> bytes | None:
    """The model with LIMIT_INPUT added; None if it is not the export that this edit knows.

    Raises ValueError for damaged bytes.
    """
    for number, at, begin, end in _fields(model, 0, len(model)):
        if number == _MODEL_GRAPH:
            graph = _edit_graph(model, begin, end)
            return None if graph is None else b"".join((model[:at], _field(_MODEL_GRAPH, graph), model[end:]))
    return None


def _edit_graph(model: bytes, begin: int, end: int) -> bytes | None:
    for number, at, start, stop in _fields(model, begin, end):
        if number == _GRAPH_NODE and (node := _renamed(model[start:stop])) is not None:
            limit = b"".join((
                _text(_NODE_INPUT, _FREE), _text(_NODE_INPUT, LIMIT_INPUT), _text(_NODE_OUTPUT, _DURATIONS),
                _text(_NODE_NAME, "limit_durations"), _text(_NODE_OP, "Min"),
            ))  # fmt: skip
            nodes = _field(_GRAPH_NODE, node) + _field(_GRAPH_NODE, limit)
            return b"".join((model[begin:at], nodes, model[stop:end], _field(_GRAPH_INPUT, _limit_input())))
    return None


def _renamed(node: bytes) -> bytes | None:
    """The node that makes the durations, with another name for its output; None for every other node."""
    for number, at, start, stop in _fields(node, 0, len(node)):
        if number == _NODE_OUTPUT and node[start:stop] == _DURATIONS.encode():
            return node[:at] + _text(_NODE_OUTPUT, _FREE) + node[stop:]
    return None


def _limit_input() -> bytes:
    one = _varint(_DIM_VALUE << 3 | _VARINT) + _varint(1)
    shape = _field(_SHAPE_DIM, one) + _field(_SHAPE_DIM, _text(_DIM_PARAM, "sequence_length"))
    tensor = _varint(_TENSOR_ELEM << 3 | _VARINT) + _varint(_FLOAT) + _field(_TENSOR_SHAPE, shape)
    return _text(_VALUE_NAME, LIMIT_INPUT) + _field(_VALUE_TYPE, _field(_TYPE_TENSOR, tensor))


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, where its tag is, where its value begins, where it ends) of every field. Raises ValueError."""
    while at < end:
        tag, start = _read_varint(data, at)
        kind = tag & 7
        if kind == _LEN:
            size, start = _read_varint(data, start)
            stop = start + size
        elif kind == _VARINT:
            _, stop = _read_varint(data, start)
        elif kind in {_I64, _I32}:
            stop = start + (8 if kind == _I64 else 4)
        else:
            raise ValueError(f"wire type {kind} at byte {at}: not an ONNX model")
        if stop > end:
            raise ValueError(f"the field at byte {at} ends outside: the model is cut off")
        yield tag >> 3, at, start, stop
        at = stop


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"no number at byte {at}: not an ONNX model")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _LEN) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())
