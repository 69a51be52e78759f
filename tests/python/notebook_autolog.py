"""A second kind of notebook: autolog registers the model itself, before it logs datasets and metrics."""

import json

import mlflow
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

mlflow.set_experiment("autolog")
mlflow.sklearn.autolog(registered_model_name="tree", log_input_examples=True)
features, target = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run() as run:
    DecisionTreeClassifier(max_depth=3, random_state=0).fit(features, target)
print(json.dumps({"run_id": run.info.run_id}))
