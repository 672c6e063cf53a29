"""Reporters: ways to write a report down."""

from __future__ import annotations

from collections.abc import Mapping

from edgeshrink.api import Report, Reporter, hookimpl, json_text


class Markdown(Reporter):
    """Tables and sentences for a README, a pull request or a wiki."""

    name = "markdown"

    def render(self, report: Report) -> str:
        """Return the report as Markdown."""
        from edgeshrink_reports.markdown import render

        return render(report)

    def compare(self, reports: Mapping[str, Report]) -> str:
        """Return one table with a row for each result."""
        from edgeshrink_reports.markdown import compare

        return compare(reports)


class Json(Reporter):
    """The whole report, for programs."""

    name = "json"

    def render(self, report: Report) -> str:
        """Return the document that `report.json` holds."""
        return json_text(report.as_dict())

    def compare(self, reports: Mapping[str, Report]) -> str:
        """Return an object of whole reports by name."""
        return json_text({name: report.as_dict() for name, report in reports.items()})


@hookimpl
def edgeshrink_reporters() -> list[type[Reporter]]:
    """Return the reporters of this plugin."""
    return [Markdown, Json]
