"""The Python of the how-to pages does what the pages say."""

import re
from pathlib import Path

import pytest

import harness
from harness.core.names import load_space, load_study, read_space, read_study
from harness.data.__main__ import main as data
from tests.data.tiny_widerface import TRAIN, write_images, write_retinaface
from tests.toy import ROOT


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_own_spaces", "_own_studies"):
        monkeypatch.setattr(f"harness.core.names.{name}", {})


def python_of(page: str) -> str:
    """Return the first Python of a how-to page."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "howto" / f"{page}.md").read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_space_can_be_searched(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(python_of("space"), encoding="utf-8")
    assert read_space(str(tmp_path / "mine.py")) == "necks"
    found = harness.count(load_space("necks"))
    assert 0 < found["feasible"] <= found["configurations"]


def test_the_study_changes_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(python_of("study"), encoding="utf-8")
    study = load_study(read_study(str(tmp_path / "mine.py")))
    assert (study.train.epochs, study.teacher) == (12, load_study("default").teacher)


def test_own_images_with_the_files_that_the_page_writes_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = write_retinaface(tmp_path / "MINE", TRAIN)
    for path in (mine / "ground_truth").iterdir():
        path.unlink()
    write_images(mine / "val" / "images", ["GROUP/two"])
    (mine / "val" / "wider_val.txt").write_text("/GROUP/two.jpg\n")
    exec(python_of("data"), {})
    assert data(["check", "MINE"]) == 0
    told = capsys.readouterr().out
    assert "easy       2 faces" in told
    assert "hard       2 faces" in told


def test_a_table_of_a_comparison_becomes_latex(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pages = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "howto" / "tables.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "compare-one-other").symlink_to(ROOT / "reports" / "recipe")
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    exec(pages[0], {"print": printed.append})
    assert "V2 alone" in printed[0]
    assert "\\toprule" in printed[0]
