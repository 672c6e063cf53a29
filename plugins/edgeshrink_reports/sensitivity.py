"""What layers bear, as a picture or a page; pictures need matplotlib, pages go without."""

from __future__ import annotations

from collections.abc import Callable

from edgeshrink.api import SensitivityReport, UsageError
from edgeshrink_reports.html import MATPLOTLIB, sensitivity_page


def drawer(suffix: str) -> Callable[[SensitivityReport], bytes] | None:
    """Return what makes a file of this suffix; None where there is no such form.

    Raises:
        UsageError: it needs matplotlib, which is not installed.
    """
    if suffix == ".html":
        return lambda report: sensitivity_page(report).encode()
    if suffix not in (".svg", ".png"):
        return None
    try:
        from edgeshrink_reports.layers import png, svg
    except ImportError as error:
        raise UsageError(
            f"a {suffix} is drawn by matplotlib, which is not installed",
            hint=f"{MATPLOTLIB.install}, or write an .html, whose tables need nothing",
        ) from error
    return png if suffix == ".png" else svg
