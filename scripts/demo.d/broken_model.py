"""A model from code that cannot start."""

import mlflow
from mlflow.pyfunc import PythonModel


class Broken(PythonModel):
    def load_context(self, context):
        raise RuntimeError("no weights for iris: the feature store moved")

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Broken())
