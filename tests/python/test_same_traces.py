"""Traces and assessments answer as MLflow's own server does."""

import random

import pytest

V2, V3 = "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces"
NOBODY = "tr-00000000000000000000000000000000"


def summary(trace_id, **fields):
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "$experiment"}}
    info = {"trace_id": trace_id, "trace_location": location, "state": "OK", **fields}
    info.setdefault("request_time", "2024-04-05T19:34:38.901Z")
    return {"trace": {"trace_info": info}}


@pytest.fixture
def traces(both):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    return both


def test_a_summary(traces):
    full = summary(
        "tr-$unique",
        client_request_id="c-1",
        request_preview='{"q": 1}',
        response_preview="long " * 100,
        execution_duration="1.5s",
        trace_metadata={"mlflow.trace_schema.version": "3", "mlflow.trace.session": "s", "long": "x" * 300},
        tags={"mlflow.traceName": "n", "team": "blue", "long": "y" * 5000},
        assessments=[
            {
                "assessment_name": "good",
                "feedback": {"value": True},
                "source": {"source_type": "HUMAN", "source_id": "ada"},
                "create_time": "2024-04-05T19:34:38Z",
                "last_update_time": "2024-04-05T19:34:38Z",
                "assessment_id": "a-$unique",
            }
        ],
    )
    traces.same("POST", V3, full)
    traces.same("GET", f"{V3}/tr-$unique")
    traces.same("GET", f"{V2}/tr-$unique/info")
    traces.same("POST", f"{V3}/batchGetInfos", {"trace_ids": ["tr-$unique", NOBODY]})
    # Again: what it leaves out stays as it was.
    traces.same("POST", V3, summary("tr-$unique", state="ERROR", tags={"team": "red"}))
    traces.same("GET", f"{V3}/tr-$unique")


def test_a_trace_of_an_old_client(traces):
    begin = {
        "experiment_id": "$experiment",
        "timestamp_ms": 1000,
        "request_metadata": [{"key": "m", "value": "1"}],
        "tags": [{"key": "t", "value": "1"}, {"key": "mlflow.traceName", "value": "old"}],
    }
    traces.same("POST", V2, begin, save={"trace": "trace_info.request_id"})
    end = {
        "timestamp_ms": 3000,
        "status": "OK",
        "request_metadata": [{"key": "m", "value": "2"}],
        "tags": [{"key": "u", "value": "3"}],
    }
    traces.same("PATCH", f"{V2}/$trace", end)
    # MLflow writes a duration below zero for the first, and breaks on the others.
    for said in ({"status": "OK"}, {"timestamp_ms": 3000}, {}):
        info = traces.subject.ask("PATCH", f"{V2}/$trace", said).json()["trace_info"]
        assert (info["execution_time_ms"], info["status"]) == (2000, "OK"), said
    traces.same("GET", f"{V2}/$trace/info")
    traces.same("GET", V2, {"experiment_ids": ["$experiment"], "filter": "name = 'old'"})
    traces.same("PATCH", f"{V2}/$trace/tags", {"key": "t", "value": "2"})
    traces.same("DELETE", f"{V2}/$trace/tags", {"key": "u"})
    traces.same("GET", f"{V2}/$trace/info")
    traces.same("POST", f"{V2}/delete-traces", {"experiment_id": "$experiment", "max_timestamp_millis": 2000})


@pytest.mark.parametrize(
    "said",
    [
        {"feedback": {"value": {"rating": 4, "why": None, "list": [1, "x"]}}},
        {"feedback": {"value": None, "error": {"error_code": "E", "error_message": "m"}}},
        {"feedback": {"value": "yes"}, "rationale": "r", "metadata": {"a": "b"}, "span_id": "s"},
        {"expectation": {"value": 7}},
        {"expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": '[1, {"a": 2}]'}}},
        {"feedback": {"value": 1}, "source": {"source_type": "CODE"}},
        {"issue": {"issue_name": "slow"}},
    ],
    ids=str,
)
def test_assessments(traces, said):
    traces.same("POST", V3, summary("tr-$unique"))
    times = {"create_time": "2024-04-05T19:34:38Z", "last_update_time": "2024-04-05T19:34:39.5Z"}
    body = {"assessment": {"assessment_name": "n", **times, **said}}
    path = f"{V3}/tr-$unique/assessments"
    traces.same("POST", path, body, save={"assessment": "assessment.assessment_id"})
    traces.same("GET", f"{path}/$assessment")
    if "feedback" in said:
        change = {"assessment": {"feedback": {"value": 2}, "metadata": {"c": "d"}}, "update_mask": "feedback,metadata"}
        traces.same("PATCH", f"{path}/$assessment", change)
        override = {
            "assessment": {"assessment_name": "n", **times, "feedback": {"value": 3}, "overrides": "$assessment"}
        }
        traces.same("POST", path, override, save={"override": "assessment.assessment_id"})
        traces.same("GET", f"{path}/$assessment")
        traces.same("DELETE", f"{path}/$override")
        traces.same("GET", f"{path}/$assessment")
    traces.same("DELETE", f"{path}/$assessment")


