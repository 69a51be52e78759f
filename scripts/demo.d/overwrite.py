"""Overwrites the files of a logged model through MLflow: python overwrite.py OUT

That is what a careless or hostile script can do to any run. A registered version must not care.
"""

import json
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

model_id = json.loads((Path(sys.argv[1]) / "version.json").read_text())["model_id"]
with tempfile.TemporaryDirectory() as folder:
    for name in ("MLmodel", "requirements.txt"):
        (Path(folder) / name).write_text("overwritten\n")
    MlflowClient().log_model_artifacts(model_id, folder)
    location = mlflow.get_logged_model(model_id).artifact_location
    now = mlflow.artifacts.download_artifacts(f"{location}/MLmodel", dst_path=folder + "/back")
    print(f"the logged model's MLmodel now reads: {Path(now).read_text().strip()!r}")
    assert Path(now).read_text() == "overwritten\n", "the overwrite did not take"
