"""``Session``: one run of a study, from the teacher's record to the report, also when the search ends early."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.core.arch import ArchConfig
from harness.core.manifest import FILE, Manifest, Standing
from harness.core.record import TrialRecord
from harness.data.faces import FaceSet
from harness.errors import HarnessError, Preempted
from harness.evaluation.fronts import dominated
from harness.evaluation.objectives import normalised
from harness.search import finish
from harness.search.loop import Search
from harness.search.speeds import Stopwatch
from harness.search.timing import timing
from harness.training.job import PREDICTIONS, WEIGHTS


class Session:
    """Runs a search, measures speeds, and writes the report.

    Args:
        search: the search, ready to run.
        manifest: the study's manifest so far.
        val: the validation images.
        stopwatch: measures speeds.
        begun: ``time.monotonic()`` when the command started.
    """

    def __init__(self, search: Search, manifest: Manifest, val: FaceSet, stopwatch: Stopwatch, begun: float) -> None:
        self.search = search
        self.plan = search.plan
        self.folder = search.plan.folder
        self.tracker = search.tracker
        self.manifest = manifest
        self.val = val
        self.stopwatch = stopwatch
        self._begun = begun
        self._before = manifest.standing.timing.get("total", 0.0)
        self._idle_share = manifest.standing.timing.get("idle_share")
        self._sources: Counter[str] = Counter()
        self._counted = self._wasted = 0
        self.teacher = self._keep_teacher()
        search.changed = self.write

    def run(self) -> Path:
        """Search, measure, and return the path of the report.

        Raises:
            HarnessError, OSError, KeyboardInterrupt: the search ended early; a report of the trials so far
                was written if possible, except after SIGTERM (``Preempted``).
        """
        self.write()
        self.tracker.start_study(self.manifest)
        self.tracker.trial(self.teacher)
        try:
            self.search.pool.ready()
            self.search.run()
            self.search.pool.close()
            self._idle_share = self.search.idle_share if self.search.trained else self._idle_share
            self._measure()
            if self.search.best is not None:
                self.tracker.model(self.search.best.label)
        except Preempted:
            self.search.pool.close()  # There is no time for a report.
            raise
        except BaseException:
            self.search.pool.close()
            with suppress(HarnessError, OSError, ValueError):  # The first error is the one to report.
                self._conclude()
            raise
        report = self._conclude()
        self._check_outcome()
        return report

    def write(self) -> None:
        """Update ``study.json``."""
        states = self.search.tally.states(candidates=True)
        sharing, scoring = self.plan.config.sharing, self.search.scoring
        wanted = self.plan.config.trials if sharing is None else sharing.finalists
        if self.search.trials.exhausted:
            wanted = sum(states.values())
        best = self.search.best
        total = self._before + (time.monotonic() - self._begun if self.search.trained else 0.0)
        standing = Standing(
            trials={state: states[state] for state in ("complete", "pruned", "failed", "running")} | {"wanted": wanted},
            trainings=self.search.trainings,
            scored=0 if scoring is None else len(scoring.scores),
            proposals=self._proposals(),
            wasted=self._wasted,
            repeated=self.search.trials.repeated,
            best=None if best is None else best.label,
            timing=timing(self.search.tally, total, self._idle_share),
        )
        self.manifest = replace(self.manifest, standing=standing)
        self.manifest.save(self.folder)

    def _proposals(self) -> dict[str, int]:
        """Count the candidates by source, and the proposals that were rejected before they became trials.

        Those of the last call are not counted again.
        """
        fits = self.search.proposer.counts.is_feasible
        for trial in self.search.trials.all[self._counted :]:
            self._sources[trial.user_attrs["source"]] += 1
            self._sources.update({f"rejected_{reason}": n for reason, n in trial.user_attrs["rejected"].items()})
            self._wasted += not fits(trial.params, self.plan.config.budget)
        self._counted = len(self.search.trials.all)
        return dict(self._sources)

    def _keep_teacher(self) -> TrialRecord:
        """Copy the teacher into the study under its label, so that the study's folder is self-contained."""
        teacher = self.plan.teacher
        target = self.plan.trial_folder(teacher.record.label)
        record = TrialRecord(**vars(teacher.record))
        record.latency = self.plan.latency(ArchConfig.from_dict(record.arch))
        with suppress(HarnessError):
            record.speed = TrialRecord.load(target).speed
        target.mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, PREDICTIONS):
            shutil.copy2(teacher.path.parent / name, target / name)
        record.save(target)
        return record

    def _measure(self) -> None:
        """Measure the speed of networks that have none; no worker is running at this point.

        A speed without ``folded`` is an earlier version's, which did not fold BatchNorms.
        """
        due = [record for record in (self.teacher, *self._finalists()) if not record.speed.get("folded")]
        for done, record in enumerate(due):
            self.search.progress.stage("measuring speed", done, len(due))
            self.stopwatch.measure(record)
            if record is not self.teacher:
                self.search.tally.note(record)
            record.save(self.plan.trial_folder(record.label))
            self.tracker.trial(record)

    def _finalists(self) -> list[TrialRecord]:
        """Return the complete networks whose speed is measured.

        Where latency is predicted, the candidates among them are the best one and those of the front.
        """
        complete = [record for record in self.search.records.values() if record.state == "complete"]
        if self.plan.latencies is None:
            return complete
        candidates = [record for record in complete if record.role == "candidate"]
        behind = dominated(normalised(candidates, self.plan.config))
        left_out = {record.label for record, is_behind in zip(candidates, behind, strict=True) if is_behind}
        best = self.search.best
        return [record for record in complete if record.label not in left_out or record is best]

    def _conclude(self) -> Path:
        from harness.reporting import build_report  # Loads pandas and Matplotlib, which takes seconds.

        self.search.progress.stage("writing the report", 0, 1)
        finish.write_importance(self.folder, finish.importance(self.search.trials.study))
        best = self.search.best
        labels = [self.teacher.label, *self.plan.config.references, *([best.label] if best else [])]
        found = {label: self.plan.trial_folder(label) / PREDICTIONS for label in labels}
        finish.write_examples(self.folder, self.val, found)
        self.write()
        report = build_report(self.folder)
        files: Sequence[Path] = [report.parent, self.folder / FILE]
        self.tracker.artifacts(None, files)
        if best is not None:
            weights = self.plan.trial_folder(best.label) / WEIGHTS
            self.tracker.artifacts(best.label, [weights])
        self.tracker.finish_study(self.manifest)
        return report

    def _check_outcome(self) -> None:
        candidates = self.search.candidates()
        if candidates and all(record.state == "failed" for record in candidates):
            raise HarnessError(f"all {len(candidates)} trials failed, the first one because: {candidates[0].reason}")