FILTERS = [
    "",
    "status = 'OK'",
    "trace.status != 'OK'",
    "attributes.status IN ('ERROR', 'IN_PROGRESS')",
    "name = 'n1'",
    "name LIKE 'n%'",
    "tags.colour = 'red'",
    "tags.colour IS NULL",
    "tag.colour != 'red'",
    "metadata.`mlflow.trace.session` = 's1'",
    "request_metadata.kind ILIKE 'A%'",
    "metadata.kind RLIKE '^a[0-9]$'",
    "timestamp > 1712345678903",
    "timestamp_ms <= 1712345678903 AND status = 'OK'",
    "execution_time_ms >= 3",
    "end_time < 1712345678908",
    "request_id IN ('tr-$unique-3', 'tr-$unique-4')",
    "client_request_id = 'c5'",
    "feedback.good = 'true'",
    "feedback.score > 4",
    "feedback.score <= 4",
    "feedback.word = 'fine'",
    "feedback.word != 'fine'",
    "feedback.word LIKE '%in%'",
    "feedback.good IS NULL",
    "expectation.answer IS NOT NULL",
    "run_id = 'run1'",
    "run_id != 'run1'",
    "prompt = 'p/1'",
]
ORDERS = [
    [],
    ["timestamp_ms ASC"],
    ["execution_time DESC"],
    ["status", "timestamp DESC"],
    ["tags.colour"],
    ["name DESC"],
    ["metadata.kind"],
    ["request_id DESC"],
]


@pytest.fixture(scope="module")
def many(reference, server):
    """Twenty traces with gaps and ties, the same on both servers."""
    from reference import Both

    both = Both(reference.url, server.url)
    both.name("unique", f"many{random.randrange(10**12)}")
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    for i in range(20):
        fields = {
            "state": ["OK", "ERROR", "IN_PROGRESS"][i % 3],
            "request_time": f"2024-04-05T19:34:38.{901 + i // 2}Z",
            "client_request_id": f"c{i}",
            "tags": {"mlflow.traceName": f"n{i % 4}"},
            "trace_metadata": {"mlflow.trace.session": f"s{i % 5}"},
        }
        if i % 4:
            fields["execution_duration"] = f"0.00{i % 7}s"
            fields["tags"]["colour"] = ["red", "green"][i % 2]
        if i % 3:
            fields["trace_metadata"]["kind"] = f"a{i % 3}"
        if i == 6:
            fields["trace_metadata"]["mlflow.sourceRun"] = "run1"
        both.same("POST", V3, summary(f"tr-$unique-{i}", **fields))
        said = {2: {"good": True}, 3: {"score": 4}, 4: {"score": 4.5, "word": "fine"}, 5: {"word": "bad"}}.get(i, {})
        for name, value in said.items():
            body = {"assessment": {"assessment_name": name, "feedback": {"value": value}}}
            both.name("a", "unsaved")
            for side in (both.reference, both.subject):
                assert side.ask("POST", f"{V3}/tr-$unique-{i}/assessments", body).status_code == 200
    expected = {"assessment": {"assessment_name": "answer", "expectation": {"value": "x"}}}
    for side in (both.reference, both.subject):
        assert side.ask("POST", f"{V3}/tr-$unique-7/assessments", expected).status_code == 200
    both.same("POST", f"{V2}/link-to-run", {"trace_ids": ["tr-$unique-8", "tr-$unique-9"], "run_id": "run1"})
    both.same(
        "POST", f"{V2}/link-prompts", {"trace_id": "tr-$unique-1", "prompt_versions": [{"name": "p", "version": "1"}]}
    )
    return both


