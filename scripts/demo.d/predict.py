"""Loads a model by its MLflow URI and predicts: python predict.py models:/iris/1 OUT

OUT has the notebook's input.json and prediction.json; ends with 1 if the predictions differ.
"""

import json
import sys
from pathlib import Path

import mlflow
import numpy
import pandas

uri, out = sys.argv[1], Path(sys.argv[2])
split = json.loads((out / "input.json").read_text())["dataframe_split"]
expected = json.loads((out / "prediction.json").read_text())["predictions"]
sample = pandas.DataFrame(split["data"], columns=split["columns"])
prediction = mlflow.pyfunc.load_model(uri).predict(sample)
print(f"{uri} predicts {prediction.round(4).tolist()}")
if not numpy.allclose(prediction, expected):
    sys.exit(f"not the notebook's prediction, which was {expected}")
print("the notebook's own prediction")
