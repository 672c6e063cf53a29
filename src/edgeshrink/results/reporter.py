"""How reports are written down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from edgeshrink.results.report import Report
from edgeshrink.results.searches.report import SearchReport
from edgeshrink.results.study_report import StudyReport


class Reporter(ABC):
    """A way to write a report down.

    Attributes:
        name: as in `--format`.
        suffix: of files that hold what it writes, such as `.md`.
    """

    name: ClassVar[str]
    suffix: ClassVar[str] = ".txt"

    @abstractmethod
    def render(self, report: Report) -> str:
        """Return a report as text.

        Args:
            report: of one run.
        """

    @abstractmethod
    def compare(self, reports: Mapping[str, Report]) -> str:
        """Return the results of several reports side by side, as text.

        Args:
            reports: by the name that heads each.
        """

    def search(self, found: SearchReport) -> str:
        """Return what a search found as text; an empty text where there is no form for it.

        Args:
            found: the search's report.
        """
        return ""

    def study(self, found: StudyReport) -> str:
        """Return the tables of a study as text; an empty text where there is no form for them.

        Args:
            found: the study's report.
        """
        return ""
