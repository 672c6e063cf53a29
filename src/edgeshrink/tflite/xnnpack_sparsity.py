"""Whether XNNPACK skips zeros when it runs a .tflite file: its conditions, read from the file.

XNNPACK lays a part of a float graph out by channels and multiplies by the sparse weights of its
1 x 1 convolutions (Elsen et al., CVPR 2020, "Fast sparse convnets"). The conditions are those of
`xnn_subgraph_rewrite_for_nchw` in its `src/subgraph.c`; only the kernels that a runtime's profile
names prove that it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeshrink.tflite.reader import read_model
from edgeshrink.tflite.xnnpack_nodes import Node, nodes_of

# What XNNPACK's profile calls a kernel that skips zeros.
KERNEL = "SPMM"


@dataclass(frozen=True)
class SparseConditions:
    """What a file has of that which XNNPACK's sparse kernels need.

    Attributes:
        unmet: what is in the way in the graph itself, as sentences that name layers; if there are
            any, nothing is counted below.
        kernels: how many 1 x 1 convolutions could run sparsely.
        weights: how many values they have.
        zeros: how many of these are zero.
        stored: whether the file stores some of them sparsely, without which XNNPACK does not look.
        unsafe: whether the graph begins and ends as XNNPACK wants, but is not so in between. It
            then lays out a part of it and forgets to put that back: where processors have the
            sparse kernels, such a file answers wrongly, or fails, if it is stored sparsely.
    """

    unmet: tuple[str, ...]
    kernels: int = 0
    weights: int = 0
    zeros: int = 0
    stored: bool = False
    unsafe: bool = False

    @property
    def in_the_way(self) -> str:
        """The first reason why zeros are not skipped, empty where they are."""
        if self.unmet:
            return self.unmet[0]
        if 3 * self.zeros <= 2 * self.weights:
            return (
                f"{self.zeros / self.weights:.1%} of the weights of its {self.kernels} 1x1 "
                "convolutions are zero, and it takes more than two thirds"
            )
        return "" if self.stored else "the file does not store its zeros sparsely"


def skipping_kernels(kernels: Iterable[str]) -> int:
    """Return how many of the kernels in a runtime's profile skip zeros.

    Args:
        kernels: names, as XNNPACK's profile spells them.

    Example:
        >>> skipping_kernels(["Convolution (NCHW, F32) SPMM", "Fully Connected (NC, F32) GEMM"])
        1
    """
    return sum(KERNEL in name for name in kernels)


def sparse_conditions(data: bytes) -> SparseConditions:
    """Return what a .tflite file has of that which XNNPACK needs to skip zeros.

    Args:
        data: the bytes of the file; its first subgraph is all that is looked at.

    Raises:
        ModelError: the bytes are no .tflite file, or a damaged one.
    """
    flat = read_model(data)
    nodes = nodes_of(data, flat)
    results = {tensor.index for tensor in flat.outputs}
    links = _Links(nodes, results)
    ends = any(node.exit for node in nodes)
    parts = [part for part in links.parts() if any(node.pointwise for node in part)]
    unmet = [reason for part in parts for reason in links.reasons(part)]
    unmet += [node.said for node in nodes if node.refused and node.pointwise]
    if not parts and not unmet:
        unmet = ["there is no 1x1 convolution"]
    elif not ends:
        unmet = ["nothing averages over all places at its end (GlobalAveragePooling2D)"]
    if unmet:
        unsafe = ends and any(node.entry and not node.refused for node in nodes)
        return SparseConditions(tuple(dict.fromkeys(unmet)), unsafe=unsafe)
    kernels = [n.weights for part in parts for n in part if n.pointwise and n.weights is not None]
    elements = sum(kernel.elements for kernel in kernels)
    nonzeros = sum(kernel.nonzeros or 0 for kernel in kernels)
    stored = any(kernel.sparse for kernel in kernels)
    return SparseConditions((), len(kernels), elements, elements - nonzeros, stored)


class _Links:
    """Who reads what in a graph."""

    def __init__(self, nodes: Sequence[Node], results: set[int]) -> None:
        self.nodes, self.results = nodes, results
        self.makers: Mapping[int, Node] = {t: n for n in nodes for t in n.operator.outputs}
        self.readers: dict[int, list[Node]] = {}
        for node in nodes:
            for tensor in node.reads:
                self.readers.setdefault(tensor, []).append(node)

    def parts(self) -> Iterator[list[Node]]:
        """Yield the connected parts of what can be laid out by channels."""
        part_of = {id(node): [node] for node in self.nodes if not node.refused}
        for node in self.nodes:
            for tensor in node.reads if node.inner else ():
                maker = self.makers.get(tensor)
                if maker is None or maker.refused or tensor in self.results:
                    continue
                there, here = part_of[id(maker)], part_of[id(node)]
                if there is not here:
                    there += here
                    part_of.update((id(moved), there) for moved in here)
        yield from {id(part): part for part in part_of.values()}.values()

    def reasons(self, part: list[Node]) -> Iterator[str]:
        """Yield why a part cannot be laid out by channels, and put back at its end."""
        members = {id(node) for node in part if node.inner}
        for node in part:
            for tensor in node.reads if node.inner else ():
                maker = self.makers.get(tensor)
                if maker is None:
                    yield (
                        f"{node.layer} ({node.operator.name}) reads the model's input; a 3x3 "
                        "convolution of 3 channels with stride 2 must come first"
                    )
                elif maker.refused:
                    yield maker.said
            for tensor in node.operator.outputs:
                readers = self.readers.get(tensor, [])
                others = [reader for reader in readers if id(reader) not in members]
                if node.exit and len(others) == len(readers):
                    continue
                if tensor in self.results:
                    yield f"what {node.layer} puts out is an output of the model"
                for other in others:
                    if other.refused:
                        yield f"{other.said}, and reads what {node.layer} puts out"
