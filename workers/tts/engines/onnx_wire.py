"""Just enough of ONNX's serialized form to cut a model in two: a protobuf message is a list of tagged fields.

The package `onnx` does this too, but parsing 90 MB of weights into objects and back takes it more than a second and
300 MB at every start; here weights are only copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_ELEM, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE, _DIM_PARAM = 1, 1, 2, 1, 1, 2
_FLOAT = 1
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5

Shape = Sequence[int | str]
"""Sizes, or names of sizes that vary."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, and its bytes as they stand in the graph, tag included."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    raw: bytes


class Graph:
    """A parsed model. Raises ValueError for bytes that are none."""

    def __init__(self, model: bytes) -> None:
        self.nodes: list[Node] = []
        self._initializers: dict[str, tuple[int, int]] = {}
        self._inputs: dict[str, bytes] = {}
        self._outputs: dict[str, bytes] = {}
        self._name = b""
        self._head: list[bytes] = []
        self._model = model
        for number, at, start, end in _fields(model, 0, len(model)):
            if number == _MODEL_GRAPH:
                self._read(start, end)
            else:
                self._head.append(model[at:end])
        if not self.nodes:
            raise ValueError("no graph: not an ONNX model")

    def part(
        self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], replaced: Mapping[str, Node] | None = None
    ) -> bytes:
        """A model that computes `outputs` from `inputs` (float32; those the whole model has keep their own type).

        replaced: other operations, by the name of the node they stand for. Raises ValueError when something that is
        needed is neither computed nor given.
        """
        nodes = [(replaced or {}).get(node.name, node) for node in self.nodes]
        kept, names = self._needed(nodes, set(inputs), list(outputs))
        graph = [node.raw for node in kept]
        graph.append(self._name)
        graph += [self._model[slice(*self._initializers[name])] for name in names]
        graph += [self._inputs.get(name) or _field(_GRAPH_INPUT, _value(name, inputs[name])) for name in inputs]
        graph += [self._outputs.get(name) or _field(_GRAPH_OUTPUT, _value(name, outputs[name])) for name in outputs]
        size = sum(map(len, graph))
        return b"".join([*self._head, _varint(_MODEL_GRAPH << 3 | _LEN), _varint(size), *graph])

    def _needed(self, nodes: list[Node], given: set[str], wanted: list[str]) -> tuple[list[Node], list[str]]:
        """Nodes in their order, and names of initializers, that lead to `wanted`."""
        producer = {name: node for node in nodes for name in node.outputs if name}
        seen: set[str] = set()
        keep: set[int] = set()
        initializers: list[str] = []
        while wanted:
            name = wanted.pop()
            if not name or name in seen or name in given:
                continue
            seen.add(name)
            if name in self._initializers:
                initializers.append(name)
            elif name in producer:
                keep.add(id(producer[name]))
                wanted.extend(producer[name].inputs)
            else:
                raise ValueError(f"nothing computes {name!r}")
        return [node for node in nodes if id(node) in keep], initializers

    def _read(self, begin: int, end: int) -> None:
        model = self._model
        for number, at, start, stop in _fields(model, begin, end):
            if number == _GRAPH_NODE:
                self.nodes.append(_node(model[at:stop], model[start:stop]))
            elif number == _GRAPH_NAME:
                self._name = model[at:stop]
            elif number == _GRAPH_INITIALIZER:
                self._initializers[_name(model, start, stop, _TENSOR_NAME)] = (at, stop)
            elif number == _GRAPH_INPUT:
                self._inputs[_name(model, start, stop, _VALUE_NAME)] = model[at:stop]
            elif number == _GRAPH_OUTPUT:
                self._outputs[_name(model, start, stop, _VALUE_NAME)] = model[at:stop]


def make_node(name: str, op: str, inputs: Sequence[str], outputs: Sequence[str]) -> Node:
    """An operation without attributes."""
    parts = [_text(_NODE_INPUT, i) for i in inputs] + [_text(_NODE_OUTPUT, o) for o in outputs]
    value = b"".join([*parts, _text(_NODE_NAME, name), _text(_NODE_OP, op)])
    return Node(name, op, tuple(inputs), tuple(outputs), _field(_GRAPH_NODE, value))


def _node(raw: bytes, value: bytes) -> Node:
    found: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [""], _NODE_OP: [""]}
    for number, _, start, stop in _fields(value, 0, len(value)):
        if number in found:
            found[number].append(value[start:stop].decode())
    return Node(found[_NODE_NAME][-1], found[_NODE_OP][-1], tuple(found[_NODE_INPUT]), tuple(found[_NODE_OUTPUT]), raw)


def _name(data: bytes, begin: int, end: int, field: int) -> str:
    for number, _, start, stop in _fields(data, begin, end):
        if number == field:
            return data[start:stop].decode()
    return ""


def _value(name: str, shape: Shape) -> bytes:
    """A float32 ValueInfo."""
    sizes = [
        _text(_DIM_PARAM, size) if isinstance(size, str) else _varint(_DIM_VALUE << 3 | _VARINT) + _varint(size)
        for size in shape
    ]
    dims = b"".join(_field(_SHAPE_DIM, size) for size in sizes)
    tensor = _varint(_TENSOR_ELEM << 3 | _VARINT) + _varint(_FLOAT) + _field(_TENSOR_SHAPE, dims)
    return _text(_VALUE_NAME, name) + _field(_VALUE_TYPE, _field(_TYPE_TENSOR, tensor))


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
