"""The pages of what plugins may import, read from the source; nothing is imported for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

FACES = ("api", "tflite", "nn")
# for the tests of a plugin
KIT = "testing"
SOURCE = Path(__file__).parents[1] / "src"
# a constant's value is shown up to so many lines
LINES = 24
SECTIONS = {
    griffe.DocstringSectionKind.parameters: "Arguments",
    griffe.DocstringSectionKind.attributes: "Attributes",
    griffe.DocstringSectionKind.returns: "Returns",
    griffe.DocstringSectionKind.yields: "Yields",
    griffe.DocstringSectionKind.raises: "Raises",
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page: one a face, and their index."""
    package = griffe.load(
        "edgeshrink",
        search_paths=[SOURCE],
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False},
        resolve_aliases=True,
    )
    faces = {name: package[name] for name in (*FACES, KIT)}
    yield "README", _index(faces)
    yield "edgeshrink", _functions(package)
    for name, face in faces.items():
        yield name, _page(face)


def names(face: griffe.Object) -> list[str]:
    """Return the names that a face gives, in its order."""
    own = {"annotations", "attach_stub", "pluggy"}
    return [
        name
        for name, member in face.members.items()
        if name not in own and not name.startswith("_") and not member.is_module
    ]


def _functions(package: griffe.Object) -> str:
    """Return the page of what scripts and notebooks call, and of what that returns."""
    stub, results = package["python"], package["python.results"]
    functions = [
        member.final_target if member.is_alias else member
        for name, member in stub.members.items()
        if name in package.exports
    ]
    shown = results["Shown"]
    classes = [
        one
        for one in results.members.values()
        if not one.is_alias and one.is_class and one is not shown
    ]
    parts = [
        "# edgeshrink",
        "What scripts and notebooks call; [how to use it](../../how-to/use-from-python.md). Each "
        "example is run by the tests, on a small `model` and arrays `x, y` and `x_test, y_test`.",
        *(part for one in functions for part in _entry(one)),
        "## What they return",
        *_entry(shown),
        *(part for one in classes for part in _entry(one)),
    ]
    return "\n\n".join(parts) + "\n"


def _index(faces: dict[str, griffe.Object]) -> str:
    rows = []
    for name, face in faces.items():
        rows.append(f"| [`edgeshrink.{name}`]({name}.md) | {len(names(face))} | {_head(face)} |")
    return "\n".join(
        (
            "# What a plugin may import",
            "",
            "Three modules, beside the kit for its tests, and nothing else of edgeshrink; what "
            "they do not name may change without notice. `edgeshrink.testing.check_faces` holds a "
            "package to it. The names of `tflite` and `nn` are imported when they are first asked "
            "for; `api` is light.",
            "",
            "| module | names | |",
            "| --- | --- | --- |",
            *rows,
            "",
            "Scripts and notebooks call what is in [`edgeshrink`](edgeshrink.md) itself.",
            "",
        )
    )


def _page(face: griffe.Object) -> str:
    parts = [f"# {face.path}", face.docstring.value]
    groups: dict[str, list[griffe.Object]] = {face.path: []}  # what is its own comes first
    for name in names(face):
        member = face[name]
        target = member.final_target if member.is_alias else member
        groups.setdefault(target.module.path, []).append(target)
    groups = {path: members for path, members in groups.items() if members}
    rows = (
        f"| {_head(members[0].module)} | "
        + ", ".join(f"[`{m.name}`](#{m.name.lower()})" for m in members)
        + " |"
        for members in groups.values()
    )
    parts.append("\n".join(("| | |", "| --- | --- |", *rows)))
    for path, members in groups.items():
        if path != face.path:
            parts.append(f"## {_head(members[0].module)}")
        for member in sorted(members, key=lambda m: m.lineno or 0):
            parts += _entry(member)
    return "\n\n".join(parts) + "\n"


def _head(module: griffe.Module) -> str:
    return module.docstring.value.partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _entry(member: griffe.Object) -> Iterator[str]:
    yield f"### {member.name}"
    if member.is_function:
        yield _code(_signature(member, "def "))
    elif member.is_class:
        yield _code(_class(member))
    else:
        yield _code(_constant(member))
        if said := _comment(member):
            yield said
    yield from _docstring(member)
    if not member.is_class:
        return
    for inner in member.members.values():
        if inner.is_alias or (inner.name.startswith("_") and inner.name != "__call__"):
            continue
        if inner.is_function:
            how = "".join(
                f"@{one}\n" for one in ("classmethod", "staticmethod") if one in inner.labels
            )
            yield _code(how + _signature(inner, "def "))
            yield from _docstring(inner)
        elif inner.is_attribute and "property" in inner.labels:
            yield _code(f"{inner.name}: {inner.annotation or 'Any'}  # property")
            yield from _docstring(inner)


def _class(member: griffe.Class) -> str:
    bases = ", ".join(str(base) for base in member.bases)
    head = f"class {member.name}" + (f"({bases})" if bases else "")
    made = member.members.get("__init__")
    if made is None or made.is_alias or not made.is_function:
        if any("Enum" in str(base) for base in member.bases):
            values = [a.name for a in member.members.values() if a.is_attribute and a.value]
            return "\n    ".join((f"{head}:", *values))
        return head
    shown = _signature(made, "" if bases else "class ", member.name)
    return f"{head}\n{shown}" if bases else shown


def _signature(function: griffe.Function, lead: str, name: str = "") -> str:
    shown: list[str] = []
    starred = False
    bound = function.parent.is_class and "staticmethod" not in function.labels
    for one in list(function.parameters)[bound:]:
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(one.kind.value, "")
        starred |= stars == "*"
        if one.kind.value == "keyword-only" and not starred:
            shown.append("*")
            starred = True
        text = f"{stars}{one.name}"
        if one.annotation is not None:
            text += f": {one.annotation}"
        if one.default is not None and not stars:
            text += f" = {one.default}" if one.annotation is not None else f"={one.default}"
        shown.append(text)
    ends = f" -> {function.returns}" if function.returns is not None and lead == "def " else ""
    line = f"{lead}{name or function.name}({', '.join(shown)}){ends}"
    if len(line) <= 100:
        return line
    inside = "".join(f"    {one},\n" for one in shown)
    return f"{lead}{name or function.name}(\n{inside}){ends}"


def _constant(member: griffe.Attribute) -> str:
    """Return a constant as it is written, or what it begins with."""
    text = member.source.strip()
    return text if len(text.splitlines()) <= LINES else f"{text.partition('=')[0].strip()} = ..."


def _comment(member: griffe.Attribute) -> str:
    """Return the comment above a constant, which says what it is."""
    lines = member.filepath.read_text(encoding="utf-8").splitlines()[: member.lineno - 1]
    said: list[str] = []
    while lines and lines[-1].startswith("#"):
        said.insert(0, lines.pop().lstrip("# "))
    text = " ".join(said)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")


def _docstring(member: griffe.Object) -> Iterator[str]:
    if member.docstring is None:
        return
    for section in member.docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.text:
            yield section.value
        elif section.kind in SECTIONS:
            yield f"**{SECTIONS[section.kind]}**"
            yield "\n".join(map(_item, section.value))


def _item(item: griffe.DocstringElement) -> str:
    what = getattr(item, "name", "") or (
        str(item.annotation) if isinstance(item, griffe.DocstringRaise) else ""
    )
    text = re.sub(r"\s*\n\s*", " ", item.description)
    return f"- `{what}`: {text}" if what else f"- {text}"


def _code(text: str) -> str:
    return f"```python\n{text}\n```"
