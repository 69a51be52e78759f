"""A notebook, as a script: an unmodified MLflow client trains, logs, registers, loads back, searches.

    python notebook.py C OUT     C: inverse regularisation strength; OUT: folder for input and prediction

The tracking server is MLFLOW_TRACKING_URI. Nothing here knows of Waybill.
"""

# %% Where things go
import json
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

strength, out = float(sys.argv[1]), Path(sys.argv[2])
mlflow.set_experiment("iris")
# The model is logged once, below, under a name of its own.
mlflow.sklearn.autolog(log_models=False)

# %% Train
data = load_iris(as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(data.data, data.target, random_state=0)
with mlflow.start_run(run_name=f"logistic C={strength}") as run:
    frame = train_x.assign(target=train_y)
    mlflow.log_input(mlflow.data.from_pandas(frame, name="iris", targets="target"), context="training")
    mlflow.log_dict({"classes": list(map(str, data.target_names))}, "classes.json")
    model = LogisticRegression(C=strength, max_iter=500).fit(train_x, train_y)
    mlflow.log_metric("test_accuracy", model.score(test_x, test_y))
    logged = mlflow.sklearn.log_model(
        model,
        name="model",
        registered_model_name="iris",
        input_example=train_x.head(3),
        pyfunc_predict_fn="predict_proba",
    )

# %% Name the new version, and load it back by that name
client = MlflowClient()
version = logged.registered_model_version
client.set_registered_model_alias("iris", "champion", version)
champion = mlflow.pyfunc.load_model("models:/iris@champion")
sample = test_x.head(5)
prediction = champion.predict(sample)
print(f"iris version {version}, run {run.info.run_id}, model {logged.model_id}")
print("prediction of iris@champion for five flowers:")
print(prediction.round(4).tolist())

# %% Search
runs = mlflow.search_runs(
    experiment_names=["iris"],
    filter_string=f"metrics.test_accuracy > 0.5 and params.C = '{strength}'",
    order_by=["metrics.test_accuracy DESC"],
)
print(
    f"search found {len(runs)} run(s) with C={strength}; best test accuracy {runs.iloc[0]['metrics.test_accuracy']:.4f}"
)
assert run.info.run_id in set(runs["run_id"]), "the search must find the run that just ended"

# %% Keep what a caller needs to ask the served model the same question
out.mkdir(parents=True, exist_ok=True)
(out / "input.json").write_text(json.dumps({"dataframe_split": sample.to_dict(orient="split")}))
(out / "prediction.json").write_text(json.dumps({"predictions": prediction.tolist()}))
(out / "version.json").write_text(
    json.dumps({"version": int(version), "run_id": run.info.run_id, "model_id": logged.model_id})
)