def found(both, filter_text, orders, **options):
    """The ids in order, on both sides."""
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "$experiment"}}
    body = {"locations": [location], "filter": filter_text, "order_by": orders, **options}
    answers = [side.ask("POST", f"{V3}/search", body) for side in (both.reference, both.subject)]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    return [[trace["trace_id"] for trace in answer.json().get("traces", [])] for answer in answers]


@pytest.mark.parametrize("filter_text", FILTERS)
def test_search_finds_the_same(many, filter_text):
    expected, actual = found(many, filter_text, [])
    assert actual == expected
    expected, actual = found(many, filter_text, ["timestamp_ms ASC"], max_results=3)
    assert actual == expected


@pytest.mark.parametrize("orders", ORDERS, ids=str)
def test_search_orders_the_same(many, orders):
    expected, actual = found(many, "", orders)
    assert actual == expected and len(actual) == 20


@pytest.mark.parametrize(
    ("first", "second", "base"),
    [
        ("status = 'OK'", "tags.colour = 'red'", None),
        ("status = 'OK'", "name = 'n1'", "timestamp_ms > 1712345678903"),
        ("status = 'OK'", "status = 'ERROR'", None),
        ("tags.colour = 'blue'", "status = 'OK'", None),
        ("timestamp_ms > 0", "timestamp_ms > 1", None),
    ],
)
def test_correlation(many, first, second, base):
    body = {"experiment_ids": ["$experiment"], "filter_string1": first, "filter_string2": second}
    many.same("POST", f"{V3}/calculate-filter-correlation", {**body, **({"base_filter": base} if base else {})})


COUNT = [{"aggregation_type": "COUNT"}]
SPREAD = [
    {"aggregation_type": "AVG"},
    {"aggregation_type": "MIN"},
    {"aggregation_type": "MAX"},
    {"aggregation_type": "PERCENTILE", "percentile_value": 50},
    {"aggregation_type": "PERCENTILE", "percentile_value": 90.5},
]
HOUR = {"time_interval_seconds": 3600, "start_time_ms": 1712340000000, "end_time_ms": 1712349999999}


@pytest.mark.parametrize(
    "body",
    [
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, "dimensions": ["trace_status"]},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, **HOUR},
        {"view_type": "TRACES", "metric_name": "session_count", "aggregations": COUNT},
        {"view_type": "TRACES", "metric_name": "latency", "aggregations": SPREAD},
        {"view_type": "TRACES", "metric_name": "latency", "aggregations": SPREAD, "dimensions": ["trace_name"]},
        {"view_type": "ASSESSMENTS", "metric_name": "assessment_count", "aggregations": COUNT},
        {
            "view_type": "ASSESSMENTS",
            "metric_name": "assessment_count",
            "aggregations": COUNT,
            "dimensions": ["assessment_name", "assessment_value"],
        },
        {"view_type": "ASSESSMENTS", "metric_name": "assessment_value", "aggregations": SPREAD},
        {
            "view_type": "TRACES",
            "metric_name": "trace_count",
            "aggregations": COUNT,
            "filters": ["trace.status = 'OK'", "trace.tag.colour = 'red'"],
        },
        {
            "view_type": "TRACES",
            "metric_name": "trace_count",
            "aggregations": COUNT,
            "filters": ["trace.metadata.`mlflow.sourceRun` = 'run1'"],
        },
        {"view_type": "SPANS", "metric_name": "span_count", "aggregations": COUNT, "dimensions": ["span_type"]},
    ],
    ids=str,
)
def test_metrics(many, body):
    many.same("POST", f"{V3}/metrics", {"experiment_ids": ["$experiment"], **body})


