"""No path and no address of this machine is published, however it is written."""

import json
import shlex
from pathlib import Path

import pytest

from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.reporting.hidden import without_paths
from tests.fake_manifest import fake_manifest


@pytest.mark.parametrize(
    ("given", "public"),
    [
        ("--teacher featherface:/home/me/w.safetensors", "--teacher featherface:PATH/TO/w.safetensors"),
        ("--init-backbone /home/me/b.pth", "--init-backbone PATH/TO/b.pth"),
        ("--storage postgresql://me:secret@db.lab/optuna --seed 1", "--storage URL --seed 1"),
        ("--tracking-uri sqlite:////home/me/mlflow.db", "--tracking-uri URL"),
        ("--tracking-uri none --seed 1", "--tracking-uri none --seed 1"),
        ("--data ../photos --seed 1", "--data PATH/TO/WIDERFACE --seed 1"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("18 / 3, AP/FPS and `loss/*`", "18 / 3, AP/FPS and `loss/*`"),
        ("/home/zoë/größe+1@2=3/w.pth: cut off", "PATH/TO/w.pth: cut off"),
        ("~/w.pth and ~me/w.pth", "PATH/TO/w.pth and PATH/TO/w.pth"),
        ("No such file: '/home/me/my own/w.pth' (twice)", "No such file: 'PATH/TO/w.pth' (twice)"),
        ("/home/me/e\u0301tude/日本/🙂.pth", "PATH/TO/🙂.pth"),
    ],
)
def test_no_folder_and_no_password_is_published(given: str, public: str) -> None:
    configs = [
        StudyConfig("s", "", "v2_light", data=DataConfig(source=source)) for source in ("synthetic", "../photos")
    ]
    studies = [fake_manifest(config) for config in configs]
    assert without_paths(studies)(given) == public


COMMANDS = {
    "a space": "/home/me/my photos",
    "quotes": '/home/me/it\'s "mine"',
    "letters": "/mnt/Müller & Söhne/日本",
    "a backslash": r"/data/a\1b",
    "relative": "my photos/copy",
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_paths_of_a_command_are_found_wherever_they_are_written(case: str) -> None:
    source = COMMANDS[case]
    weights, runs = f"{source}/old runs/v1.safetensors", f"{source}/runs"
    words = ["python", "-m", "harness.study", "--data", source, "--teacher", f"featherface:{weights}", f"--runs={runs}"]
    command = shlex.join([*words, "--storage", f"sqlite:///{source}/all.db", "--name", "mine"])
    study = fake_manifest(StudyConfig("mine", "", "v2_light", data=DataConfig(source=source)), command=command)
    hide = without_paths([study])
    assert hide(f"```\n{command}\n```") == (
        "```\npython -m harness.study --data PATH/TO/WIDERFACE --teacher featherface:PATH/TO/v1.safetensors "
        "--runs=PATH/TO/runs --storage URL --name mine\n```"
    )
    config = json.dumps(study.config.to_dict(), indent=1)
    assert json.loads(hide(config))["data"]["source"] == "PATH/TO/WIDERFACE"
    for text in (f"{source}/train/label.txt:7: cut off", f"{runs}/mine/trials is gone", f"no file {weights}", config):
        hidden = hide(text)
        assert "PATH/TO/" in hidden
        assert not any(part in hidden for part in ("photos", "it's", "Müller", "Söhne", "a\\1b", "old runs")), hidden


def test_this_folder_and_the_home_are_hidden_also_with_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "my home", tmp_path / "my work"
    for folder in (home, here):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    hide = without_paths([])
    assert hide(f"{home}/a/w.pth, {here}/b/x.pth") == "PATH/TO/w.pth, PATH/TO/x.pth"
