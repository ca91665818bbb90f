import io

from rich.console import Console

from harness.search.progress import Board, LiveProgress, PlainProgress, Running, clock

BOARD = Board(
    "toy",
    feasible=1_119_490,
    size=7_096_320,
    wanted=12,
    states={"complete": 3, "pruned": 1, "failed": 0},
    running={"0004": Running("0004", 255_000, epochs=3, epoch=1, ap=0.512)},
    best=("0002", 0.613, 249_132),
    seconds_left=125.0,
)


def test_a_terminal_shows_what_runs_and_where_the_study_stands() -> None:
    output = io.StringIO()
    with LiveProgress(Console(file=output, force_terminal=True, width=160)) as progress:
        progress.board(BOARD)
        progress.line("0003: pruned")
    shown = output.getvalue()
    for said in ("0004", "255,000 parameters", "epoch 1 of 3", "AP 51.2", "0003: pruned", BOARD.summary()):
        assert said in shown


def test_a_terminal_shows_how_far_a_preparation_is() -> None:
    output = io.StringIO()
    with LiveProgress(Console(file=output, force_terminal=True, width=160)) as progress:
        progress.stage("V1 teacher, epoch 2 of 10", 60, 1_370)
    assert "V1 teacher, epoch 2 of 10" in output.getvalue()
    assert "60 of 1,370" in output.getvalue()


def test_the_summary_says_trials_feasible_best_and_time_left() -> None:
    assert BOARD.summary() == (
        "4 of 12 trials · 1 pruned · 1,119,490 of 7,096,320 configurations fit · "
        "best 0002: AP 61.3 with 249,132 parameters · about 2:05 min left"
    )


def test_elsewhere_a_stage_is_a_line_whenever_it_says_something_new() -> None:
    output = io.StringIO()
    progress = PlainProgress(Console(file=output, width=60))
    for done in range(100):
        progress.stage(f"V1 teacher, epoch {done // 50} of 2", done, 100)
    progress.board(BOARD)
    progress.board(BOARD)
    progress.line("a line that is longer than the console is wide, which must stay in one piece")
    assert output.getvalue().splitlines() == [
        "V1 teacher, epoch 0 of 2: 0 of 100",
        "V1 teacher, epoch 1 of 2: 50 of 100",
        BOARD.summary(),
        "a line that is longer than the console is wide, which must stay in one piece",
    ]


def test_times_are_readable() -> None:
    assert (clock(59.6), clock(3 * 3600 + 125)) == ("1:00 min", "3 h 02 min")
