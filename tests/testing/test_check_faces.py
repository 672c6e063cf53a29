"""What a plugin may import, and how it is told of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeshrink.testing import check_faces


def written(folder: Path, text: str | bytes, name: str = "odd") -> str:
    """Write a plugin of one package, and return its name."""
    package = f"{name}_{folder.name.replace('-', '_').replace('[', '_').replace(']', '_')}"
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("")
    data = text.encode() if isinstance(text, str) else text
    (folder / package / "work.py").write_bytes(data)
    return package


@pytest.mark.parametrize(
    "text",
    [
        "from edgeshrink.nn import folded, finetune as tune",
        "from edgeshrink import api, nn, tflite",
        "import edgeshrink.tflite as files",
        "def f():\n    from edgeshrink.api import Method",
        "from edgeshrink.testing import check_method",
        "import edgeshrinkage, edgeshrink_prune",
        "from . import other",
        "\ufefffrom edgeshrink.api import Method",
        "# -*- coding: latin-1 -*-\nname = 'é'".encode("latin-1"),
    ],
)
def test_what_stays_may_be_imported(
    text: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    check_faces(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from edgeshrink.nn.graph import folded", "imports edgeshrink.nn.graph.folded"),
        ("import edgeshrink.nn.graph.fold", "imports edgeshrink.nn.graph.fold"),
        ("from edgeshrink.nn import graph", "imports graph, which edgeshrink.nn does not have"),
        ("from edgeshrink import engine as e", "imports edgeshrink.engine"),
        ("import edgeshrink", "imports edgeshrink"),
        ("def f():\n    import edgeshrink.engine", "work.py:2 imports edgeshrink.engine"),
        ("if TYPE_CHECKING:\n    from edgeshrink.samples import Dataset", "edgeshrink.samples"),
        ("def (:", "work.py cannot be read: invalid syntax"),
        (b"name = '\xff'", "work.py cannot be read"),
    ],
)
def test_what_may_change_is_named_with_its_line(
    text: str | bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = written(tmp_path, text)
    with pytest.raises(AssertionError) as told:
        check_faces(package)
    assert said in str(told.value)
    assert f"{package}/work.py" in str(told.value)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("no_such_package", "no_such_package is not on the module path"),
        ("no_such.inner", "no_such.inner is not on the module path"),
        ("sys", "sys has no Python source on the module path"),
    ],
)
def test_a_package_without_source_is_told(package: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_faces(package)
