"""Moves a version with MLflow's own client: python transition.py NAME VERSION STAGE"""

import sys

from mlflow import MlflowClient

version = MlflowClient().transition_model_version_stage(*sys.argv[1:4])
print(f"{version.name} version {version.version} is in {version.current_stage}")
