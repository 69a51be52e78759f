"""Every kind of search reads its filters and orders as MLflow's own server does: the same text is
accepted or refused, finds the same objects, and puts them in the same order."""

import random

import pytest
from filter_cases import LOGGED_MODEL_ORDERS, MORE, ORDERS, OWN, REFUSED, SPELLINGS
from reference import Both


class Kind:
    """One kind of search: how it is asked, and the names in its answer."""

    def __init__(self, method, path, answer, name, fixed):
        self.method, self.path, self.answer, self.name, self.fixed = method, path, answer, name, fixed

    def ask(self, side, text, orders):
        body = {**self.fixed, "filter": text}
        if orders:
            body["order_by"] = orders
        return side.ask(self.method, self.path, body)

    def own(self, side, response):
        """The names in the answer that this module gave, without what is random in them."""
        names = [self.name(item) for item in response.json().get(self.answer, [])]
        return [name for name in names if side.ids["unique"] in name]


KINDS = {
    "experiments": Kind("POST", "experiments/search", "experiments", lambda e: e["name"], {"max_results": 1000}),
    "runs": Kind(
        "POST",
        "runs/search",
        "runs",
        lambda run: run["info"]["run_name"],
        {"experiment_ids": ["$experiment"], "max_results": 100},
    ),
    "logged models": Kind(
        "POST",
        "logged-models/search",
        "models",
        lambda model: model["info"]["name"],
        {"experiment_ids": ["$experiment"], "max_results": 100},
    ),
    "models": Kind(
        "GET", "registered-models/search", "registered_models", lambda model: model["name"], {"max_results": 1000}
    ),
    "versions": Kind(
        "GET",
        "model-versions/search",
        "model_versions",
        lambda version: f"{version['name']}/{version['version']}",
        {"max_results": 1000},
    ),
}


def cases():
    for kind in KINDS:
        for text in [*SPELLINGS, *OWN[kind], *REFUSED]:
            yield pytest.param(kind, text, [], id=f"{kind}: {text}")
        for orders in ORDERS.get(kind, LOGGED_MODEL_ORDERS):
            yield pytest.param(kind, "", orders, id=f"{kind}: by {orders}")


def tags_of(number):
    tags = [{"key": "team", "value": ["blue", "red", "and"][number % 3]}] if number % 4 else []
    tags += [{"key": "a b", "value": "x y"}] if number % 2 else []
    tags += [{"key": "a.b", "value": "dots"}] if number == 5 else []
    return tags + ([{"key": "empty", "value": ""}] if number == 6 else [])


def make_run(both, number):
    both.same(
        "POST",
        "runs/create",
        {
            "experiment_id": "$experiment",
            "start_time": 1700000000000 + number,
            "user_id": ["ada", "bob"][number % 2],
            "run_name": f"$unique-{number}",
            "tags": tags_of(number),
        },
        save={"run" if number == 3 else "other": "run.info.run_id"},
    )
    run = "$run" if number == 3 else "$other"
    metrics = [{"key": "loss", "value": number % 5 / 4, "timestamp": 1, "step": 0}]
    metrics += [{"key": "odd", "value": ["NaN", "Infinity", 1.5][number % 3], "timestamp": 1}] if number % 2 else []
    params = [{"key": "depth", "value": str(number % 3)}] if number % 3 else []
    both.same("POST", "runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
    if number % 3 == 0:
        dataset = {"name": ["train", "eval"][number % 2], "digest": f"d{number % 2}", "source_type": "t", "source": "s"}
        uses = [{"key": "mlflow.data.context", "value": "training"}] if number else []
        both.same("POST", "runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset, "tags": uses}]})
        both.same("POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": 1800000000000 - number})


def make_logged_model(both, number):
    name = "model" if number == 3 else "other_model"
    both.same(
        "POST",
        "logged-models",
        {
            "experiment_id": "$experiment",
            "name": f"$unique-{number}",
            "source_run_id": "$run",
            "model_type": ["Agent", "Net"][number % 2],
            "params": [{"key": "depth", "value": str(number % 3)}],
            "tags": tags_of(number),
        },
        save={name: "model.info.model_id"},
    )
    for step in range(number % 3):
        metric = {"key": "loss", "value": (number + step) % 5 / 4, "timestamp": 5 + step, "step": step}
        metric |= {"dataset_name": ["train", "eval"][step], "dataset_digest": "d1"}
        both.same("POST", "runs/log-metric", {"run_id": "$run", "model_id": f"${name}", **metric})


def make_registered(both, number):
    name = f"$unique-{number}"
    tags = tags_of(number) + ([{"key": "mlflow.prompt.is_prompt", "value": "true"}] if number == 7 else [])
    both.same("POST", "registered-models/create", {"name": name, "tags": tags})
    for version in range(number % 3):
        body = {"name": name, "source": f"s3://elsewhere/v{number}", "tags": tags}
        body |= {"run_id": "$run"} if version else {}
        both.same("POST", "model-versions/create", body)


@pytest.fixture(scope="module")
def filled(reference, server):
    """Ten of each kind, the same on both servers."""
    both = Both(reference.url, server.url)
    both.name("unique", f"same{random.randrange(10**12)}")
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    for number in range(10):
        make_run(both, number)
        body = {"name": f"$unique-{number}", "tags": tags_of(number)}
        both.same("POST", "experiments/create", body, save={"other_experiment": "experiment_id"})
    for number in range(10):
        make_logged_model(both, number)
        make_registered(both, number)
    return both


@pytest.mark.parametrize(("kind", "text", "orders"), list(cases()))
def test_filters_and_orders(filled, kind, text, orders):
    more = (kind, f"by {orders}" if orders else text) in MORE
    kind = KINDS[kind]
    expected = kind.ask(filled.reference, text, orders)
    answer = kind.ask(filled.subject, text, orders)
    said = f"MLflow: {expected.status_code} {expected.text[:300]}\nWaybill: {answer.status_code} {answer.text[:300]}"
    if more:
        assert answer.status_code == 200, said
    elif expected.status_code != 200:
        # What MLflow answers with a fault of the server is the client's.
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), said
    else:
        assert answer.status_code == 200, said
        # Of the reference, which other tests fill too, only what this module made.
        names = [kind.own(filled.reference, expected), kind.own(filled.subject, answer)]
        if not orders and kind.path != "runs/search":
            # Without an order they come by the clock, which ran differently on the two.
            names = [sorted(of_side) for of_side in names]
        assert names[1] == names[0], said
