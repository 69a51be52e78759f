"""Run search finds and orders what MLflow's own server finds, in the same order."""

import random

import pytest

FILTERS = [
    "",
    "metrics.loss < 0.5",
    "metrics.loss < 0.5 and params.depth = '3'",
    "metrics.`loss` >= 0.25 AND tags.colour != 'red'",
    "params.depth != '3'",
    "params.depth LIKE '%1'",
    "params.name ILIKE 'RUN-1%'",
    "attributes.run_id NOT IN ('$run_a', '$run_b')",
    "tags.colour = 'red' and metrics.loss > 0.1 and metrics.loss <= 0.9",
    "attributes.status = 'FINISHED'",
    "attributes.status != 'FINISHED'",
    "attribute.start_time > 1700000000010",
    "start_time <= 1700000000010",
    "attributes.run_name LIKE 'run-1%'",
    "run_name = 'run-3'",
    "attributes.user_id = 'ada'",
    "tags.`mlflow.runName` = 'run-4'",
    "tag.missing = 'x'",
    "metrics.sparse > -1",
    "attributes.run_id IN ('$run_a', '$run_b')",
    "tags.colour IS NOT NULL",
    "tags.colour IS NULL",
    'params."depth" = "3"',
]
ORDERS = [
    [],
    ["metrics.loss DESC"],
    ["metrics.loss ASC", "params.depth DESC"],
    ["params.depth", "attributes.start_time DESC"],
    ["metrics.sparse DESC"],
    ["metrics.sparse"],
    ["tags.colour"],
    ["attributes.end_time DESC"],
    ["start_time"],
    ["metrics.odd DESC"],
    ["metrics.odd ASC"],
]
VIEWS = ["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]


@pytest.fixture(scope="module")
def runs(reference, server):
    """Forty runs with gaps, ties, NaN and infinities, the same on both servers."""
    from reference import Both

    both = Both(reference.url, server.url)
    both.name("unique", f"search{random.randrange(10**12)}")
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    dice = random.Random(7)
    for number in range(40):
        name = {3: "run_a", 7: "run_b"}.get(number, "run")
        tags = [{"key": "colour", "value": dice.choice(["red", "green"])}] if number % 3 else []
        both.same(
            "POST",
            "runs/create",
            {
                "experiment_id": "$experiment",
                "start_time": 1700000000000 + number,
                "user_id": dice.choice(["ada", "bob"]),
                "run_name": f"run-{number}",
                "tags": tags,
            },
            save={name: "run.info.run_id"},
        )
        metrics = [{"key": "loss", "value": dice.randrange(20) / 20, "timestamp": 1, "step": 0}]
        if number % 4 == 0:
            metrics.append({"key": "sparse", "value": dice.randrange(3), "timestamp": 1, "step": 0})
        if number % 5 == 0:
            odd = ["NaN", "Infinity", "-Infinity", 1.5][number // 5 % 4]
            metrics.append({"key": "odd", "value": odd, "timestamp": 1, "step": 0})
        params = [{"key": "depth", "value": str(number % 4)}, {"key": "name", "value": f"run-{number}"}]
        both.same("POST", "runs/log-batch", {"run_id": f"${name}", "metrics": metrics, "params": params})
        if number % 2:
            both.same(
                "POST", "runs/update", {"run_id": f"${name}", "status": "FINISHED", "end_time": 1800000000000 - number}
            )
        if number % 9 == 8:
            both.same("POST", "runs/delete", {"run_id": f"${name}"})
    return both


def found(both, body):
    """The names of the found runs, in order, on both sides."""
    names = []
    for side in (both.reference, both.subject):
        answer = side.ask("POST", "runs/search", body)
        assert answer.status_code == 200, f"{side.url} {body}: {answer.text}"
        names.append([run["info"]["run_name"] for run in answer.json().get("runs", [])])
    return names


@pytest.mark.parametrize("text", FILTERS)
def test_filters(runs, text):
    expected, actual = found(
        runs, {"experiment_ids": ["$experiment"], "filter": text, "order_by": ["start_time"], "max_results": 100}
    )
    assert actual == expected


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_orders(runs, order):
    expected, actual = found(runs, {"experiment_ids": ["$experiment"], "order_by": order, "max_results": 100})
    assert actual == expected


@pytest.mark.parametrize("view", VIEWS)
def test_views(runs, view):
    expected, actual = found(
        runs, {"experiment_ids": ["$experiment"], "run_view_type": view, "order_by": ["start_time"], "max_results": 100}
    )
    assert actual == expected


@pytest.mark.parametrize("order", [["metrics.loss DESC"], ["metrics.sparse"], ["metrics.odd DESC"], []], ids=str)
def test_pages_have_no_gap_and_no_double(runs, order):
    """Pages of 7 give what one page of 100 gives."""
    side = runs.subject
    body = {"experiment_ids": ["$experiment"], "order_by": order}
    whole = side.ask("POST", "runs/search", {**body, "max_results": 100}).json()["runs"]
    paged, token = [], ""
    while True:
        page = side.ask("POST", "runs/search", {**body, "max_results": 7, "page_token": token}).json()
        paged += page.get("runs", [])
        token = page.get("next_page_token", "")
        if not token:
            break
    assert [run["info"]["run_id"] for run in paged] == [run["info"]["run_id"] for run in whole]
