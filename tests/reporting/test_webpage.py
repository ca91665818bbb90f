"""A report's page: what it makes of Markdown and pictures, and how it behaves in a browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from harness.reporting import build_report, style
from harness.reporting.style import Look
from harness.reporting.webpage import inlined, page
from tests.reporting.fake_study import write_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PARETO = 'svg[aria-label="Search AP against parameters"]'

in_browser = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium found: apt-get install chromium to see the page tested"),
]


def _drawn(*labels: str) -> Figure:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    for at, label in enumerate(labels):
        style.mark(axes, at, at, Look(style.BLUE, "o"), label)
    return figure


def test_foreign_html_scripts_and_pictures_do_not_enter_a_page() -> None:
    text = "# A <b>title</b>\n\n<script>alert(1)</script>\n\n![seen](https://example.org/a.png) <img src=x onerror=y>\n"
    made = page(text + "\n[go](javascript:alert(1))\n\n## <i>Part</i>\n\nEnd.\n", {})
    body = made.partition("<body>")[2].partition('<div id="card"')[0]
    assert set(re.findall(r"<(\w+)", body)) <= {"header", "h1", "p", "nav", "a", "main", "section", "h2"}
    assert "example.org" not in body
    assert 'href="javascript' not in body


def test_only_paragraphs_below_tables_and_known_sections_are_folded() -> None:
    table = "| a | b |\n| :--- | ---: |\n| x | 1 |\n"
    made = page(f"# T\n\n## Table\n\n{table}\nA note.\n\nNo note.\n\n## Method\n\n- How.\n", {})
    folded = re.findall(r"<details>(.*?)</details>", made, re.DOTALL)
    assert ["A note." in part for part in folded] == [True, False]
    assert "How." in folded[1]
    assert not any("No note." in part for part in folded)


def test_the_notes_of_a_picture_are_escaped_and_its_ids_are_its_own() -> None:
    notes = {"0": 'one <&"'}
    first, second = (inlined(_drawn("0", "1"), name, "T", notes) for name in ("first", "second"))
    assert '<title>one &lt;&amp;"</title>' in first
    assert first.count('class="point"') == 1
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]
    assert {name.lstrip("#") for name in re.findall(r'href="(#[^"]+)"', first)} <= ids[0]
    assert first == inlined(_drawn("0", "1"), "first", "T", notes)


def test_a_figure_of_images_is_one_image() -> None:
    figure = _drawn()
    figure.axes[0].imshow([[0.0, 1.0]])
    assert inlined(figure, "a", 'a "title"', {}).startswith(
        '<img alt="a &quot;title&quot;" src="data:image/webp;base64,'
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(write_study(tmp_path_factory.mktemp("runs"))).with_name("report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def shown(browser: Browser, report: Path) -> Iterator[Page]:
    """The page in a browser; at the end, it must have asked for nothing and complained of nothing."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(message.text))
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.goto(report.as_uri())
    yield page
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    page.close()


def _column(page: Page, heading: str) -> tuple[Locator, list[str]]:
    """Return the heading's button in the table of all networks, and its column."""
    section = page.locator("#all-networks-trained-to-the-end")
    heads = section.locator("th").all_inner_texts()
    cells = section.locator(f"tbody td:nth-child({heads.index(heading) + 1})").all_inner_texts()
    return section.locator("th button", has_text=heading), cells


@pytest.mark.usefixtures("browser")
class TestInBrowser:
    pytestmark = in_browser

    def test_a_click_sorts_numbers_as_numbers(self, shown: Page) -> None:
        button, before = _column(shown, "against budget")
        numbers = [float(text.replace("−", "-").replace(",", "")) for text in before]
        assert numbers != sorted(numbers)
        for order in (sorted(numbers), sorted(numbers, reverse=True), numbers):
            button.click()
            after = [float(text.replace("−", "-").replace(",", "")) for text in _column(shown, "against budget")[1]]
            assert after == order

    def test_tables_of_quantities_are_not_sortable(self, shown: Page) -> None:
        assert shown.locator("#v1-v2-and-the-best-student th").count() > 1
        assert shown.locator("#v1-v2-and-the-best-student th button").count() == 0

    def test_notes_unfold_and_a_link_opens_its_section(self, shown: Page) -> None:
        note = shown.get_by_text("Teacher and references are not part of the search")
        assert not note.is_visible()
        shown.locator("#all-networks-trained-to-the-end summary").click()
        assert note.is_visible()
        first = shown.locator("#method li").first
        assert not first.is_visible()
        shown.locator('nav a[href="#method"]').click()
        first.wait_for(state="visible")

    def test_a_point_shows_its_network_and_rings_it_everywhere(self, shown: Page) -> None:
        card = shown.locator("#card")
        assert not card.is_visible()
        point = shown.locator(f'{PARETO} [data-network="0010"]')
        point.scroll_into_view_if_needed()
        box = point.locator("use").bounding_box()
        assert box is not None
        shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        text = card.inner_text()
        _, trials = _column(shown, "trial")
        row = shown.locator("#all-networks-trained-to-the-end tbody tr").nth(trials.index("0010"))
        assert text.startswith("trial 0010\nrank: 1\n")
        for cell in row.locator("td").all_inner_texts():
            assert cell in text
        assert "what differs from V2: " in text
        assert shown.locator('svg:has([data-network="0010"]) .ring').count() == 2, "AP against parameters and speed"
        shown.mouse.move(1, 1)
        assert not card.is_visible()

    def test_arrow_keys_go_from_point_to_point(self, shown: Page) -> None:
        shown.locator(f"{PARETO} .point[tabindex='0']").focus()
        before = shown.locator("#card").inner_text()
        shown.keyboard.press("ArrowRight")
        assert shown.locator("#card").inner_text() != before
        shown.keyboard.press("Escape")
        assert not shown.locator("#card").is_visible()

    def test_dark_is_dark_on_the_screen_and_light_on_paper(self, shown: Page) -> None:
        def paper() -> str:
            return str(shown.evaluate("getComputedStyle(document.body).backgroundColor"))

        assert paper() == "rgb(255, 255, 255)"
        shown.emulate_media(color_scheme="dark")
        assert paper() == "rgb(20, 23, 27)"
        assert "invert" in shown.evaluate("getComputedStyle(document.querySelector('svg')).filter")
        shown.emulate_media(color_scheme="dark", media="print")
        assert paper() == "rgb(255, 255, 255)"
        assert shown.locator("nav").is_hidden()

    def test_a_phone_scrolls_only_down(self, shown: Page) -> None:
        shown.set_viewport_size({"width": 390, "height": 800})
        assert shown.evaluate("document.documentElement.scrollWidth") == 390
