"""The installed command: one name for every entry point."""

import json

import pytest

import harness
from harness.__main__ import COMMANDS, main
from harness.errors import InputError
from tests.test_layers import FILES, LAYERS, has_main, unit


def test_every_entry_point_is_a_command() -> None:
    entries = {unit(path) for path in FILES if has_main(path) and (unit(path) not in LAYERS or unit(path) == "data")}
    assert set(COMMANDS) == (entries - {"__main__"}) | {"data"}


def test_a_command_gets_all_other_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budget", "--arch", "v2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == 256_156
    with pytest.raises(SystemExit):
        main(["data", "check", "--help"])
    assert "usage: python -m harness.data check " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_command_all_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"  {name} " in text for name in COMMANDS)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["study", "--version"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert (ended.value.code, capsys.readouterr().out) == (0, f"{harness.__version__}\n")


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="unknown command 'studdy'; did you mean 'study'"):
        main(["studdy"])
    with pytest.raises(SystemExit) as ended:
        main(["--verzion"])
    assert ended.value.code == 2
    assert "did you mean --version?" in capsys.readouterr().err
