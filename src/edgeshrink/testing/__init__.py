"""For authors of plugins: tiny models and data, and checks that a plugin does what it must.

Use them in any test runner; a check raises `AssertionError` with the rule that was broken.

Example:
    >>> from edgeshrink.testing import check_faces, check_light, check_method
    >>> def test_my_method():
    ...     check_light("my_plugin")
    ...     check_faces("my_plugin")
    ...     check_method(MyMethod, {"strength": 0.5})
"""

from __future__ import annotations

from edgeshrink.testing.faces import check_faces
from edgeshrink.testing.light import check_light
from edgeshrink.testing.methods import check_method
from edgeshrink.testing.samples import tiny_data, tiny_model
from edgeshrink.testing.targets import check_target

__all__ = ["check_faces", "check_light", "check_method", "check_target", "tiny_data", "tiny_model"]
