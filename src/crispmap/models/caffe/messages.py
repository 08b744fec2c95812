"""Caffe's messages, as far as they are read here: their fields by name, number and type.

The numbers are those of Caffe's ``caffe.proto``, and of the data layer that Maggiori et al. added to it. Other fields
are skipped. Nested messages are read as bytes first, so that their number is known before any of them is parsed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PACKAGE = "crispmap.caffe"
_Type = descriptor_pb2.FieldDescriptorProto

_SIZES = {"pad": (3, "*uint32"), "kernel_size": (4, "*uint32"), "stride": (6, "*uint32")}

_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Net": {"name": (1, "bytes"), "layers_before_2014": (2, "*bytes"), "layer": (100, "*bytes")},
    "Layer": {
        "name": (1, "bytes"), "type": (2, "bytes"), "bottom": (3, "*bytes"), "top": (4, "*bytes"),
        "blobs": (7, "*bytes"), "concat": (104, "bytes"), "convolution": (106, "bytes"), "eltwise": (110, "bytes"),
        "pooling": (121, "bytes"), "relu": (123, "bytes"), "batch_norm": (139, "bytes"),
        "image_pair_data": (150, "bytes"),
    },
    "Blob": {"data": (5, "*float"), "shape": (7, "bytes")},
    "Shape": {"dim": (1, "*int64")},
    "Concat": {"concat_dim": (1, "uint32=1"), "axis": (2, "int32=1")},
    "Convolution": {
        "num_output": (1, "uint32"), "bias_term": (2, "bool=true"), **_SIZES, "group": (5, "uint32=1"),
        "pad_h": (9, "uint32"), "pad_w": (10, "uint32"), "kernel_h": (11, "uint32"), "kernel_w": (12, "uint32"),
        "stride_h": (13, "uint32"), "stride_w": (14, "uint32"), "axis": (16, "int32=1"), "dilation": (18, "*uint32"),
    },
    "Eltwise": {"operation": (1, "int32=1"), "coeff": (2, "*float")},
    "Pooling": {
        "pool": (1, "int32=0"), "kernel_size": (2, "uint32"), "stride": (3, "uint32=1"), "pad": (4, "uint32=0"),
        "kernel_h": (5, "uint32"), "kernel_w": (6, "uint32"), "stride_h": (7, "uint32"), "stride_w": (8, "uint32"),
        "pad_h": (9, "uint32"), "pad_w": (10, "uint32"), "global_pooling": (12, "bool=false"),
    },
    "ReLU": {"negative_slope": (1, "float=0")},
    "BatchNorm": {"eps": (3, "float=1e-5")},
    "ImagePairData": {
        "scale": (2, "float=1"), "mean": (3, "float=127"), "h_img": (9, "uint32"), "w_img": (10, "uint32"),
        "h_map": (11, "uint32"), "w_map": (12, "uint32"), "channels": (13, "uint32=3"),
    },
}  # fmt: skip
"""The fields by message: number and type, ``*`` for a repeated one, ``=`` before a default."""


def parsed(message: str, content: bytes) -> Any:
    """Return a parsed message, such as a "Layer".

    Raises:
        ValueError: If the bytes are truncated or not a protobuf message.
    """
    try:
        return _classes()[message].FromString(content)
    except DecodeError as error:
        raise ValueError("it is truncated, or not a protobuf message") from error


@cache
def _classes() -> dict[str, Any]:
    """Return the classes of the messages by name."""
    file = descriptor_pb2.FileDescriptorProto(name="crispmap/caffe.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            message.field.append(_field(field, number, kind))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FIELDS}


def _field(name: str, number: int, kind: str) -> descriptor_pb2.FieldDescriptorProto:
    kind, _, usual = kind.partition("=")
    field = _Type(name=name, number=number, label=_Type.LABEL_REPEATED if kind[0] == "*" else _Type.LABEL_OPTIONAL)
    field.type = _Type.Type.Value(f"TYPE_{kind.removeprefix('*').upper()}")
    if usual:
        field.default_value = usual
    return field
