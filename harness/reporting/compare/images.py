"""The validation images of studies: their faces, and how each network's detections match them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.faces import open_faceset
from harness.data.truth import GroundTruth, Listed, load_ground_truth
from harness.errors import DataError
from harness.evaluation.ap import Matches, match
from harness.evaluation.attributes import Groups, attribute_groups, size_groups
from harness.evaluation.matched import FACES, MATCHES, load_faces, load_matches
from harness.evaluation.predictions import load_detections, load_predictions
from harness.reporting.study.data import StudyData

PREDICTIONS = "predictions.npz"


@dataclass(frozen=True, eq=False)
class Images:
    """The validation images.

    Attributes:
        listed: their faces and the lists these are on.
        groups: the faces by size, and by the other attributes if the official ground truth was given.
        truth: the same faces with their boxes; None where only a report's records are at hand.
    """

    listed: Listed
    groups: Groups
    truth: GroundTruth | None

    def file(self, folder: Path) -> Path:
        """Return the file from which ``matches`` reads, in the folder of a training."""
        matched = self.truth is None or (folder / MATCHES).exists()
        return folder / (MATCHES if matched else PREDICTIONS)

    def matches(self, folder: Path) -> Matches:
        """Return the matched detections of the training in ``folder``.

        Raises:
            DataError: its file is missing, broken, or on other images.
        """
        path = self.file(folder)
        if self.truth is None or path.name == MATCHES:
            return load_matches(path, self.listed)
        return match(load_detections(path, self.truth.ids)[1], self.truth)

    def published(self, path: Path) -> Matches:
        """Return the matched detections of prediction files, or of a file of matched detections.

        Raises:
            DataError: ``path`` is missing, broken, or on other images.
        """
        if self.truth is None or path.suffix == ".npz":
            return load_matches(path, self.listed)
        return match(load_predictions(path, self.truth.ids), self.truth)


def known_images(studies: Sequence[StudyData], runs: Path) -> Images | None:
    """Return the validation images of the first of ``studies`` as far as ``runs`` has them; None if it has not.

    Raises:
        DataError: the images, or the faces in a study's folder, are broken.
    """
    wanted = studies[0].study.data["val"].digest
    for path in sorted(runs.glob("cache/*/meta.json")):
        # A folder that is still being written has a suffix, and may be incomplete.
        if not path.parent.suffix and wanted in path.read_text(encoding="utf-8", errors="replace"):
            faces = open_faceset(path.parent)
            if faces.digest == wanted:
                truth = faces.truth()
                return Images(truth.listed, size_groups(truth), truth)
    known = next((path for data in studies if (path := data.folder / FACES).exists()), None)
    return None if known is None else Images(*load_faces(known), truth=None)


def images_of(studies: Sequence[StudyData], predictions: Path, runs: Path, ground_truth: Path | None) -> Images:
    """Return the validation images of ``studies``, which all have the same.

    Args:
        studies: at least one.
        predictions: detections on these images; name them if ``ground_truth`` is given.
        runs: folder of ``cache/`` with the images.
        ground_truth: folder of ``wider_{face,easy,medium,hard}_val.mat``.

    Raises:
        DataError: they are not known, or a file is broken.
    """
    if ground_truth is not None:
        truth = load_ground_truth(ground_truth, load_detections(predictions)[0])
        return Images(truth.listed, size_groups(truth) | attribute_groups(ground_truth, truth), truth)
    found = known_images(studies, runs)
    if found is None:
        data = studies[0]
        raise DataError(
            f"the validation images of {data.study.name} ({data.study.data['val'].digest}) are not in "
            f"{runs / 'cache'}: give their --ground-truth, or make them again with the command in "
            f"{data.folder / 'study.json'}"
        )
    return found
