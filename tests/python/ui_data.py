"""What MLflow's pages are shown: logged with the unmodified client, as a notebook would."""

import contextlib
import json
import math

import mlflow
import numpy as np
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

EXPERIMENT = "flowers"


class Data:
    """Ids of what was logged."""


def log_all(url, folder):
    mlflow.set_tracking_uri(url)
    client = MlflowClient()
    data = Data()
    data.experiment_id = mlflow.create_experiment(EXPERIMENT, tags={"team": "garden"})
    mlflow.set_experiment(EXPERIMENT)
    data.runs = [log_run(client, folder, number) for number in range(3)]
    with mlflow.start_run(run_name="broken") as run:
        mlflow.log_param("c", "none")
        data.failed_run = run.info.run_id
    client.set_terminated(data.failed_run, "FAILED")
    client.set_registered_model_tag("iris", "owner", "botanists")
    client.set_registered_model_alias("iris", "champion", "2")
    client.update_model_version("iris", "1", description="the **first** one")
    client.set_model_version_tag("iris", "1", "checked", "yes")
    client.transition_model_version_stage("iris", "1", "Staging")
    mlflow.genai.register_prompt("greeting", "Say hello to {{name}}.", commit_message="polite")
    mlflow.genai.register_prompt("greeting", "Greet {{name}} warmly.", commit_message="warm")
    mlflow.genai.set_prompt_alias("greeting", "live", 2)
    data.trace_id = log_traces()
    data.model_id = client.search_logged_models([data.experiment_id], max_results=1)[0].model_id
    return data


def log_traces():
    """A question with a tool call, one that fails, and two of one session; the first one's id."""

    @mlflow.trace(name="answer", span_type="CHAIN")
    def answer(question):
        with mlflow.start_span("look up", span_type="TOOL") as span:
            span.set_inputs({"query": question})
            span.set_outputs({"found": "a rose"})
        return "It is a rose."

    @mlflow.trace(name="stumble")
    def stumble():
        raise ValueError("no such flower")

    answer("What is this?")
    trace_id = mlflow.get_last_active_trace_id()
    for question in ("Is it red?", "Does it smell?"):
        with mlflow.start_span("turn") as span:
            span.set_inputs({"question": question})
            mlflow.update_current_trace(metadata={"mlflow.trace.session": "garden-talk", "mlflow.trace.user": "ann"})
    with contextlib.suppress(ValueError):
        stumble()
    mlflow.flush_trace_async_logging()
    mlflow.set_trace_tag(trace_id, "topic", "roses")
    mlflow.log_feedback(trace_id=trace_id, name="helpful", value=True, rationale="it names the flower")
    return trace_id


def log_run(client, folder, number):
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    with mlflow.start_run(run_name=f"rose-{number}", description="a *short* note") as run:
        mlflow.log_params({"c": 10**number, "solver": "lbfgs"})
        mlflow.set_tag("kind", "baseline" if number == 0 else "candidate")
        for step in range(20):
            mlflow.log_metrics({"loss": 2.0 / (step + 1 + number), "accuracy": step / 20}, step=step)
        mlflow.log_metric("odd", math.nan)
        dataset = mlflow.data.from_numpy(x, targets=y, name="petals")
        mlflow.log_input(dataset, context="training")
        mlflow.log_text("hello from a text file\nand a second line\n", "notes/hello.txt")
        mlflow.log_dict({"answer": 42}, "notes/answer.json")
        mlflow.log_text(
            "<!doctype html><p id='p'></p><script>p.textContent = 'made by ' + 'a script'</script>", "page.html"
        )
        mlflow.log_table({"city": ["Bern", "Oslo"], "people": [1, 2]}, "table.json")
        red = np.zeros((60, 80, 3), dtype=np.uint8)
        red[..., 0] = 200
        mlflow.log_image(red, "picture.png")
        rows = folder / "rows.csv"
        rows.write_text("a,b\n1,2\n3,4\n")
        mlflow.log_artifact(str(rows))
        model = LogisticRegression(C=10**number).fit(x, y)
        mlflow.sklearn.log_model(model, name="model", registered_model_name="iris", input_example=x[:2])
    return run.info.run_id


if __name__ == "__main__":
    import pathlib
    import sys
    import tempfile

    made = log_all(sys.argv[1], pathlib.Path(tempfile.mkdtemp()))
    print(json.dumps(vars(made)))
