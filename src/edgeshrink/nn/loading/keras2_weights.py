"""The weights of Keras 2 files, set in the model that was rebuilt from their configuration."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.models import keras_nodes
from edgeshrink.nn.graph import settle
from edgeshrink.nn.loading.keras2 import Built, layer_name

# Keras 2 names of variables that Keras 3 calls otherwise.
RENAMED = {"depthwise_kernel": "kernel"}
# Where a layer keeps the layers inside it, in the order in which Keras lists their weights.
INSIDE = (
    "forward_layer",
    "backward_layer",
    "layer",
    "cell",
    "cells",
    "_query_dense",
    "_key_dense",
    "_value_dense",
    "_output_dense",
)
VALUE = "VARIABLE_VALUE"
# Where an archive keeps a model's layers. TensorFlow 2.12 and 2.13 kept them under the second name,
# in a list that has each layer with weights twice.
LAYERS, TWICE = "layers", "_layer_checkpoint_dependencies"


@dataclass(frozen=True)
class Stored:
    """One stored variable; `name` is empty in files that only number them."""

    name: str
    value: np.ndarray[Any, Any]


def set_from_h5(built: Built, path: Path) -> None:
    """Set the weights of a model from an .h5 file, where each layer lists them in order."""
    with h5py.File(path, "r") as file:
        weights = file.get("model_weights", file)
        for child in built.inside:
            group = weights.get(child.name)
            names = [] if group is None else _attribute(group, "weight_names")
            stored = [Stored(name.removesuffix(":0"), np.asarray(group[name])) for name in names]
            _assign(child, _in_order(child), stored)


def set_from_archive(built: Built, path: Path) -> None:
    """Set the weights of a model from a Keras 2 .keras archive, where classes are numbered."""
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member:
        content = io.BytesIO(member.read())
    with h5py.File(content, "r") as file:
        _from_folder(built, _folders(file))


def set_from_savedmodel(built: Built, path: Path) -> None:
    """Set the weights of a model from a Keras 2 SavedModel's checkpoint, by attribute."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    places = {
        (str(node["path"]).rpartition(".")[0], str(node.get("name"))): str(node["path"])
        for node in keras_nodes(path / "keras_metadata.pb")
    }

    def children(node: Any) -> dict[str, Any]:
        return {c.local_name: graph.nodes[c.node_id] for c in node.children}

    def variables(node: Any) -> list[list[Stored]]:
        inside = children(node)
        own = [
            Stored(name, reader.get_tensor(attribute.checkpoint_key))
            for name, child in inside.items()
            for attribute in child.attributes
            if attribute.name == VALUE and not name.startswith("_")
        ]
        groups = [own] if own else []
        # the cells of a StackedRNNCells are a list, whose children are numbers
        for name in (*INSIDE, *sorted((n for n in inside if n.isdigit()), key=int)):
            if name in inside:
                groups += variables(inside[name])
        return groups

    def fill(model: Built, node: Any, place: str) -> None:
        for child in model.inside:
            where = places.get((place, child.name))
            if where is None:
                if child.layer is not None and child.layer.weights:
                    raise ModelError(f"layer {child.name!r} is not described in {path.name}")
                continue
            inner = children(node)[where.rpartition(".")[2]]
            if child.is_model:
                fill(child, inner, where)
            elif child.layer is not None:
                targets = list(child.layer.weights)
                ordered = []
                for group in variables(inner):
                    wanted, targets = targets[: len(group)], targets[len(group) :]
                    ordered += _by_name(group, wanted, child.name)
                _assign(child, list(child.layer.weights), ordered)

    fill(built, graph.nodes[0], "root")


def _in_order(built: Built) -> list[Any]:
    """Return a layer's variables as Keras 2 lists them: those that are trained come first."""
    leaves = [leaf.layer for leaf in built.leaves() if leaf.layer is not None]
    return [v for layer in leaves for v in layer.trainable_weights] + [
        v for layer in leaves for v in layer.non_trainable_weights
    ]


