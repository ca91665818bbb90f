"""The code of a study's model in MLflow: it is copied into the model, and run where the model is loaded.

Beside it, the model holds the weights as safetensors and this project's source, so that nothing is unpickled and the
project need not be installed there.
"""

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pandas import DataFrame

from harness.deployment.model import SCORE, load
from harness.deployment.pictures import UnreadableError, decode_picture


class FaceDetector(PythonModel):
    """Pictures in, faces out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the network and load its weights."""
        self._model = load(context.artifacts["weights"], device="cpu")

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: DataFrame,
        params: dict[str, Any] | None = None,
    ) -> DataFrame:
        """Return a column ``faces``: for each picture its faces, best first, in pixels of the picture.

        Args:
            context: unused.
            model_input: a column ``image`` with the content of picture files, of any kind and size.
            params: ``score``: least score of a face.

        Raises:
            MlflowException: an entry is no picture, or ``score`` lies outside 0 … 1; a server answers with status 400.
        """
        least = (params or {}).get("score", SCORE)
        if not 0 <= least <= 1:
            raise MlflowException.invalid_parameter_value(f"score lies in 0 … 1, got {least}")
        found = []
        for place, content in enumerate(model_input["image"]):
            try:
                image = decode_picture(content)
            except UnreadableError as error:
                raise MlflowException.invalid_parameter_value(f"picture {place} {error}") from error
            found.append(self._model.detect(image, score=least).to_list())
        return DataFrame({"faces": found})


set_model(FaceDetector())
