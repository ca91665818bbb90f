"""Spaces and studies from files of the user: found by name, and refused in one line."""

from pathlib import Path

import pytest

from harness import cli, study
from harness.core import names
from harness.core.names import load_space, load_study, own_files, read_space, read_study, space_names
from harness.errors import InputError
from tests.toy import ROOT

OWN = (ROOT / "tests" / "own.py").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _nothing_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_own_spaces", {})
    monkeypatch.setattr(names, "_own_studies", {})


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A file with a space and a study."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return str(path)


def test_a_file_is_found_by_its_name(own: str) -> None:
    assert (read_space(own), read_study(own)) == ("necks", "own")
    assert load_space("necks").size() == 2
    assert load_study("own").space == "necks"
    assert {"necks", "v2_light"} <= set(space_names())
    assert own_files("necks", "own") == {"space.py": OWN, "study.py": OWN}
    assert own_files("v2_light", "quick") == {}


def test_the_study_command_takes_files(own: str) -> None:
    config = study.configure(study._parser().parse_args(["--space-file", own, "--study-file", own, "--trials", "2"]))
    assert (config.name, config.space, config.trials) == ("own-necks-synthetic", "necks", 2)
    config = study.configure(study._parser().parse_args(["--space-file", own, "--study", "quick"]))
    assert config.name == "quick-necks-synthetic"


def test_a_changed_file_is_read_again(own: str) -> None:
    read_space(own)
    Path(own).write_text(OWN.replace("16, 24, 8", "16, 32, 8"))
    assert load_space(read_space(own)).size() == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no Python file"),
        ("SPACE = 1", "must define SPACE, a SearchSpace; it defines a int"),
        ("x = 1", "must define SPACE, a SearchSpace; it defines nothing of that name"),
        ("SPACE = (", "cannot be run: SyntaxError"),
        ("import nonsense_of_nobody", "cannot be run: ModuleNotFoundError: No module named 'nonsense_of_nobody'"),
        (b"\xff", "cannot be run: UnicodeDecodeError"),
        (OWN.replace("necks", "../necks"), "holds letters, digits"),
        (OWN.replace('"necks"', '"v2_light"'), "search_spaces has a 'v2_light' already"),
        (OWN.replace("neck.channels", "neck"), "cannot be run: InputError: axis 'neck' must be GROUP.OPTION"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    content: str | bytes | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.py"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SystemExit) as ended:
        cli.run(study.main, ["--space-file", str(path)])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert told in printed.err
    assert str(path) in printed.err
    assert names._own_spaces == {}


def test_other_files_are_no_python_files(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(OWN)
    for path in (tmp_path, tmp_path / "own.txt"):
        with pytest.raises(InputError, match="give a file that ends in"):
            read_study(str(path))


def test_a_name_and_a_file_exclude_each_other(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        study.main(["--space", "v2_light", "--space-file", own])
    assert "not allowed with argument" in capsys.readouterr().err
