"""The sentences that a ledger can say, read from the source: variable parts are an ellipsis."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path

from paths import ROOT

# What is put into one of these is said in a ledger, or as why a result fails.
SAYING = {"notes", "disturbed", "failed", "[unmet]"}
# All that these return is said in a verdict, a summary or a warning of the plan.
SPEAKING = {
    "edgeshrink.devices.profile": {"refused"},
    "edgeshrink.recipes.asked": {"missed"},
    "edgeshrink.results.apart": {"__str__"},
    "edgeshrink.results.figures": {"unlike_scores", "unlike_times", "untimed"},
    "edgeshrink.results.rules": {
        *("not_judged", "_lost", "_size", "_took", "_needed", "_grown", "_slowed"),
        *("unscored", "unmeasured", "untold", "no_arena", "noise"),
    },
    "edgeshrink.results.verdict": {"failure", "outcome", "__str__"},
    "edgeshrink.results.report_sentences": {"summary"},
    "edgeshrink.engine.planning.suiting": {"suited"},
    "edgeshrink.engine.running.kernels": {"notes"},
    "edgeshrink.models.config": {"refuse"},
    "edgeshrink.samples.preprocess": {"warn_double_scaling"},
}
ELSEWHERE = (
    "edgeshrink.cli",
    "edgeshrink.engine.inspecting",
    "edgeshrink.engine.studies",
    "edgeshrink_reports",
)


class Module:
    """A module of the source, parsed once it is looked into."""

    def __init__(self, path: Path, root: Path) -> None:
        self.name = ".".join(path.relative_to(root).with_suffix("").parts)
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text)

    @cached_property
    def functions(self) -> dict[str, list[ast.FunctionDef]]:
        """Its functions and methods by name."""
        found = defaultdict(list)
        for node in nodes(self.tree):
            if isinstance(node, ast.FunctionDef):
                found[node.name].append(node)
        return found

    @cached_property
    def imported(self) -> dict[str, str]:
        """What it imports by name, with where from."""
        imports = (node for node in nodes(self.tree) if isinstance(node, ast.ImportFrom))
        return {a.asname or a.name: f"{i.module}.{a.name}" for i in imports for a in i.names}

    def said(self) -> Iterator[tuple[ast.AST, ast.FunctionDef]]:
        """Yield what is put into a ledger, with the function that does so."""
        speaking = SPEAKING.get(self.name, set())
        if not speaking and not any(word.strip("[]") in self.text for word in (*SAYING, "Asked")):
            return
        for function in (one for those in self.functions.values() for one in those):
            if function.name in speaking:
                yield from ((value, function) for value in _returned(function))
            yield from ((value, function) for name, value in _put(function) if name in SAYING)


class Source:
    """All modules, in which names and calls are followed to the texts that they stand for."""

    def __init__(self) -> None:
        folders = (ROOT / "src", ROOT / "plugins")
        self.modules = [Module(path, root) for root in folders for path in root.rglob("*.py")]

    def texts(self) -> dict[str, str]:
        """Return each text that may be said, with the module that says it."""
        found: dict[str, str] = {}
        for module in self.modules:
            if not module.name.startswith(ELSEWHERE):
                for value, function in module.said():
                    for text, place in self._follow(value, function, module, set()):
                        found[" ".join(text.split())] = place
        return found

    def _follow(
        self, node: ast.AST, function: ast.FunctionDef, module: Module, seen: set[object]
    ) -> Iterator[tuple[str, str]]:
        if (text := text_of(node)) is not None:
            yield text, module.name
            return
        followed = [(part, function, module) for part in _parts(node)]
        if isinstance(node, ast.Name) and (function, node.id) not in seen:
            seen.add((function, node.id))
            places = (*_put(function), *_puts(module.tree.body))
            followed += [(value, function, module) for name, value in places if name == node.id]
        called = self._called(node.func, module) if isinstance(node, ast.Call) else []
        if called:  # what it is given is not what it returns
            fresh = [(one, other) for one, other in called if one not in seen]
            seen.update(one for one, _ in fresh)
            followed = [(value, one, other) for one, other in fresh for value in _returned(one)]
        for value, where, other in followed:
            yield from self._follow(value, where, other, seen)

    def _called(self, func: ast.AST, module: Module) -> list[tuple[ast.FunctionDef, Module]]:
        """Return the functions that a call may mean: of this module, or of one it imports from."""
        name = _name(func)
        owner = _name(func.value) if isinstance(func, ast.Attribute) else ""
        origin = module.imported.get(owner or name)
        if origin is None:
            own = module.functions.get(name, []) if owner in ("", "self", "cls") else []
            return [(one, module) for one in own]
        where = origin if owner else origin.rpartition(".")[0]
        those = (m for m in self.modules if f"{m.name}.".startswith(f"{where}."))
        those = (m for m in those if f"def {name}(" in m.text)
        return [(one, other) for other in those for one in other.functions[name]]


def _parts(node: ast.AST) -> Iterable[ast.AST]:
    """Return what a value is made of: not what it depends on, nor other parts of an object."""
    match node:
        case ast.IfExp():
            return node.body, node.orelse
        case ast.Call(ast.Attribute(owner)):
            return owner, *node.args, *node.keywords
        case ast.Call():
            return *node.args, *node.keywords
        case ast.Attribute(ast.Name()):
            return ()
    return ast.iter_child_nodes(node)


@cache
def nodes(node: ast.AST) -> list[ast.AST]:
    return list(ast.walk(node))


@cache
def _put(function: ast.FunctionDef) -> list[tuple[str, ast.AST]]:
    return list(_puts(nodes(function)))


def _puts(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Yield what is assigned, added or passed by name, after the name that it goes to."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from ((_name(part), node.value) for part in parts)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value:
            yield _name(node.target), node.value
        elif isinstance(node, ast.keyword):
            yield node.arg or "", node.value
        elif isinstance(node, ast.Call):
            match node.func:
                case ast.Attribute(owner, "append" | "extend"):
                    yield from ((_name(owner), argument) for argument in node.args)
                case ast.Name("Asked"):  # why it was missed
                    yield from (("[unmet]", k.value) for k in node.keywords if k.arg == "why")


def _returned(function: ast.FunctionDef) -> Iterator[ast.AST]:
    for node in nodes(function):
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value:
            yield node.value


def _name(node: ast.AST) -> str:
    """Return the last part of a name; the key of `facts["unmet"]` in brackets."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return f"[{node.slice.value}]"
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
        return "".join(map(str, parts))
    return None
