"""Turns a report's Markdown into one HTML page, so that both have the same content.

The page holds its style, script and pictures. Its content security policy forbids every request and every other script.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

FOLDED = ("Method", "Definitions", "Reproduce", "Make this page again")
"""Sections that are closed at first."""

NOTES = "Notes on this table"

_OURS = re.compile(r"<details><summary>[^<]*</summary>|</details>")
"""The only HTML in a report's Markdown that is not escaped."""


@dataclass(frozen=True)
class Section:
    """What follows a heading of the second level, as HTML."""

    anchor: str
    title: str
    body: str
    folded: bool


def page(text: str, images: Mapping[str, str]) -> str:
    """Return a report as an HTML page; equal arguments give equal pages.

    Args:
        text: the report as Markdown. Its HTML is escaped, except ``<details>``.
        images: file name → the HTML of that picture. Other pictures are replaced by their titles.
    """
    markdown = _parser()
    tokens = _with_notes(markdown.parse(text))
    env = {"images": images}
    starts = [at for at, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    title = next((tokens[at + 1] for at, token in enumerate(tokens) if token.tag == "h1" and token.nesting == 1), None)
    lead = tokens[3 if title is not None else 0 : starts[0] if starts else len(tokens)]

    def html(part: Sequence[Token]) -> str:
        return str(markdown.renderer.render(part, markdown.options, env))

    sections = [
        Section(_anchor(name), html([tokens[start + 1]]), html(tokens[start + 3 : end]), name in FOLDED)
        for start, end in pairwise([*starts, len(tokens)])
        for name in [_plain(tokens[start + 1])]
    ]
    script = _file("page.js")
    environment = Environment(loader=PackageLoader("harness.reporting"), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("page.html.j2").render(
        title="" if title is None else _plain(title),
        heading="" if title is None else html([title]),
        lead=html(lead),
        sections=sections,
        style=_file("page.css"),
        script=script,
        digest="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _parser() -> MarkdownIt:
    markdown = MarkdownIt("commonmark").enable("table")
    for name, rule in (("html_block", _html), ("html_inline", _html), ("image", _image)):
        markdown.add_render_rule(name, rule)
    markdown.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return markdown


def _html(_: RendererProtocol, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:  # noqa: ARG001
    content = tokens[at].content
    return content if _OURS.fullmatch(content.strip()) else escapeHtml(content)


def _image(_: RendererProtocol, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:  # noqa: ARG001
    source = str(tokens[at].attrs["src"])
    return str(env["images"].get(source, escapeHtml(tokens[at].content)))


def _with_notes(tokens: Sequence[Token]) -> list[Token]:
    """Fold every paragraph that directly follows a table."""
    found: list[Token] = []
    for at, token in enumerate(tokens):
        after_table = token.type == "paragraph_open" and at > 0 and tokens[at - 1].type == "table_close"
        if after_table:
            found.append(_raw(f"<details><summary>{NOTES}</summary>"))
        found.append(token)
        if token.type == "paragraph_close" and tokens[at - 3].type == "table_close":
            found.append(_raw("</details>"))
    return found


def _raw(content: str) -> Token:
    return Token("html_block", "", 0, content=f"{content}\n")


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _file(name: str) -> str:
    return files("harness.reporting").joinpath("templates", name).read_text(encoding="utf-8")
