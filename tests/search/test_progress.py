"""The progress that a running study shows."""

from harness.search.progress import Board, Running

BOARD = Board(
    "toy",
    feasible=1_119_490,
    size=7_096_320,
    wanted=12,
    states={"complete": 3, "pruned": 1, "failed": 0, "running": 1},
    running={"0004": Running("0004", 255_000, epochs=3, epoch=1, ap=0.512), "0005": Running("0005", 9_000, epochs=3)},
    best=("0002", 0.613, 249_132),
    seconds_left=125.4,
)


def test_the_summary_has_trials_feasible_best_and_time_left() -> None:
    assert BOARD.summary() == (
        "4 of 12 trials · 1 pruned · 1,119,490 of 7,096,320 configurations fit · "
        "best 0002: AP 61.3 with 249,132 parameters · about 0:02:05 left"
    )
    assert Board("new", 5, 10, 12).summary() == "0 of 12 trials · 5 of 10 configurations fit"


def test_there_is_one_bar_for_each_training_under_way() -> None:
    assert BOARD.bars() == [
        ("0004  255,000 parameters", 1, 3, "epoch 1 of 3, AP 51.2"),
        ("0005  9,000 parameters", 0, 3, "epoch 0 of 3"),
    ]
