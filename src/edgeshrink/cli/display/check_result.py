"""How a check looks: lines, Markdown, and XML as JUnit has it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from edgeshrink.texts import in_markdown, shown

if TYPE_CHECKING:
    from edgeshrink.engine import Check


def lines(found: Check) -> list[str]:
    """Return the verdict, then a line for each rule, those that are not kept first."""
    beside = (
        [f"– the run itself was not what was asked for: {found.failed}"] if found.failed else []
    )
    rules = sorted(found.rules, key=lambda rule: rule.kept)
    return [f"{found.verdict}: {found.report}", *map(str, rules), *beside]


def markdown(found: Check) -> str:
    """Return the same as Markdown, for a pull request or a job's summary."""
    first, *rest = lines(found)
    rows = "".join(f"- {in_markdown(line.removeprefix('– '))}\n" for line in rest)
    return f"**{in_markdown(first)}**\n\n{rows}"


def junit(found: Check) -> str:
    """Return the rules as one test suite, a test case each, as JUnit writes it."""
    suite = ElementTree.Element(
        "testsuite",
        name="edgeshrink check",
        tests=str(len(found.rules)),
        failures=str(len(found.unkept)),
        errors="0",
        skipped="0",
    )
    for rule in found.rules:
        name, where = _in_xml(f"{rule.asked}: {rule.of}"), _in_xml(found.report)
        case = ElementTree.SubElement(suite, "testcase", classname=where, name=name)
        if not rule.kept:
            failure = ElementTree.SubElement(case, "failure", message=_in_xml(rule.text))
            failure.text = _in_xml(str(rule))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _in_xml(text: str) -> str:
    """Return a text that XML can hold, which knows neither controls nor these two."""
    return shown(text).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
