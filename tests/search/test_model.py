"""What a study tells its tracker at the end."""

import pytest

from harness.core.manifest import Manifest
from harness.tracking import NullTracker
from tests.search.stub import Plan, Stub

pytestmark = pytest.mark.slow


def test_the_best_student_of_an_ended_study_becomes_its_model(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    models = list[str]()

    class Listening(NullTracker):
        def model(self, label: str) -> None:
            models.append(label)

    monkeypatch.setattr("harness.search.run.open_tracker", lambda *_: Listening())
    with pytest.raises(KeyboardInterrupt):
        stub.study(Plan(interrupt=9))
    assert models == []
    folder = stub.study()
    assert models == [Manifest.load(folder).standing.best]
