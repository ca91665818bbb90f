"""The progress that a running study shows."""

from harness.core.record import TrialRecord
from harness.core.scores import Scored
from harness.search.progress import Board, Running
from harness.search.tally import Tally
from harness.search.timing import seconds_left

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


def test_the_running_trainings_are_told_in_one_line() -> None:
    assert BOARD.under_way() == "0004: epoch 1 of 3, AP 51.2; 0005: epoch 0 of 3 · about 0:02:05 left"


def record(label: str, state: str, ap: float | None = None, epochs: int = 2, seconds: float = 4.0) -> TrialRecord:
    number = int(label) if label.isdigit() else None
    made = TrialRecord(label, "reference" if number is None else "candidate", number, state=state, params=9_000)
    made.search_ap = {} if ap is None else {"mean": ap}
    made.epochs = [{"epoch": number, "ap": {}, "seconds": 0.5, "evaluate_seconds": 0.25} for number in range(epochs)]
    made.seconds = {"total": seconds} if state != "running" else {}
    return made


RECORDS = [
    record("v2", "complete", 0.9),
    record("0000", "complete", 0.5),
    record("0001", "failed", epochs=1),
    record("0002", "complete", 0.6),
    record("0003", "pruned", 0.7, epochs=1),
    record("0004", "running", epochs=1),
]


def test_a_board_is_filled_from_records() -> None:
    board = Board("toy", wanted=6)
    Tally(RECORDS).fill(board, ablation=False)
    assert board.states == {"running": 1, "complete": 2, "pruned": 1, "failed": 1}
    assert [one.label for one in board.ended] == ["v2", "0002", "0000", "0003", "0001"], "those without a final AP last"
    assert (board.best, board.wanted) == (("0002", 0.6, 9_000), 6)
    Tally(RECORDS).fill(board, ablation=True)
    assert (board.states["complete"], board.wanted) == (3, 6)


def test_the_time_left_counts_epochs_and_scores() -> None:
    """Five trainings of 4 s had 8 epochs: 2.5 s each. One epoch runs, and 4 trainings of 2 epochs wait."""
    assert seconds_left(Tally(RECORDS), 10, 2, [], 0, 0, workers=1) == 2.5 * (1 + 4 * 2)
    assert seconds_left(Tally(RECORDS), 10, 2, [], 0, 0, workers=3) == 2.5 * (1 + 4 * 2) / 3
    scores = [Scored(0, {}, 1, seconds=1.0), Scored(1, {}, 1, seconds=2.0)]
    assert seconds_left(Tally(RECORDS), 6, 2, scores, 8, 0, workers=1) == 2.5 + 8 * 1.5
    assert seconds_left(Tally(RECORDS), 6, 2, scores, 8, 24, workers=1) == 2.5 * (1 + 24) + 8 * 1.5
    assert seconds_left(Tally(RECORDS), 6, 2, [], 8, 0, workers=1) is None
    assert seconds_left(Tally([record("v2", "running", epochs=0)]), 6, 2, [], 0, 0, workers=1) is None
    assert seconds_left(Tally([record("v2", "running", epochs=1)]), 2, 2, [], 0, 0, workers=1) == 0.75 * 3
    read = [record("v2", "complete", 0.9, seconds=0.0)]
    read[0].read_from = "other/v2"
    assert seconds_left(Tally(read), 2, 2, [], 0, 0, workers=1) is None, (
        "a training read from another study gives no time per epoch"
    )
