"""Writes a trained student as an MLflow model: its weights as safetensors, and code; nothing is pickled."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

from harness.core.record import TrialRecord
from harness.data.synthetic.generate import render_scene
from harness.deployment.model import SCORE
from harness.models.weights import file_digest, write_labelled
from harness.tracking import served

_SOURCE = Path(__file__).parents[1]
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "weights")
_REQUIREMENTS = ("mlflow", "torch", "numpy", "opencv-python-headless", "safetensors", "pandas", "scipy", "psutil")
"""What the model's code imports."""

_SEEN = 160
"""Side of the example, a generated scene, pixels."""


@contextmanager
def mlflow_model(record: TrialRecord, weights: Path, study: str) -> Iterator[tuple[Path, str]]:
    """Yield a folder with a network as an MLflow model, and the digest of its weights; the folder is temporary.

    Args:
        record: the network's record.
        weights: its weights file.
        study: name of its study.

    Raises:
        DataError: the weights file is missing or unreadable.
        OSError: the disk is full.
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as place:
        labelled, source, model = (Path(place) / name for name in ("student.safetensors", "harness", "model"))
        write_labelled(weights, labelled, record.header(study))
        shutil.copytree(_SOURCE, source, ignore=_LEFT_OUT)
        mlflow.pyfunc.save_model(
            model,
            python_model=served.__file__,
            artifacts={"weights": str(labelled)},
            code_paths=[str(source)],
            signature=_signature(),
            input_example=_example(),
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS],
            metadata={"study": study, "trial": record.label, "params": record.params},
        )
        yield model, file_digest(weights)


def _example() -> Any:
    from pandas import DataFrame

    encoded, content = cv2.imencode(".png", render_scene(0, "val", 0, _SEEN).image)
    assert encoded
    return DataFrame({"image": [content.tobytes()]})


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    points = Array(Array(DataType.double))
    face = Object(
        [
            Property("box", Array(DataType.double)),
            Property("score", DataType.double),
            Property("landmarks", points),
        ]
    )
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(Array(face), "faces")]),
        params=ParamSchema([ParamSpec("score", DataType.double, SCORE)]),
    )
