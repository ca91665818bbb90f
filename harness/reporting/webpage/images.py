"""Puts a figure into a page: as SVG, whose points may have texts, or as WebP if it shows images."""

import base64
import html
import io
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure

from harness.reporting.style import DPI, NETWORK

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_WEBP = {"quality": 85, "method": 6}


def inlined(figure: Figure, name: str, title: str, notes: Mapping[str, str]) -> str:
    """Return a figure as HTML; equal figures give equal text.

    Args:
        figure: the figure.
        name: of the picture; no other picture of the page may have it.
        title: read out instead of the picture.
        notes: label → text of a network. It is shown at the points that ``style.mark`` gave this label.
    """
    if any(axes.images for axes in figure.axes):
        content = io.BytesIO()
        figure.savefig(content, format="webp", dpi=DPI, pil_kwargs=_WEBP)
        encoded = base64.b64encode(content.getvalue()).decode()
        return f'<img alt="{html.escape(title)}" src="data:image/webp;base64,{encoded}">'
    return _svg(figure, name, title, notes)


def _svg(figure: Figure, name: str, title: str, notes: Mapping[str, str]) -> str:
    text = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(text.getvalue())
    for element in root.iter():
        _point(element, notes)
        _rename(element, name)
        _shorten(element)
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.attrib |= {"role": "group" if notes else "img", "aria-label": title}
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _point(element: ElementTree.Element, notes: Mapping[str, str]) -> None:
    marked, _, label = element.get("id", "").partition(NETWORK)
    if marked or label not in notes:
        return
    del element.attrib["id"]  # A network may have several points.
    element.attrib |= {"class": "point", "data-network": label}
    title = ElementTree.Element(f"{{{_SVG}}}title")
    title.text = notes[label]
    element.insert(0, title)


def _rename(element: ElementTree.Element, name: str) -> None:
    """Make the ids of a picture, and what refers to them, unlike those of the other pictures of a page."""
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))


def _shorten(element: ElementTree.Element) -> None:
    """Remove indentation, and digits below a hundredth of a point."""
    for key in ("d", "x", "y"):
        if key in element.attrib:
            numbers = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", element.attrib[key])
            element.set(key, " ".join(numbers.split()))
    if not (element.text or "").strip():
        element.text = None
    if not (element.tail or "").strip():
        element.tail = None
