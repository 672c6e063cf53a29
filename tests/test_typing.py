"""What scripts call is typed, and told so to who checks them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

SCRIPT = """
import edgeshrink

report = edgeshrink.compress("m.keras", prune=0.5, int8=True)
reveal_type(report)
reveal_type(edgeshrink.bench("a.tflite").table())
edgeshrink.bench("a.tflite", rules=3)
"""


@pytest.mark.heavy
def test_scripts_are_checked_against_our_types(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    package = resources.files("edgeshrink")
    assert package.joinpath("py.typed").is_file()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    asked = ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(script)]
    said, wrong, code = api.run(asked)
    assert not wrong
    assert code == 1
    assert 'Revealed type is "edgeshrink.python.results.Compression"' in said
    assert 'Revealed type is "list[dict[str, Any]]"' in said
    assert said.count("error:") == 1
    assert 'Argument "rules" to "bench" has incompatible type "int"; expected "str"' in said
