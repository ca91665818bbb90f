"""Whatever a file or a user says, a report has no HTML, no address elsewhere, and the same structure."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.core.provenance import Provenance
from harness.errors import printable
from harness.reporting.harmless import harmless
from harness.reporting.lock import differences
from harness.reporting.study import page
from harness.reporting.study.data import StudyData, load
from tests.reporting.fake_study import write_study

NASTY = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!-- ", "</details>", "<details><summary>x"),
    *("](javascript:alert(1))", "[x](http://a.b)", "![x](//a.b/c.png)", "[x](&#106;avascript:x)", "<http://a.b>"),
    *("[x]: http://a.b", "[x\\]]: http://a.b", "[x][x]", "|", "| a | b |", "`", "```", "~~~", "# x", "- x", "> x"),
    *("\n", "\n\n", "\n```\n", "\r", "---", "\\", "*", "_", "&lt;", "\x1b[31m", "é", "1. x", "    x", "\u2028"),
)
OWN = "<details><summary>The study's configuration in full</summary>"
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=5), max_size=5).map("".join)


def tokens(text: str) -> list[Token]:
    found = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [inner for token in found for inner in (token, *(token.children or ()))]


def require_harmless(found: list[Token]) -> None:
    for token in found:
        if token.type in ("html_block", "html_inline"):
            assert token.content.strip() in (OWN, "</details>")
        address = str(token.attrs.get("href", token.attrs.get("src", "")))
        assert ":" not in address.partition("/")[0]
        assert not address.startswith(("/", "\\"))


@given(st.lists(TEXTS, max_size=3).map("\n".join))
@example("[a\\]b]: http://a.b\n\n[a\\]b]")
@settings(max_examples=200, derandomize=True, database=None, deadline=None)
def test_no_text_becomes_html_or_an_address_elsewhere(text: str) -> None:
    require_harmless(tokens(harmless(text)))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(write_study(tmp_path_factory.mktemp("runs"), trials=7))


def rendered(study: StudyData, said: str) -> str:
    """Return a report in which the study, its networks and its user say something."""
    line = printable(said)
    records = [replace(record, reason=said, state="failed") for record in study.records[:3]]
    config = replace(study.study.config, description=line)
    manifest = replace(
        study.study, config=config, command=said, provenance=Provenance(said, {"python": said}, {"cpu": said})
    )
    changed = replace(
        study, study=manifest, records=[*records, *study.records[3:]], foreign={"0009": differences({"a": said}, {})}
    )
    return page._render(changed, [], published="", note=line)


@given(TEXTS)
@settings(max_examples=12, derandomize=True, database=None, deadline=None)
def test_what_a_study_says_changes_nothing_else_in_its_report(study: StudyData, said: str) -> None:
    found, usual = tokens(rendered(study, said)), tokens(rendered(study, "usual"))
    require_harmless(found)
    kinds = ("heading_open", "table_open", "tr_open", "th_open", "td_open", "fence", "html_block")
    assert Counter(t.type for t in found if t.type in kinds) == Counter(t.type for t in usual if t.type in kinds)
