"""Reporters: ways to write a report down."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgeshrink.api import (
    Part,
    Report,
    Reporter,
    SearchReport,
    SensitivityReport,
    StudyReport,
    hookimpl,
    json_text,
)


class Markdown(Reporter):
    """Tables and sentences for a README, a pull request or a wiki."""

    name, suffix = "markdown", ".md"

    def render(self, report: Report) -> str:
        """Return the report as Markdown."""
        from edgeshrink_reports.markdown import render

        return render(report)

    def compare(self, reports: Mapping[str, Report]) -> str:
        """Return one table with a row for each result."""
        from edgeshrink_reports.markdown import compare

        return compare(reports)

    def search(self, found: SearchReport) -> str:
        """Return the front, and all that was tried."""
        from edgeshrink_reports.searches import markdown

        return markdown(found)

    def study(self, found: StudyReport) -> str:
        """Return the tables of a study, ours beside the published values."""
        from edgeshrink_reports.studies import markdown

        return markdown(found)


class Json(Reporter):
    """The whole report, for programs."""

    name, suffix = "json", ".json"

    def render(self, report: Report) -> str:
        """Return the document that `report.json` holds."""
        return json_text(report.as_dict())

    def compare(self, reports: Mapping[str, Report]) -> str:
        """Return an object of whole reports by name."""
        return json_text({name: report.as_dict() for name, report in reports.items()})

    def search(self, found: SearchReport) -> str:
        """Return all that a search found."""
        return json_text(found.as_dict()) + "\n"

    def study(self, found: StudyReport) -> str:
        """Return every figure of a study, with the values of single seeds."""
        return json_text(found.as_dict()) + "\n"


class Html(Reporter):
    """A page that needs nothing beside it: tables, and a study's figures."""

    name, suffix = "html", ".html"

    def render(self, report: Report) -> str:
        """Return the report as a page."""
        from edgeshrink_reports.html import report_page

        return report_page(report)

    def compare(self, reports: Mapping[str, Report]) -> str:
        """Return a page of one table with a row for each result."""
        from edgeshrink_reports.html import compare_page

        return compare_page(reports)

    def search(self, found: SearchReport) -> str:
        """Return the front with its picture, if matplotlib is installed, and all that was tried."""
        from edgeshrink_reports.html import search_page

        return search_page(found)

    def study(self, found: StudyReport) -> str:
        """Return the tables of a study with its figures, if matplotlib is installed."""
        from edgeshrink_reports.html import study_page

        return study_page(found)


@hookimpl
def edgeshrink_reporters() -> list[type[Reporter]]:
    """Return the reporters of this plugin."""
    return [Markdown, Json, Html]


@hookimpl
def edgeshrink_parts() -> list[Part]:
    """Return what draws figures, and what tables in Python are made of."""
    from edgeshrink_reports.html import MATPLOTLIB, PANDAS

    return [MATPLOTLIB, PANDAS]


@hookimpl
def edgeshrink_sensitivity_figure(suffix: str) -> Callable[[SensitivityReport], bytes] | None:
    """Return what draws .svg, .png and .html of what layers bear."""
    from edgeshrink_reports.sensitivity import drawer

    return drawer(suffix)
