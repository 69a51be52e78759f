"""GraphQL, as MLflow's pages ask it: MLflow's answers are the measure."""

import pytest

RUN = """query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetRun(input: $data) {
    apiError { helpUrl code message }
    run {
      info { runId runUuid runName status experimentId artifactUri endTime lifecycleStage userId }
      experiment { experimentId name tags { key value } artifactLocation lifecycleStage }
      modelVersions {
        name version source status statusMessage currentStage description runId runLink aliases userId modelId
        tags { key value } modelParams { name value } modelMetrics { key value } deploymentJobState { jobId }
      }
      data {
        metrics { key value step timestamp datasetName datasetDigest modelId runId }
        params { key value }
        tags { key value }
      }
      inputs {
        datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } }
        modelInputs { modelId }
      }
      outputs { modelOutputs { modelId step } }
    }
  }
}"""


@pytest.fixture
def asked(both):
    """A run with one of everything."""
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment_id": "experiment_id"})
    created = {"experiment_id": "$experiment_id", "run_name": "first", "start_time": 5, "user_id": "u"}
    both.same("POST", "runs/create", created, save={"run_id": "run.info.run_id"})
    values = [("a", 1.5), ("b", "NaN"), ("c", "Infinity"), ("d", "-Infinity")]
    metrics = [{"key": key, "value": value, "timestamp": 7, "step": 3} for key, value in values]
    batch = {"run_id": "$run_id", "metrics": metrics, "params": [{"key": "p", "value": "1"}]}
    both.same("POST", "runs/log-batch", batch)
    dataset = {"name": "iris", "digest": "d", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "train"}]
    both.same("POST", "runs/log-inputs", {"run_id": "$run_id", "datasets": [{"dataset": dataset, "tags": tags}]})
    both.same("POST", "registered-models/create", {"name": "$unique"})
    version = {"name": "$unique", "source": "s3://bucket/model", "run_id": "$run_id", "description": "d"}
    both.same("POST", "model-versions/create", version)
    return both


def ask(both, query, variables=None, operation=None):
    return both.same("POST", "/graphql", {"query": query, "variables": variables or {}, "operationName": operation})


def test_a_run(asked):
    answer = ask(asked, RUN, {"data": {"runId": "$run_id"}}, "GetRun")
    assert answer["errors"] is None
    assert answer["data"]["mlflowGetRun"]["run"]["modelVersions"][0]["version"] == "1"


@pytest.mark.parametrize(
    "field",
    [
        'mlflowGetExperiment(input: {experimentId: "$experiment_id"}) { experiment { name tags { key } } }',
        'mlflowGetExperiment(input: {experimentId: "x"}) { experiment { name } }',
        'mlflowGetExperiment(input: {experimentId: "987654"}) { experiment { name } apiError { code } }',
        'mlflowGetRun(input: {runUuid: "$run_id"}) { run { info { runId } } }',
        'mlflowGetRun(input: {runId: "00000000000000000000000000000000"}) { run { info { runId } } }',
        'mlflowSearchRuns(input: {experimentIds: ["$experiment_id"]}) { runs { info { runId } } nextPageToken }',
        'mlflowSearchRuns(input: {experimentIds: ["$experiment_id"], maxResults: 0}) { runs { info { runId } } }',
        "mlflowGetMetricHistoryBulkInterval(input: "
        '{runIds: ["$run_id", "gone"], metricKey: "a"}) { metrics { key value step timestamp runId } }',
        'mlflowListArtifacts(input: {runId: "$run_id"}) { rootUri nextPageToken files { path isDir fileSize } }',
        'mlflowListArtifacts(input: {runId: "nope"}) { files { path } }',
        "mlflowSearchModelVersions(input: {filter: \"name='$unique'\"}) { modelVersions { name version } }",
        'test(inputString: "echo") { output }',
    ],
)
def test_fields(asked, field):
    ask(asked, "{ " + field + " }")


def test_mutations_are_searches(asked):
    ask(
        asked,
        """mutation m {
          mlflowSearchRuns(input: {experimentIds: ["$experiment_id"]}) { runs { info { runId } } }
          mlflowSearchDatasets(input: {experimentIds: ["$experiment_id"]}) {
            datasetSummaries { experimentId name digest context }
          }
        }""",
        operation="m",
    )


@pytest.mark.parametrize(
    "query",
    [
        "{ " + " ".join(f'k{i}: test(inputString: "x") {{ output }}' for i in range(12)) + " }",
        '{ mlflowGetExperiment(input: {experimentId: "0"}) { '
        + " ".join(f"e{i}: experiment {{ name }}" for i in range(12))
        + " } }",
        "{ a " * 14 + "} " * 14,
        "{ a { " + " ".join(f"f{i}" for i in range(1001)) + " } }",
        "{ a { "
        + " ".join(f"...F{i}" for i in range(12))
        + " } } "
        + " ".join(f"fragment F{i} on T {{ f{i}: x }}" for i in range(12)),
    ],
    ids=["root fields", "aliases", "depth", "selections", "aliases in fragments"],
)
def test_limits(asked, query):
    """The same limits; MLflow adds which of its variables would raise them."""
    answers = [side.ask("POST", "/graphql", {"query": query}) for side in (asked.reference, asked.subject)]
    expected, actual = ((a.status_code, a.json()["data"], a.json()["errors"][0]) for a in answers)
    assert actual[:2] == expected[:2]
    assert expected[2].startswith(actual[2])


@pytest.mark.parametrize(
    "query",
    ["{ nope { x } }", '{ mlflowGetExperiment(input: {experimentId: "0"}) { experiment { nope } } }'],
)
def test_unknown_fields(asked, query):
    """Each library has its own words for them."""
    answers = [side.ask("POST", "/graphql", {"query": query}) for side in (asked.reference, asked.subject)]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["data"] is None
        assert "nope" in answer.json()["errors"][0]