@pytest.mark.parametrize("whole", [False, True], ids=["run", "experiment"])
def test_what_a_deleted_run_said(traces, whole):
    """An evaluation's run takes its assessments along, and does not bring them back."""
    made = {"experiment_id": "$experiment", "run_name": "evaluation"}
    traces.same("POST", "runs/create", made, save={"run": "run.info.run_id"})
    traces.same("POST", V3, summary("tr-$unique"))
    for saved, metadata in (("evaluated", {"mlflow.assessment.sourceRunId": "$run"}), ("kept", {"other": "x"})):
        said = {"assessment_name": "good", "feedback": {"value": True}, "metadata": metadata}
        said |= {"create_time": "2024-04-05T19:34:38Z", "last_update_time": "2024-04-05T19:34:39.5Z"}
        said["source"] = {"source_type": "CODE", "source_id": "s"}
        path = f"{V3}/tr-$unique/assessments"
        traces.same("POST", path, {"assessment": said}, save={saved: "assessment.assessment_id"})
    kind = {"experiment_id": "$experiment"} if whole else {"run_id": "$run"}
    for change in ("delete", "restore"):
        traces.same("POST", f"{'experiments' if whole else 'runs'}/{change}", kind)
        traces.same("GET", f"{V3}/tr-$unique/assessments/$evaluated")
        traces.same("GET", f"{V3}/tr-$unique/assessments/$kept")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{V3}/{NOBODY}", None),
        ("GET", f"{V2}/{NOBODY}/info", None),
        ("GET", f"{V3}/get", {"trace_id": NOBODY}),
        ("PATCH", f"{V2}/{NOBODY}", {"timestamp_ms": 1, "status": "OK"}),
        ("PATCH", f"{V3}/tr-$unique/tags", {"key": "mlflow.trace.spansLocation", "value": "b"}),
        ("DELETE", f"{V3}/tr-$unique/tags", {"key": "never"}),
        ("PATCH", f"{V3}/tr-$unique/tags", {"value": "b"}),
        ("PATCH", f"{V3}/tr-$unique/tags", {"key": "k" * 251, "value": "b"}),
        ("POST", V3, {}),
        ("POST", f"{V3}/{NOBODY}/assessments", {"assessment": {"assessment_name": "n", "feedback": {"value": 1}}}),
        ("GET", f"{V3}/tr-$unique/assessments/a-never", None),
        ("POST", f"{V3}/delete-traces", {"experiment_id": "$experiment"}),
        ("POST", f"{V3}/delete-traces", {"experiment_id": "$experiment", "max_traces": 0, "max_timestamp_millis": 1}),
        (
            "POST",
            f"{V3}/delete-traces",
            {"experiment_id": "$experiment", "max_timestamp_millis": 1, "request_ids": ["tr-1"]},
        ),
        ("POST", f"{V2}/link-to-run", {"trace_ids": ["tr-1"] * 101, "run_id": "r"}),
        ("POST", f"{V2}/link-to-run", {"trace_ids": ["tr-1"]}),
        ("GET", "/ajax-api/3.0/mlflow/get-trace-artifact", None),
    ],
    ids=str,
)
def test_refused(traces, method, path, body):
    traces.same("POST", V3, summary("tr-$unique"))
    traces.same(method, path, body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{V3}/search", {"filter": "status ="}),
        (f"{V3}/search", {"filter": "nothing.x = 'y'"}),
        (f"{V3}/search", {"filter": "span.size = 'y'"}),
        (f"{V3}/search", {"filter": "feedback.x > 'y'"}),
        (f"{V3}/search", {"filter": "feedback.x = 7"}),
        (f"{V3}/search", {"filter": "prompt = 'p'"}),
        (f"{V3}/search", {"filter": "prompt LIKE 'p/1'"}),
        (f"{V3}/search", {"order_by": ["nothing"]}),
        (f"{V3}/search", {"max_results": 501}),
        (f"{V3}/search", {"max_results": 0}),
    ],
    ids=str,
)
def test_refused_searches(traces, path, body):
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "$experiment"}}
    traces.alike("POST", path, {"locations": [location], **body})


@pytest.mark.parametrize(
    "body",
    [
        {"view_type": "TRACES", "metric_name": "nothing", "aggregations": COUNT},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": [{"aggregation_type": "SUM"}]},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, "dimensions": ["span_name"]},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, "time_interval_seconds": 60},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, "filters": ["span.name = 'x'"]},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, "filters": ["trace.x = 'x'"]},
        {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": COUNT, "filters": ["trace.status > 'x'"]},
    ],
    ids=str,
)
def test_refused_metrics(traces, body):
    traces.alike("POST", f"{V3}/metrics", {"experiment_ids": ["$experiment"], **body})
