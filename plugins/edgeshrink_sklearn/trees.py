"""Decision trees in a skops file, checked before scikit-learn sees them.

Its compiled code follows a tree's numbers without looking: a child or a feature that is not there
is read beyond the memory of the tree or of the sample.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgeshrink.api import ModelError

TREE = "sklearn.tree._tree.Tree"
PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
TREES = frozenset({TREE, PREDICTOR})


def check_trees(schema: Mapping[str, Any], archive: zipfile.ZipFile, name: str) -> None:
    """Check that every tree of a skops file leads from its root to leaves, within its own nodes.

    Args:
        schema: what `schema.json` of the file says.
        archive: the file.
        name: of the file, in messages.

    Raises:
        ModelError: a tree does not, or says that it has more nodes than are there.
        KeyError, TypeError, ValueError: it is not what skops writes.
    """
    leaves: dict[Any, set[str]] = {}
    found = []
    for node in _nodes(schema):
        leaves.setdefault(node.get("__id__"), set()).add(_spelled(node))
        if f"{node.get('__module__')}.{node.get('__class__')}" in TREES:
            found.append(node)

    def value(node: Mapping[str, Any]) -> Any:
        # skops takes what has the identity of something before for that very thing
        if len(leaves[node["__id__"]]) > 1:
            raise _wrong(name, "two things in it have one identity")
        if node["__loader__"] == "JsonNode":
            return int(node["content"])
        if node["__loader__"] != "NdArrayNode" or node["type"] != "numpy":
            raise _wrong(name, f"{node['__loader__']} stands where numbers should")
        return np.load(io.BytesIO(archive.read(node["file"])), allow_pickle=False)

    for node in found:
        state = node["content"]["content"]
        nodes = value(state["nodes"])
        if node["__class__"] == "Tree":
            features, classes, outputs = map(value, node["__reduce__"]["args"]["content"])
            if value(state["node_count"]) != len(nodes) or outputs != len(classes):
                raise _wrong(name, "it says that it has more than is there")
            left, right, used = (nodes[k] for k in ("left_child", "right_child", "feature"))
            ends = left == -1
            _check_way(left[~ends], right[~ends], np.flatnonzero(~ends), len(nodes), name)
            _check_features(used[~ends], features, name)
        else:
            inner = nodes["is_leaf"] == 0
            _check_way(
                nodes["left"][inner].astype(np.int64),
                nodes["right"][inner].astype(np.int64),
                np.flatnonzero(inner),
                len(nodes),
                name,
            )
            if nodes["is_categorical"][inner].any():
                raise _wrong(name, "it splits by categories, which cannot be checked")


def check_owners(estimator: Any, name: str) -> None:
    """Check that no tree looks at features that its estimator is not given.

    Args:
        estimator: what a checked skops file held.
        name: of the file, in messages.

    Raises:
        ModelError: a tree does, or belongs to no estimator.
    """
    trees: dict[int, Any] = {}
    owned = set[int]()
    for one in _objects(estimator):
        kind = f"{type(one).__module__}.{type(one).__name__}"
        if kind in TREES:
            trees[id(one)] = one
        held = getattr(one, "__dict__", {})
        features = held.get("n_features_in_")
        if "tree_" in held:
            owned.add(id(held["tree_"]))
            _check_features(np.array([held["tree_"].n_features - 1]), features, name)
        for part in np.ravel(np.array(held.get("estimators_", ()), object)):
            inner = getattr(part, "__dict__", {})
            if "tree_" in inner:
                _check_features(np.array([inner["n_features_in_"] - 1]), features, name)
        for predictor in np.ravel(np.array(held.get("_predictors", ()), object)):
            owned.add(id(predictor))
            inner = predictor.nodes["is_leaf"] == 0
            _check_features(predictor.nodes["feature_idx"][inner], features, name)
    if trees.keys() - owned:
        raise _wrong(name, "it belongs to no estimator that is known to have one")


def _check_way(left: np.ndarray, right: np.ndarray, own: np.ndarray, count: int, name: str) -> None:
    """Check that children come after their parents, so that every way ends."""
    for children in (left, right):
        if ((children <= own) | (children >= count)).any():
            raise _wrong(name, "a node leads back, or beyond the others")


def _check_features(used: np.ndarray, features: Any, name: str) -> None:
    if not isinstance(features, int | np.integer) or ((used < 0) | (used >= features)).any():
        raise _wrong(name, "a node looks at a feature that is not there")


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object that a schema describes."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "__id__" in one:
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _spelled(node: Mapping[str, Any]) -> str:
    """Return what a leaf of a schema is; leaves that are the same are spelled alike."""
    return repr(
        [node.get(key) for key in ("__class__", "__loader__", "type", "file", "content")]
        if isinstance(node.get("content"), str | None)
        else "no leaf"
    )


def _objects(root: Any) -> Iterator[Any]:
    """Yield everything that can be reached from an object."""
    waiting: list[Any] = [root]
    met = set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in met or isinstance(one, str | bytes | int | float | type | None):
            continue
        met.add(id(one))
        yield one
        waiting += list(getattr(one, "__dict__", {}).values())
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, Sequence | set):
            waiting += one
        elif isinstance(one, np.ndarray) and one.dtype == object:
            waiting += one.ravel().tolist()


def _wrong(name: str, why: str) -> ModelError:
    return ModelError(
        f"{name} has a decision tree that scikit-learn did not make: {why}",
        hint="save the model again; --unsafe reads it all the same: only for files you trust",
    )
