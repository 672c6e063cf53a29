"""Which sources a module uses, and that a digest of them changes with these alone."""

from __future__ import annotations

import sys

import pytest

from edgeshrink.recipes.sources import used_digest, used_sources

FILES = {
    "plug_used/__init__.py": "from plug_used.face import wanted\n",
    "plug_used/face/__init__.py": "from plug_used.face.behind import unwanted\n",
    "plug_used/face/__init__.pyi": "from .inner import wanted\nfrom .behind import unwanted\n",
    "plug_used/face/inner.py": "def wanted():\n    from plug_used import late\n",
    "plug_used/face/behind.py": "unwanted = 1\n",
    "plug_used/late.py": "import json\nPROGRAM = 'child.py'\n",
    "plug_used/child.py": "print(1)\n",
    "plug_used/types.py": "from typing import TYPE_CHECKING\n",
    "plug_used/apart.py": "from plug_used import late\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path / "plug_used"
    forget()


def forget():
    import edgeshrink.recipes.sources as sources

    for kept in (sources.used_digest, sources._nodes, sources._file):
        kept.cache_clear()


def test_names_of_a_face_are_followed_to_where_they_are_made(package):
    found = used_sources(frozenset({"plug_used"}))
    assert set(found) == {
        *("plug_used", "plug_used.face.inner", "plug_used.late", "plug_used.child")
    }
    assert "plug_used" not in sys.modules  # read, not imported


def test_what_type_checkers_alone_read_does_not_count(package):
    (package / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from plug_used import late\n"
    )
    assert set(used_sources(frozenset({"plug_used"}))) == {"plug_used"}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("face/inner.py", True),
        ("child.py", True),
        ("face/behind.py", False),
        ("apart.py", False),
    ],
)
def test_the_digest_changes_with_what_is_used_and_nothing_else(package, file, changes):
    before = used_digest(frozenset({"plug_used"}))
    with (package / file).open("a") as text:
        text.write("# more\n")
    forget()
    assert (used_digest(frozenset({"plug_used"})) != before) == changes


def test_a_method_uses_its_plugin_and_what_that_takes_of_the_core():
    found = set(used_sources(frozenset({"edgeshrink_shrink"})))
    assert {"edgeshrink_shrink.slimming", "edgeshrink.nn.learning.training"} <= found
    assert "edgeshrink.api" not in found  # a face only passes names on
    for other in ("edgeshrink_prune", "edgeshrink.cli", "edgeshrink_reports", "edgeshrink.engine"):
        assert not any(name.startswith(other) for name in found)
    converts = used_sources(frozenset({"edgeshrink.nn.conversion.keras_to_tflite"}))
    assert "edgeshrink.nn.conversion.child" in converts
