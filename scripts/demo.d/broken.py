"""Registers a version of iris whose code raises as it loads: python broken.py REQUIREMENTS

It names the requirements of the version before, so that only its code is new.
"""

import sys
from pathlib import Path

import mlflow

mlflow.set_experiment("iris")
with mlflow.start_run(run_name="broken"):
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("broken_model.py")),
        registered_model_name="iris",
        pip_requirements=sys.argv[1],
    )
print(f"iris version {logged.registered_model_version}")
