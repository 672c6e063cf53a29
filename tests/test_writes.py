"""Files are written in one place, where a full disk is an error and a kill leaves nothing half."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from paths import ROOT

# What may write by itself, and why: its files go with its process, or come whole by a rename of
# their folder; or it runs where edgeshrink is not.
ALONE = {
    "src/edgeshrink/models/writing.py": "the one place",
    "src/edgeshrink/models/sealed.py": "an archive in a stream of the one place",
    "src/edgeshrink/models/write_faults.py": "counts for tests",
    "src/edgeshrink/engine/measuring/sessions.py": "appends to a log",
    "src/edgeshrink/engine/jobs/crew.py": "a log",
    "src/edgeshrink/nn/conversion/converter_process.py": "appends to a log",
    "src/edgeshrink/samples/objects.py": "into a stream of the one place, and temporary",
    "src/edgeshrink/tflite/archive.py": "in memory",
    "src/edgeshrink/devices/profile.py": "makes a profile only where there is none",
    "src/edgeshrink/selftest/checks.py": "temporary",
    "src/edgeshrink/testing/targets.py": "temporary",
    "src/edgeshrink/tflite/packing/preset_training.py": "writes source, for developers",
    "plugins/edgeshrink_benchtool/download.py": "into a part of write_part",
    "plugins/edgeshrink_litert/conversation.py": "temporary",
    "plugins/edgeshrink_litert/installing/provision.py": "temporary",
    "plugins/edgeshrink_litert/session.py": "temporary",
    "plugins/edgeshrink_litert/tensors.py": "temporary",
    "plugins/edgeshrink_litert/installing/wheels.py": "a folder that is renamed",
    "plugins/edgeshrink_litert/pack.py": "in memory",
    "plugins/edgeshrink_litert/runner": "on devices",
    "plugins/edgeshrink_sklearn/reading.py": "in memory",
    "plugins/edgeshrink_tflm/process.py": "temporary",
    "plugins/edgeshrink_ethosu": "temporary",
    "plugins/edgeshrink_tflm/runner.py": "a process of its own, temporary",
    "plugins/edgeshrink_tflm/tflm.py": "temporary",
    "plugins/edgeshrink_targets": "targets copy for others; built images come by a rename",
}
WRITERS = {"write_bytes", "write_text", "save", "savez", "open_memmap", "memmap", "copyfile"}
WRITERS |= {"copy", "copytree", "move", "tofile"}
OF_MODULES = {"np", "numpy", "shutil", "format"}
MODES = ("w", "a", "x", "+")


def writes(tree: ast.AST) -> Iterator[int]:
    """Yield the lines where a file is written other than by `edgeshrink.models`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = getattr(node.func, "value", None)
        module = getattr(owner, "id", getattr(owner, "attr", ""))
        if name in ("open", "ZipFile"):
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if any(isinstance(m, str) and len(m) < 4 and set(m) & set(MODES) for m in modes):
                yield node.lineno
        elif name in WRITERS and (name.startswith("write_") or module in OF_MODULES) and owner:
            yield node.lineno


def test_files_are_written_in_one_place() -> None:
    found = {}
    for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]):
        name = path.relative_to(ROOT).as_posix()
        lines = list(writes(ast.parse(path.read_text(encoding="utf-8"))))
        if lines:
            found[name] = lines
    around = {name: lines for name, lines in found.items() if not name.startswith(tuple(ALONE))}
    assert around == {}
    idle = [one for one in ALONE if not any(name.startswith(one) for name in found)]
    assert idle == []


def test_writes_are_seen() -> None:
    lines = [
        'open("f", "w")',
        'p.open("ab")',
        "p.write_text(t)",
        "np.save(p, a)",
        "shutil.copy(a, b)",
    ]
    for line in [*lines, 'np.lib.format.open_memmap(p, "w+")', 'ZipFile(p, "w")', "np.memmap(p)"]:
        assert list(writes(ast.parse(line))) == [1], line
    for line in [
        'open("f", "rb")',
        'p.open("rb")',
        "write_text(p, t)",
        "model.save(p)",
        "d.copy()",
    ]:
        assert list(writes(ast.parse(line))) == [], line
