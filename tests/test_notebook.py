"""The names of ``import harness``: their examples run, they load what they need, and types and commands know them."""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import harness
from harness.core.arch import ARCHS
from harness.core.names import load_space
from harness.core.space import IntRange, SearchSpace
from harness.data.synthetic.generate import render_scene
from harness.errors import DataError, InputError
from tests.deployment.nets import BEST, ROOT
from tests.toy import Toy

HOMES: dict[str, str] = vars(harness)["_HOMES"]


def scene() -> np.ndarray:
    return render_scene(0, "val", 0, 160).image


def in_a_new_process(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def examples(module: types.ModuleType) -> doctest.TestResults:
    return doctest.testmod(module, globs={}, extraglobs={})


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    tree = ast.parse(Path(harness.__file__).read_text(encoding="utf-8"))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module for node in branch.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == HOMES
    assert set(HOMES) <= set(dir(harness))


@pytest.mark.parametrize("name", sorted(HOMES))
def test_every_name_is_the_one_of_its_home(name: str) -> None:
    found = getattr(harness, name)
    assert (found.__module__, found.__name__) == (HOMES[name], name)
    assert inspect.getdoc(found)


def test_an_unknown_name_is_no_attribute() -> None:
    assert not hasattr(harness, "nonsense")
    with pytest.raises(ImportError, match="nonsense"):
        exec("from harness import nonsense")


def test_the_import_loads_nothing() -> None:
    """Neither packages nor modules of this project."""
    script = "import sys; before = set(sys.modules); import harness; print(*sorted(set(sys.modules) - before))"
    loaded = in_a_new_process(script).split()
    assert not [name for name in loaded if name.partition(".")[0] not in {"harness", *sys.stdlib_module_names}]
    assert [name for name in loaded if name.startswith("harness")] == ["harness"]


@pytest.mark.parametrize("first", ["import harness.detect", "harness.detect", "from harness import detect"])
def test_a_command_of_the_same_name_does_not_hide_a_function(first: str) -> None:
    script = f"import harness; {first}; from harness.detect import main; import harness.detect; "
    told = in_a_new_process(script + "print(harness.detect.__name__, harness.detect.__module__, main.__module__)")
    assert told == "detect harness.deployment.model harness.detect"


@pytest.mark.parametrize(
    "home", sorted({"harness", *HOMES.values()} - {"harness.study", "harness.deployment.exporting"})
)
def test_examples(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert examples(importlib.import_module(home)).failed == 0


def test_functions_have_examples() -> None:
    for home in ("models.builder", "counting.summary", "deployment.model", "evaluation.run", "deployment.exporting"):
        names = [name for name, where in HOMES.items() if where == f"harness.{home}"]
        assert all(">>>" in (inspect.getdoc(getattr(harness, name)) or "") for name in names), names


@pytest.mark.slow
def test_the_example_of_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = examples(importlib.import_module("harness.deployment.exporting"))
    assert (found.failed, found.attempted) == (0, 3)


def test_the_example_of_a_study(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").symlink_to(toy.runs)
    monkeypatch.chdir(tmp_path)
    found = examples(importlib.import_module("harness.study"))
    assert (found.failed, found.attempted > 3) == (0, True)


def test_the_python_of_the_readme(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(
        r"```python\n(import harness\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert found
    run = 'Study.run(harness.load_study("quick"))'
    assert run in found[1]
    (tmp_path / "runs").symlink_to(toy.runs)
    (tmp_path / "reports").symlink_to(ROOT / "reports")
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.jpg", scene())
    names: dict[str, Any] = {}
    exec(found[1].replace(run, 'Study("toy")'), names)
    assert names["faces"].boxes.shape == (len(names["faces"]), 4)
    assert len(names["study"].results()) > 3


def test_a_study_gives_its_table_and_every_network(toy: Toy) -> None:
    study = harness.Study("toy", toy.runs)
    assert study.report == toy.folder / "report" / "report.md"
    assert {"V1", "V2"} <= {str(column.header).partition("\n")[0] for column in study.table().columns}
    labels = {label: study.load(label).name for label in ("best", "v2", "0")}
    assert labels["v2"] == "toy/v2"
    assert labels["best"].startswith("toy/000")
    with pytest.raises(InputError, match=r"unknown study in .* 'nothing'"):
        harness.Study("nothing", toy.runs)


def same(found: Any, wanted: Any, atol: float = 0) -> None:
    np.testing.assert_allclose(found.rows, wanted.rows, atol=atol)
    assert len(found) == len(wanted) > 0


def test_all_ways_to_name_the_published_student_give_the_same_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = harness.load().detect(scene())
    assert wanted.landmarks.shape == (len(wanted), 5, 2)
    x1, y1, x2, y2 = wanted.boxes[0]
    assert (wanted.landmarks[0] > (x1, y1)).all()
    assert (wanted.landmarks[0] < (x2, y2)).all()
    assert (np.diff(wanted.scores) <= 0).all()
    monkeypatch.chdir(ROOT)
    published = "default-v2_p5-synthetic"
    for model in (BEST, str(BEST), f"reports/{published}", f"{published}/best"):
        same(harness.load(model, runs=tmp_path).detect(scene()), wanted)
    assert harness.load(f"{published}/best", runs=tmp_path).name == f"{published}/best"
    (tmp_path / published).mkdir()  # A study of the user comes first, also before its best student is known.
    with pytest.raises(InputError, match="unknown study"):
        harness.load(f"{published}/best", runs=tmp_path)


def test_pictures_are_files_or_arrays(tmp_path: Path) -> None:
    model = harness.load()
    cv2.imwrite(str(tmp_path / "a.png"), scene())
    same(model.detect(str(tmp_path / "a.png")), model.detect(scene()))
    same(harness.detect(tmp_path / "a.png"), model.detect(scene()))
    (tmp_path / "note.png").write_text("hello")
    with pytest.raises(DataError, match=r"note\.png is no image that OpenCV decodes"):
        model.detect(tmp_path / "note.png")
    with pytest.raises(DataError, match=r"\(H, W, 3\) uint8"):
        model.detect(scene().astype(np.float32))
    with pytest.raises(InputError, match="score lies in 0 … 1, got 2"):
        model.detect(scene(), score=2)


def test_a_space_from_a_notebook_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.core.names._own_spaces", {})
    space = SearchSpace("narrow", "V2 with narrow necks", ARCHS["v2"], (IntRange("neck.channels", 16, 32, 16),))
    harness.add_space(space)
    assert load_space("narrow") is space
    assert harness.count(space)["configurations"] == 2
    with pytest.raises(InputError, match="search_spaces has a 'v2_light' already"):
        harness.add_space(replace(space, name="v2_light"))
