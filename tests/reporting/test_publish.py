"""A report's folder: complete or absent, without this machine's paths, and never in place of another folder."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from harness.core.protocol import DataConfig, StudyConfig
from harness.errors import InputError
from harness.reporting.publish import check_target, replaced, without_paths
from tests.fake_manifest import fake_manifest


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "report"
    for content in ("first", "second"):
        with replaced(target) as folder:
            (folder / content).touch()
            assert not (target / content).exists()
        assert [path.name for path in target.iterdir()] == [content]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_after_an_error_the_earlier_folder_stays(tmp_path: Path) -> None:
    target = tmp_path / "report"
    with replaced(target) as folder:
        (folder / "first").touch()
    with suppress(ValueError), replaced(target) as folder:
        (folder / "second").touch()
        raise ValueError("half of it")
    assert [path.name for path in target.iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_only_a_report_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    check_target(tmp_path / "none", "trials", "study's report")
    with pytest.raises(InputError, match="is no study's report"):
        check_target(tmp_path, "trials", "study's report")
    (tmp_path / "summary.json").write_text(json.dumps({"pairs": []}), encoding="utf-8")
    with pytest.raises(InputError, match="is no study's report"):
        check_target(tmp_path, "trials", "study's report")
    check_target(tmp_path, "pairs", "comparison")


@pytest.mark.parametrize(
    ("given", "public"),
    [
        ("--teacher featherface:/home/me/w.safetensors", "--teacher featherface:PATH/TO/w.safetensors"),
        ("--init-backbone /home/me/b.pth", "--init-backbone PATH/TO/b.pth"),
        ("--storage postgresql://me:secret@db.lab/optuna --seed 1", "--storage URL --seed 1"),
        ("--tracking-uri sqlite:////home/me/mlflow.db", "--tracking-uri URL"),
        ("--data ../photos --seed 1", "--data PATH/TO/WIDERFACE --seed 1"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_no_folder_and_no_password_is_published(given: str, public: str) -> None:
    configs = [
        StudyConfig("s", "", "v2_light", data=DataConfig(source=source)) for source in ("synthetic", "../photos")
    ]
    studies = [fake_manifest(config) for config in configs]
    assert without_paths(studies)(given) == public