def _assign(built: Built, variables: Sequence[Any], stored: Sequence[Stored]) -> None:
    if len(variables) != len(stored):
        raise ModelError(
            f"layer {built.name!r} must have {len(variables)} weights; the file has {len(stored)}"
        )
    for variable, item in zip(variables, stored, strict=True):
        name = item.name.rpartition("/")[2]
        alike = not name or variable.name in (name, RENAMED.get(name))
        if tuple(variable.shape) != item.value.shape or not alike:
            raise ModelError(
                f"layer {built.name!r}: weight {variable.path} of shape {tuple(variable.shape)} "
                f"does not fit the stored {item.name or 'one'} of shape {item.value.shape}"
            )
        variable.assign(item.value)
    for leaf in built.leaves():
        if leaf.layer is not None:
            settle(leaf.layer)


def _by_name(group: list[Stored], variables: Sequence[Any], layer: str) -> list[Stored]:
    named = {RENAMED.get(s.name, s.name): s for s in group} | {s.name: s for s in group}
    try:
        return [named[variable.name] for variable in variables]
    except KeyError as error:
        raise ModelError(f"layer {layer!r} has no stored weight {error}") from error


def _folders(file: h5py.File) -> dict[str, Any]:
    """Return a file's datasets in dicts within dicts, by the parts of their paths.

    Keras on Windows joined them by backslashes, which HDF5 takes for a part of a name.
    """
    root: dict[str, Any] = {}

    def place(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            *folders, name = path.replace("\\", "/").split("/")
            inner = root
            for folder in folders:
                inner = inner.setdefault(folder, {})
            inner[name] = item

    file.visititems(place)
    return root


def _from_folder(model: Built, folder: Mapping[str, Any]) -> None:
    layers: Mapping[str, Any] = next(
        (folder[name] for name in (LAYERS, TWICE) if name in folder), {}
    )
    config = model.data["config"]
    entries = config if isinstance(config, list) else config["layers"]
    weighty = {c.name for c in model.inside if c.layer is not None and c.layer.weights}
    counted = weighty if TWICE in folder and LAYERS not in folder else set()
    places = _places(entries, counted)
    named = {layer_name(entry): place for entry, place in zip(entries, places, strict=True)}
    for child in model.inside:
        if child.name not in weighty:
            continue
        inner = layers.get(named[child.name])
        if inner is None:
            raise ModelError(
                f"the weights of layer {child.name!r} must be stored as {named[child.name]!r}; "
                f"the file has {', '.join(sorted(layers)) or 'none'}"
            )
        if child.is_model:
            _from_folder(child, inner)
        else:
            stored = [Stored("", value) for value in _numbered(inner, child.data["config"])]
            _assign(child, list(child.layer.weights), stored)


def _places(entries: Sequence[Any], twice: Container[str] = ()) -> list[str]:
    """Return where each layer's weights are: its class in snake case, numbered from the second.

    Args:
        entries: of the layers in the configuration, in order.
        twice: names of the layers that are counted twice.
    """
    counts: Counter[str] = Counter()
    places = []
    for data in entries:
        name = re.sub(r"\W+", "", str(data["class_name"]).rpartition(">")[2])
        name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        places.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 2 if layer_name(data) in twice else 1
    return places


def _numbered(group: Mapping[str, Any], config: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the variables of a layer and those inside it, in the order of its weights."""
    variables = group.get("vars", {})
    for key in sorted(variables, key=int):
        yield np.asarray(variables[key])
    for name in INSIDE:
        if name not in group:
            continue
        if name == "cells":
            for data, place in zip(config["cells"], _places(config["cells"]), strict=True):
                yield from _numbered(group[name][place], data["config"])
        else:
            inner = config.get(name)
            yield from _numbered(group[name], inner["config"] if isinstance(inner, dict) else {})


def _attribute(group: Any, name: str) -> list[str]:
    """Return a list of names, which Keras cuts into pieces if it is over 64 KB."""
    values: list[Any] = []
    if name in group.attrs:
        values = list(group.attrs[name])
    else:
        piece = 0
        while f"{name}{piece}" in group.attrs:
            values += list(group.attrs[f"{name}{piece}"])
            piece += 1
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]
