"""Help, options, progress and exit codes, shared by all entry points."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from harness import cli, errors
from harness.errors import HarnessError, InputError
from harness.search.progress import Board, Ended, Running

OWN = Path(__file__).parent / "own.py"

ENTRY_POINTS = sorted(
    path.stem for path in Path(errors.__file__).parent.glob("*.py") if path.stem not in ("__init__", "errors")
)
COMMANDS: list[tuple[str, ...]] = [*((f"harness.{name}", "--help") for name in ENTRY_POINTS)]
COMMANDS += [
    ("harness.data.__main__", "--help"),
    *(("harness.data.__main__", a, "--help") for a in ("check", "download", "scenes")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_examples_and_the_exit_codes(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(command[0]).main(command[1:])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"  python -m {command[0].removesuffix('.__main__')}" in text.partition("examples:\n")[2]
    assert text.endswith(f"{cli.EXIT_CODES}\n")
    assert max(map(len, text.partition("options:")[2].splitlines())) <= 120


def test_help_and_refusals_load_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "matplotlib", "optuna", "mlflow"}
    script = "import sys; from harness import study, diagnose, teacher; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not heavy & set(loaded.stdout.split())


def refuse(error: BaseException) -> Callable[[Sequence[str] | None], int]:
    def main(_: Sequence[str] | None) -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("--x is wrong"), 2, "error: --x is wrong"),
        (HarnessError("the hub is down"), 1, "error: the hub is down"),
        (KeyboardInterrupt(), 1, "interrupted; run the same command again to resume"),
        (OSError(28, "No space left on device"), 1, "error: the disk is full; free some space and run the same"),
        (OSError(36, "File name too long", "a" * 9), 2, "error: aaaaaaaaa: File name too long"),
        (IsADirectoryError(21, "Is a directory", "a"), 2, "error: a: Is a directory"),
        (PermissionError(13, "Permission denied", "a/b"), 1, "error: a/b: permission denied; choose a writable folder"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(refuse(error))
    assert ended.value.code == code
    out, err = capsys.readouterr()
    assert err.startswith(line)
    assert (out, err.count("\n")) == ("", 1)


def test_a_defect_keeps_its_traceback() -> None:
    for error in (KeyError("x"), OSError(5, "Input/output error")):
        with pytest.raises(type(error)):
            cli.run(refuse(error))


def test_sigterm_ends_a_command_as_ctrl_c_does(capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def main(_: Sequence[str] | None) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
        return 0

    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "interrupted; run the same command again to resume\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_closed_pipe_ends_the_command_without_a_traceback() -> None:
    script = "import sys; from harness import cli; cli.run(lambda _: [print('x' * 4_000_000), 0][1])"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(60), errors) == (1, "")


SPEAKS = r"""
from harness import cli, errors
text = "\xe9 \xd7 \u65e5"
cli.run(lambda _: [print(text), cli.show(text), cli.emit({text: text}), 0][3])
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=str,
)
def test_every_locale_can_print_every_text(environment: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", SPEAKS], capture_output=True, env=os.environ | environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 5


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_do_no_harm(closed: tuple[int, ...], tmp_path: Path) -> None:
    """A file that is opened must not take the number of a closed stream: it would receive what is printed."""
    script = f"""
import sys
from pathlib import Path
from harness import cli, errors

def main(_):
    file = Path({str(tmp_path / "file")!r}).open("wb")
    print("é"); cli.show("é"); cli.emit({{}}); print("é", file=sys.stderr)
    with cli.Progress() as progress:
        progress.line("é")
    file.close()
    return 0

cli.run(main)
"""

    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run([sys.executable, "-c", script], preexec_fn=close, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


def test_output_that_cannot_be_written_is_an_error() -> None:
    script = "from harness import cli; cli.run(lambda _: [print('x'), 0][1])"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: the disk is full; free some space and run the same command again\n"


def test_a_misspelt_option_is_named_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    parser = cli.Parser("harness.example", "An example.", "examples:")
    cli.add(parser, "--epochs", "--seed")
    for given, hint in (("--epohs", "; did you mean --epochs?"), ("--nothing-like-it", "")):
        with pytest.raises(SystemExit) as ended:
            parser.parse_args([given, "3"])
        assert ended.value.code == 2
        said = f"python -m harness.example: unrecognized arguments: {given} 3{hint} (see --help)\n"
        assert capsys.readouterr().err == said


def test_a_note_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = cli.Parser("harness.example", "An example.", "examples:")
    cli.add(parser, "--note")
    assert parser.parse_args(["--note", "<b>é"]).note == "<b>é"
    with pytest.raises(SystemExit):
        parser.parse_args(["--note", "a\n# b"])
    assert "argument --note: must be one line of text, got 'a\\n# b'" in capsys.readouterr().err


def test_options_are_the_same_everywhere_and_chosen_ones_are_found() -> None:
    parser = cli.Parser("harness.example", "An example.", "examples:")
    cli.add(parser, "--data", "--size", "--runs", "--max-megabytes")
    cli.add(parser, "--device", default=None)
    given = parser.parse_args(["--data", "synthetic", "--max-megabytes", "1.06"])
    assert (given.runs, given.device, given.max_bytes) == (Path("runs"), None, 1_060_000)
    assert cli.chosen(given, "size", "device", source="data") == {"source": "synthetic"}


def test_the_device_is_cuda_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert cli.device("auto") == name
        assert cli.device("cuda:1") == "cuda:1"


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=rf"--runs: {path} is not a writable folder \("):
            cli.require_writable("--runs", path)
    cli.require_writable("--runs", tmp_path / "new" / "deep")
    assert not list((tmp_path / "new" / "deep").iterdir())

    (tmp_path / "folder.png").mkdir()
    for name, message in (
        ("a.txt", r"--plot must end in \.png, \.svg or \.pdf, got .*a\.txt"),
        ("folder.png", r"folder\.png is a folder: name a file"),
        ("file/a.svg", r"--plot: .*file is not a writable folder"),
    ):
        with pytest.raises(InputError, match=message):
            cli.require_picture(tmp_path / name)
    cli.require_picture(tmp_path / "pictures" / "A.PNG")
    cli.require_picture(None)


def test_texts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    path = "runs/[red]study/" + "long/" * 60
    cli.show(f"report: {path}")
    assert capsys.readouterr().out == f"report: {path}\n"
    cli.emit({"share": None})
    assert json.loads(capsys.readouterr().out) == {"share": None}


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(*, terminal: bool, in_bytes: bool = False) -> tuple[cli.Progress, io.StringIO, Clock]:
    output, clock = io.StringIO(), Clock()
    console = Console(file=output, force_terminal=terminal, width=160)
    return cli.Progress(console=console, in_bytes=in_bytes, clock=clock), output, clock


BOARD = Board(
    "toy",
    5,
    9,
    12,
    {"complete": 3},
    {"0004": Running("0004", 255_000, epochs=3, epoch=1, ap=0.512)},
    [Ended("0002", "candidate", "complete", 249_132, 0.613, 0.7)],
)


def test_a_terminal_shows_a_stage_with_its_time_left_and_the_lines_above() -> None:
    shown, output, clock = progress(terminal=True)
    with shown:
        shown.stage("V1 teacher, epoch 1 of 10", 60, 1_060)
        clock.now = 20.0
        shown.stage("V1 teacher, epoch 2 of 10", 260, 1_060)
        shown.line("0003: [pruned]")
    for text in ("V1 teacher, epoch 2 of 10", "260 of 1,060, about 0:01:20 left", "0003: [pruned]"):
        assert text in output.getvalue()


def test_a_terminal_shows_the_running_trainings_and_the_summary() -> None:
    shown, output, _ = progress(terminal=True)
    with shown:
        shown.stage("decoding", 1, 2)
        shown.board(BOARD)
    for text in ("0004", "255,000", "51.2", "epoch 1 of 3", "249,132", "complete, validation AP 70.0", BOARD.summary()):
        assert text in output.getvalue()
    assert "decoding" not in output.getvalue().rpartition("epoch 1 of 3")[2]


def test_a_long_table_shows_the_best_and_how_many_more(capsys: pytest.CaptureFixture[str]) -> None:
    ended = [Ended(f"{number:04d}", "candidate", "complete", 9, 0.5, None) for number in range(11)]
    cli.show(cli.board_table(Board("toy", ended=ended), most=8))
    *_, last, more = capsys.readouterr().out.splitlines()
    assert last.split() == ["0007", "9", "50.0", "complete"]
    assert more.split() == ["…", "3", "more"]


def test_without_a_terminal_a_stage_prints_a_line_after_two_seconds_every_thirty_and_its_end() -> None:
    shown, output, clock = progress(terminal=False)
    with shown:
        for second in range(71):
            clock.now = second
            shown.stage("decoding" if second else "listing", second, 70)
        shown.stage("decoding", 70, 70)
    assert output.getvalue().splitlines() == [
        "decoding: 2 of 70, about 0:01:08 left",
        "decoding: 32 of 70, about 0:00:38 left",
        "decoding: 62 of 70, about 0:00:08 left",
        "decoding: 70 of 70, about 0:00:00 left",
    ]


def test_without_a_terminal_silence_ends_after_thirty_seconds() -> None:
    """Nothing is reported during an epoch of minutes."""
    shown, output, clock = progress(terminal=False)
    clock.now = 3.0
    shown.stage("V1 teacher", 1, 9)
    for second in (10, 32, 33, 40, 63, 64):
        clock.now = second
        shown.remind()
    assert output.getvalue().splitlines() == ["V1 teacher: 1 of 9"] * 3
    shown.board(BOARD)
    clock.now = 94
    shown.remind()
    assert output.getvalue().splitlines()[3:] == [BOARD.summary(), BOARD.under_way()]


def test_a_watch_reminds_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    called = threading.Event()
    shown, _, _ = progress(terminal=False)
    monkeypatch.setattr(shown, "remind", called.set)
    with shown:
        assert called.wait(60)
    assert not shown._watch.is_alive()


def test_without_a_terminal_short_stages_print_nothing() -> None:
    shown, output, clock = progress(terminal=False)
    with shown:
        for done in range(100):
            clock.now = done / 51
            shown.stage(f"epoch {done // 50}", done, 100)
    assert output.getvalue() == ""


def test_without_a_terminal_the_board_is_a_line_after_every_trial() -> None:
    shown, output, _ = progress(terminal=False)
    with shown:
        shown.board(BOARD)
        shown.board(BOARD)
        shown.line("a line that is longer than the console is wide, " * 5)
    assert output.getvalue().splitlines() == [BOARD.summary(), "a line that is longer than the console is wide, " * 5]


def test_without_a_terminal_running_trainings_are_told_every_thirty_seconds() -> None:
    shown, output, clock = progress(terminal=False)
    with shown:
        for second in range(70):
            clock.now = second
            shown.board(BOARD)
    running = "0004: epoch 1 of 3, AP 51.2"
    assert output.getvalue().splitlines() == [BOARD.summary(), running, running]


def test_bytes_are_shown_in_their_units() -> None:
    shown, output, clock = progress(terminal=False, in_bytes=True)
    with shown:
        clock.now = 3.0
        shown.stage("fetching WIDER_val.zip", 1_500_000, 362_752_168)
    assert output.getvalue() == "fetching WIDER_val.zip: 1.5 MB of 362.8 MB\n"


@pytest.mark.parametrize("module", ["harness.study", "harness.ablate"])
def test_options_become_resources(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.core.names._own_studies", {})
    argv = ["--runs", "there", "--threads", "2", "--device", "cpu", "--tracking-uri", "http://me:secret@host:5000"]
    argv += ["--study-file", str(OWN)]
    given = importlib.import_module(module)._parser().parse_args(argv)
    found = cli.resources(given, module, argv, "v2_light")
    assert (found.runs, found.threads, found.device, found.workers) == (Path("there"), 2, "cpu", None)
    assert (found.tracking_uri, found.teacher) == ("http://me:secret@host:5000", "auto")
    assert found.command.startswith(f"python -m {module} --runs there")
    assert "secret" not in found.command
    assert found.files == {"study.py": OWN.read_text(encoding="utf-8")}
