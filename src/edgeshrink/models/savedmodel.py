"""The notes that Keras 2 leaves in a SavedModel folder, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeshrink.errors import ModelError
from edgeshrink.models.kind import parsed_json, require_path
from edgeshrink.models.protobuf import Message


def keras_config(metadata: Path) -> dict[str, Any]:
    """Return the model's configuration in a Keras 2 SavedModel's keras_metadata.pb."""
    for node in keras_nodes(metadata):
        if node["path"] == "root":
            return node
    raise ModelError(f"{metadata.name} does not describe a Keras model")


def keras_nodes(metadata: Path) -> list[dict[str, Any]]:
    """Return the JSON notes of every object in keras_metadata.pb, each with its `path`."""
    require_path(metadata)
    nodes = []
    try:
        for number, node in Message(metadata.read_bytes()):
            values = dict(Message(node)) if number == 1 and isinstance(node, bytes) else {}
            notes, place = values.get(5), values.get(3)
            if isinstance(notes, bytes) and isinstance(place, bytes):
                nodes.append({**_lists(parsed_json(notes, metadata.name)), "path": place.decode()})
    except (IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{metadata.name} is truncated or damaged") from error
    return nodes


def _lists(value: Any) -> Any:
    """Return JSON with TensorFlow's tagged tuples and shapes as plain lists."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
            return [_lists(v) for v in value["items"]]
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, list) else value
