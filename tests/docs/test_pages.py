"""The pages that ``make docs`` builds: no broken link or reference, and nothing that is fetched from elsewhere."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import harness
from tests.chromium import CHROMIUM
from tests.toy import ROOT

pytestmark = pytest.mark.slow

RECIPE = re.search(r"^docs: .*\n\t@\$\(BIN\)/(python .*) build/pages$", (ROOT / "Makefile").read_text("utf-8"), re.M)
"""The command of ``make docs``, without its target folder."""

FETCHED = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src",
    "object": "data", "input": "src", "form": "action",
}  # fmt: skip
"""Element → its attribute with an address that is fetched or sent to."""

RELATIONS = {"index", "search", "next", "prev", "author", "canonical"}
"""What a ``link`` may be without being fetched."""


class _Fetched(HTMLParser):
    """Collects the addresses that a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and not set(given.get("rel", "").split()) <= RELATIONS:
            self.addresses.append(given.get("href", ""))
        self.addresses += [given[name] for name in (FETCHED.get(tag, ""), "srcset", "poster") if name in given]
        self.addresses += re.findall(r"url\(([^)]*)\)", given.get("style", ""))


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    assert RECIPE is not None
    command = [sys.executable, *RECIPE[1].split()[1:], str(target)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=900)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built") / "pages"
    done = build(ROOT, target)
    assert done.returncode == 0, done.stderr
    return target


def test_every_page_is_built_without_a_warning(pages: Path) -> None:
    for path in [*(ROOT / "docs").rglob("*.md"), *(ROOT / "reports").glob("*/report.md"), ROOT / "README.md"]:
        assert (pages / path.relative_to(ROOT)).with_suffix(".html").is_file(), path


def test_every_name_of_harness_is_documented(pages: Path) -> None:
    text = (pages / "docs" / "reference" / "python.html").read_text(encoding="utf-8")
    for name in vars(harness)["_HOMES"]:
        assert f'id="harness.{name}"' in text, name
    assert 'id="harness.Study.load"' in text


def test_no_page_fetches_anything_from_elsewhere(pages: Path) -> None:
    found: dict[str, list[str]] = {}
    for path in pages.rglob("*.html"):
        parser = _Fetched()
        parser.feed(path.read_text(encoding="utf-8"))
        found[str(path.relative_to(pages))] = parser.addresses
    for path in pages.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        found[str(path.relative_to(pages))] = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", text)
    assert len(found["docs/index.html"]) > 3, "what a page fetches is seen"
    elsewhere = [(page, to) for page, given in found.items() for to in given if re.match(r"(?!data:)[\w+]*:|//", to)]
    assert not elsewhere


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium found: apt-get install chromium to see the pages tested")
def test_pages_and_their_search_work_from_the_disk(pages: Path) -> None:
    asked: list[str] = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: asked.append(str(error)))
        page.goto((pages / "docs" / "index.html").as_uri())
        page.locator("article").get_by_role("link", name="Tutorial").first.click()
        page.get_by_role("heading", name="A first student and the faces").wait_for()
        page.goto((pages / "search.html").as_uri() + "?q=distillation")
        page.locator("#search-results li a").first.wait_for()
        browser.close()
    assert len(asked) > 10
    assert not [address for address in asked if not address.startswith(("file:", "data:"))]


def test_broken_links_and_references_fail(tmp_path: Path) -> None:
    faults = {
        "[x](nowhere.md)": "nowhere.md",
        "[x](tutorial.md#no-part)": "no-part",
        "![x](images/nothing.png)": "images/nothing.png",
        "```{eval-rst}\n.. autofunction:: harness.unknown\n```": "failed to import 'unknown'",
        "{py:func}`harness.missing`": "harness.missing",
    }
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("conf.py", "__init__.py"):
        shutil.copy(ROOT / "docs" / name, folder)
    (folder / "generated.py").write_text("def fill(page):\n    return page\n")
    (folder / "tutorial.md").write_text("---\norphan: true\n---\n\n# Tutorial\n")
    (folder / "index.md").write_text("\n\n".join(["# Title", *faults]))
    done = build(tmp_path, tmp_path / "built")
    assert done.returncode == 1, done.stderr
    assert not [told for told in faults.values() if told not in done.stderr], done.stderr
