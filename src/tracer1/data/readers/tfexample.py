"""``tf.train.Example`` messages without TensorFlow: lists of bytes, integers or floats by name.

The messages are declared here (https://github.com/tensorflow/tensorflow, core/example/example.proto and feature.proto)
in a descriptor pool of their own, so that they do not clash with those of an imported TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

from tracer1.errors import DataError

Values = list[bytes] | list[int] | list[float]


def decode_example(data: bytes, where: str = "record") -> dict[str, Values]:
    """The values of each feature by name; a feature without a kind has none.

    Raises DataError, beginning with ``where``, if the bytes are another message or hold no feature. A hostile message
    takes up to fifty times its size in memory: limit the record (``limit`` of ``read_tfrecord``).
    """
    example = _example()()
    try:
        example.ParseFromString(data)
    except message.DecodeError as error:
        raise DataError(f"{where}: not a tf.train.Example: {error}") from error
    if len(UnknownFieldSet(example)) or len(UnknownFieldSet(example.features)):
        raise DataError(f"{where}: not a tf.train.Example: it has unknown fields")
    features = example.features.feature
    if not features or "" in features:
        raise DataError(f"{where}: not a tf.train.Example: it has no named feature")
    return {name: _values(feature) for name, feature in features.items()}


def encode_example(features: Mapping[str, Sequence[bytes] | Sequence[int] | Sequence[float]]) -> bytes:
    """The bytes of an Example, equal for equal features. Raises DataError if a feature mixes kinds."""
    example = _example()()
    for name, values in features.items():
        kind = _KINDS.get(type(values[0]) if values else bytes)
        if not name or kind is None or any(type(value) is not type(values[0]) for value in values):
            raise DataError(f"feature {name!r}: it needs a name, and values that are all bytes, all int or all float")
        try:
            getattr(example.features.feature[name], kind).value.extend(values)
        except ValueError as error:
            raise DataError(f"feature {name!r}: {error}") from error
    encoded: bytes = example.SerializeToString(deterministic=True)
    return encoded


_KINDS: dict[type, str] = {bytes: "bytes_list", float: "float_list", int: "int64_list"}


def _values(feature: Any) -> Values:
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


@cache
def _example() -> Any:
    """The class of the message Example."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="tracer1/example.proto", package="tensorflow", syntax="proto3")
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED

    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(name="value", number=1, label=many, type=kind)

    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        type_name = f".tensorflow.{name.title().replace('_', '')}"
        feature.field.add(
            name=name, number=number, label=one, type=field.TYPE_MESSAGE, type_name=type_name, oneof_index=0
        )

    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry", options=descriptor_pb2.MessageOptions(map_entry=True))
    entry.field.add(name="key", number=1, label=one, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=field.TYPE_MESSAGE, type_name=".tensorflow.Feature")
    features.field.add(
        name="feature", number=1, label=many, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features.FeatureEntry"
    )

    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, label=one, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features")

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
