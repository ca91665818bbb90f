"""Sums that are kept are those of adding up all records again, whatever becomes of the records."""

import random

from harness.core.record import STATES, TrialRecord, ranked
from harness.search.progress import Board
from harness.search.tally import SPENT, Tally


def changed(record: TrialRecord, rng: random.Random) -> None:
    record.state = rng.choice(STATES)
    record.epochs = [{"epoch": n, "seconds": 1.0} for n in range(rng.randint(0, 3))]
    record.search_ap = {"mean": rng.choice((0.25, 0.5, 0.75))} if record.state == "complete" else {}
    record.seconds = {name: float(rng.randint(0, 9)) for name in SPENT}
    record.read_from = rng.choice(("", "", "", "other/0000"))


def test_sums_follow_the_records() -> None:
    rng = random.Random(0)
    records = [TrialRecord(f"{n:04d}", "candidate", n, params=rng.randint(1, 3)) for n in range(12)]
    records += [TrialRecord(f"v2-s{n}", "reference", params=5) for n in range(3)]
    tally = Tally()
    for step in range(300):
        one = records[step] if step < len(records) else rng.choice(records)
        if one.state != "complete":  # A training that has reached its end stays there.
            changed(one, rng)
        tally.note(one)
        known = records[: step + 1]
        again = Tally(known)
        ended = [record for record in known if record.state != "running"]
        own = [record for record in ended if not record.read_from]
        assert len(tally) == len(known)
        assert tally.ended == again.ended
        assert [shown.label for shown in tally.ended] == [
            record.label
            for record in sorted(
                ended, key=lambda r: (r.state != "complete", -(r.search_ap.get("mean") or 0.0), r.label)
            )
        ]
        assert tally.best is next(iter(ranked(known)), None)
        assert tally.epochs == sum(len(record.epochs) for record in own)
        for name in SPENT:
            assert tally.spent(name) == sum(record.seconds[name] for record in own)
            assert tally.seconds(name) == sum(r.seconds.get(name, 0) for r in known if not r.read_from)
        numbered = [record for record in known if record.number is not None]
        for found, counted in ((True, numbered), (False, known)):
            assert tally.states(candidates=found) == {s: sum(r.state == s for r in counted) for s in STATES}


def test_a_copy_of_a_board_stays_as_it_is() -> None:
    board, record = Board("toy"), TrialRecord("0000", "candidate", 0)
    tally = Tally([record])
    tally.fill(board, ablation=False)
    copy = board.copy()
    record.state = "complete"
    tally.note(record)
    tally.fill(board, ablation=False)
    assert (copy.made, len(copy.ended)) == (0, 0)
    assert (board.made, len(board.ended)) == (1, 1)
