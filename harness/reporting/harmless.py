"""Removes what data must not bring into a report: HTML, links and pictures from elsewhere, and code blocks of its own.

Reports quote names, reasons and notes that come from files and from users. Templates have only the HTML and the fences
below and link only to files beside the report, so that everything else of this kind is escaped in the finished text.
"""

import re

from harness.errors import printable

_OPENS, _CLOSES = re.compile(r"<details><summary>[^<>]*</summary>"), "</details>"
_FENCE, _END = re.compile(r"```[a-z]*"), re.compile(r" {0,3}`{3,}\s*")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_OTHER_FENCE = re.compile(r"^(\s*)(?=```|~~~)")
_ELSEWHERE = re.compile(r"(?<=\])\((?=[\s<]*(?:[A-Za-z][\w+.-]*:|[/\\&]))")
_DEFINITION = re.compile(r"^([\s>*+-]*\[(?:\\.|[^]\\])*\]):")


def in_fence(text: str) -> str:
    """Return a text as one line that does not end the code block around it."""
    return printable(text).replace("```", "'''")


def harmless(text: str) -> str:
    """Return Markdown without HTML and without addresses other than of files beside it; code blocks are unchanged."""
    lines = []
    fenced = opened = False
    for line in re.sub(r"\r\n?", "\n", text).split("\n"):
        if fenced:
            fenced = not _END.fullmatch(line)
        elif _FENCE.fullmatch(line):
            fenced = True
        elif _OPENS.fullmatch(line) or (opened and line == _CLOSES):
            opened = line != _CLOSES
        else:
            line = _OTHER_FENCE.sub(r"\1\\", _TAG.sub("&lt;", line))
            line = _DEFINITION.sub(r"\1\\:", _ELSEWHERE.sub(r"\\(", line))
        lines.append(line)
    return "\n".join(lines)
