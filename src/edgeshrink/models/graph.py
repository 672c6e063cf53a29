"""The operators in a SavedModel's graph, read without TensorFlow, and those that are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeshrink.errors import ModelError
from edgeshrink.models.operators import ALLOWED, RESTORING, SAVING
from edgeshrink.models.protobuf import Message, messages, texts

# Other forms of the graph, which one loader or another would take in place of saved_model.pb.
OTHER_FORMS = ("saved_model.cpb", "saved_model.pbtxt")


@dataclass(frozen=True)
class Node:
    """An operator in use.

    Attributes:
        inputs: nodes and arguments that it takes, without their ports.
        functions: that it names in its attributes.
    """

    name: str
    operator: str
    inputs: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """One graph of a SavedModel.

    Attributes:
        nodes: outside of functions.
        functions: nodes by name of the function.
        arguments: of each function, in their order.
        savers: nodes that save and that restore, by the saver's own word.
        named: functions that the saved objects name, so that a loader may run them.
        outputs: nodes whose values or effects signatures ask for.
    """

    nodes: tuple[Node, ...]
    functions: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    savers: tuple[str, str, str] = ("", "", "")
    named: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()

    def refused(self) -> Iterator[str]:
        """Yield the operators that are not known to be harmless where they stand."""
        _, saving, restoring = self.savers
        saved = self._saver_functions(saving, {*self.outputs, restoring})
        restored = self._saver_functions(restoring, self.outputs)
        yield from _unknown(self._plain(), self.functions)
        for name, nodes in self.functions.items():
            allowed: frozenset[str] = frozenset()
            if name in saved:
                allowed = SAVING
            elif name in restored and self._own_file(name, nodes):
                allowed = RESTORING
            yield from _unknown(nodes, self.functions, allowed)

    def _saver_functions(self, node: str, wanted: Iterable[str]) -> set[str]:
        """Return the functions that the saver's node alone runs, where nothing wanted needs it."""
        users: dict[str, set[str]] = {}
        if not node or node in _ancestors({one.name: one for one in self.nodes}, wanted):
            return set()
        for one in self.nodes:
            for function in (*one.functions, one.operator):
                users.setdefault(function, set()).add(one.name)
        for owner, nodes in self.functions.items():
            for one in nodes:
                for function in (*one.functions, one.operator):
                    users.setdefault(function, set()).add(f"{owner}/")
        return {name for name, by in users.items() if by == {node} and name not in self.named}

    def _own_file(self, name: str, nodes: Iterable[Node]) -> bool:
        """Whether a function restores from the file that it is given, and from no other."""
        given = set(self.arguments.get(name, ())[:1])
        return all(set(n.inputs[:1]) <= given for n in nodes if n.operator in RESTORING)

    def _plain(self) -> tuple[Node, ...]:
        """Return the nodes outside of functions, but for the saver's own of TensorFlow 1."""
        filename, saving, restoring = self.savers
        known = {one.name: one for one in self.nodes}
        wanted = _ancestors(known, self.outputs)
        restored = _ancestors(known, (restoring,))
        saved = _ancestors(known, (saving,)) - restored
        return tuple(
            one
            for one in self.nodes
            if one.name in wanted
            or not (
                (one.operator in SAVING and one.name in saved)
                or (
                    (one.operator in RESTORING and one.name in restored)
                    and one.inputs[:1] == (filename,)
                )
            )
        )


def refused_operators(folder: Path) -> tuple[str, ...]:
    """Return the operators of a SavedModel that are not known to be harmless.

    Args:
        folder: of the SavedModel.

    Raises:
        ModelError: its graph is damaged.
    """
    others = {f"what {name} holds" for name in OTHER_FORMS if (folder / name).exists()}
    try:
        data = (folder / "saved_model.pb").read_bytes()
        found = [_graph(Message(meta)) for meta in messages(Message(data), 2)]
    except (IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"saved_model.pb in {folder.name} is truncated or damaged") from error
    return tuple(sorted(others | {name for graph in found for name in graph.refused()}))


def _graph(meta: Message) -> Graph:
    """Return a MetaGraphDef: graph_def 2, saver_def 3, signature_def 5, object_graph_def 7."""
    nodes: list[Node] = []
    functions: dict[str, tuple[Node, ...]] = {}
    arguments: dict[str, tuple[str, ...]] = {}
    for graph in messages(meta, 2):
        nodes += [_node(Message(one)) for one in messages(Message(graph), 1)]
        for library in messages(Message(graph), 2):
            for one in messages(Message(library), 1):
                function = Message(one)
                for signature in messages(function, 1):
                    name = texts(Message(signature), 1)[0]
                    functions[name] = tuple(_node(Message(n)) for n in messages(function, 3))
                    given = messages(Message(signature), 2)
                    arguments[name] = tuple(texts(Message(a), 1)[0] for a in given)
    savers = ("", "", "")
    for saver in messages(meta, 3):
        named = [next(iter(texts(Message(saver), number)), "") for number in (1, 2, 3)]
        savers = (_bare(named[0]), _bare(named[1]), _bare(named[2]))
    objects = [Message(one) for one in messages(meta, 7)]
    concrete = [Message(entry) for one in objects for entry in messages(one, 2)]
    outputs = {
        _bare(name)
        for entry in messages(meta, 5)
        for signature in messages(Message(entry), 2)
        for output in messages(Message(signature), 2)
        for info in messages(Message(output), 2)
        for name in texts(Message(info), 1)
    }
    # what TensorFlow 1 runs when it loads
    outputs |= {
        _bare(name)
        for entry in messages(meta, 4)
        for collection in messages(Message(entry), 2)
        for listed in messages(Message(collection), 1)
        for name in texts(Message(listed), 1)
    }
    return Graph(
        tuple(nodes),
        functions,
        arguments,
        savers,
        frozenset(name for entry in concrete for name in texts(entry, 1)),
        frozenset(outputs),
    )


def _node(node: Message) -> Node:
    """Return a NodeDef: name 1, op 2, input 3, attr 5."""
    attributes = [Message(v) for entry in messages(node, 5) for v in messages(Message(entry), 2)]
    called = [one for value in attributes for one in messages(value, 10)]
    called += [
        one
        for value in attributes
        for listed in messages(value, 1)
        for one in messages(Message(listed), 9)
    ]
    name, operator = (next(iter(texts(node, number)), "") for number in (1, 2))
    return Node(
        name,
        operator,
        tuple(_bare(one) for one in texts(node, 3)),
        tuple(text for one in called for text in texts(Message(one), 1)),
    )


def _bare(name: str) -> str:
    """Return the node's name in `^name` or `name:output:0`."""
    return name.removeprefix("^").partition(":")[0]


def _ancestors(known: dict[str, Node], ends: Iterable[str]) -> set[str]:
    waiting, found = list(ends), set[str]()
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found.add(name)
            waiting += known[name].inputs
    return found


def _unknown(
    nodes: Iterable[Node],
    functions: Iterable[str],
    allowed: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Yield operators that are neither allowed nor functions of the file.

    A function that is called like an operator is none: which of them runs is the loader's choice.
    """
    called = {name for name in functions if not name[:1].isupper()}
    for node in nodes:
        if node.operator not in ALLOWED | allowed and node.operator not in called:
            yield node.operator
