"""Every kind of search reads its filters and orders as MLflow's own server does: the same text is
accepted or refused, finds the same objects, and puts them in the same order."""

import random

import pytest
from reference import Both

# Read by every grammar in the same way, with a tag and an attribute that every kind has.
SPELLINGS = [
    "tags.team = 'blue'",
    "tag.team = 'blue'",
    "tags.`team` = 'blue'",
    'tags."team" = "blue"',
    "  tags.team='blue'  ",
    "tags.team  =  'blue'",
    "tags.`a b` = 'x y'",
    'tags."a b" = "x y"',
    "tags.a.b = 'dots'",
    "tags.`a.b` = 'dots'",
    "tags.team != 'blue'",
    "tags.team LIKE 'b%'",
    "tags.team like 'b%'",
    "tags.team LIKE 'B%'",
    "tags.team ILIKE 'B%'",
    "tags.team LIKE '%u_'",
    "tags.team LIKE 'blue'",
    "tags.nobody = 'x'",
    "tags.nobody != 'x'",
    "tags.team = 'blue' AND tags.`a b` = 'x y'",
    "tags.team = 'blue' and tags.team != 'red'",
    "tags.team = 'and' AND tags.team = 'or'",
    "tags.team = ''",
    "tags.empty = ''",
    "",
]
REFUSED = [
    "tags.team = blue",
    "tags.team = 5",
    "tags.team > 'blue'",
    "tags.team",
    "tags.team =",
    "= 'blue'",
    "tags.team = 'blue' OR tags.team = 'red'",
    "tags.team = 'blue' AND",
    "tags.team = 'blue'; SELECT 1",
    "nobody = 'x'",
    "nobody.team = 'x'",
    "(tags.team = 'blue')",
    "tags.team BETWEEN 'a' AND 'b'",
    "garbage",
    "'blue' = tags.team",
]


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
OWN = {
    "experiments": [
        "name = '$unique-3'",
        "name != '$unique-3'",
        "name LIKE '$unique-%'",
        "name ILIKE '%-3'",
        "attribute.name = '$unique-3'",
        "attributes.name = '$unique-3'",
        "attr.name = '$unique-3'",
        "name IN ('$unique-3')",
        "name > 'a'",
        "creation_time > 0",
        "creation_time >= 1",
        "creation_time < 5",
        "creation_time = 'x'",
        "creation_time LIKE '1'",
        "last_update_time > 0",
        "experiment_id = '$experiment'",
        "experiment_id = $experiment",
        "experiment_id != '$experiment'",
        "experiment_id IN ('$experiment', '0')",
        "experiment_id NOT IN ('$experiment', '0')",
        "experiment_id IN ()",
        "experiment_id IN ('x')",
        "tags.team IS NULL",
        "tags.team IS NOT NULL",
        "tags.team is null",
        "name IS NULL",
        "tags.team IN ('blue')",
        "metrics.loss > 1",
        "params.depth = '1'",
        "tags.team = 'blue' AND name LIKE '%3'",
    ],
    "runs": [
        "params.depth = '1'",
        "param.depth = '1'",
        "parameters.depth = '1'",
        "params.depth != '1'",
        "params.depth IS NULL",
        "params.depth IS NOT NULL",
        "params.depth IS  NOT  NULL",
        "metrics.loss IS NULL",
        "run_id IS NULL",
        "params.depth IN ('1')",
        "params.depth > 1",
        "params.depth = 1",
        "metrics.loss > 0.5",
        "metric.loss > 0.5",
        "metrics.loss >= 5e-1",
        "metrics.loss > .5",
        "metrics.loss > 1.",
        "metrics.loss > -1",
        "metrics.loss > +1",
        "metrics.loss != 0.5",
        "metrics.loss = '0.5'",
        "metrics.loss LIKE 'x'",
        "metrics.loss > 0.25 and metrics.loss < 0.75 and params.depth = '1'",
        "attributes.run_name = '$unique-3'",
        "run_name = '$unique-3'",
        "run.run_name = '$unique-3'",
        "attr.run_name = '$unique-3'",
        "`run name` = '$unique-3'",
        "`Run name` = '$unique-3'",
        "attributes.`Run Name` = '$unique-3'",
        "run_name IN ('$unique-3')",
        "run_name LIKE '%-3'",
        "run_name ILIKE '%-3'",
        "run_id = '$run'",
        "run_id IN ('$run')",
        "run_id NOT IN ('$run')",
        "run_id in ('$run', 'x')",
        "run_id IN ('$run', 5)",
        "run_id IN ()",
        "run_id IN ('$run'",
        "run_id LIKE '%'",
        "start_time > 1700000000005",
        "created > 1700000000005",
        "attributes.Created > 1700000000005",
        "start_time = '1700000000005'",
        "start_time LIKE '17%'",
        "end_time > 0",
        "end_time < 1800000000000",
        "status = 'FINISHED'",
        "status = 'finished'",
        "status IN ('FINISHED')",
        "status > 'A'",
        "user_id = 'ada'",
        "artifact_uri LIKE '%'",
        "lifecycle_stage = 'active'",
        "dataset.name = 'train'",
        "datasets.name = 'train'",
        "dataset.digest = 'd1'",
        "dataset.context = 'training'",
        "dataset.name != 'train'",
        "dataset.name LIKE 'tr%'",
        "dataset.name IN ('train', 'x')",
        "dataset.name NOT IN ('train')",
        "dataset.nobody = 'x'",
        "dataset.name = 5",
        "tags.team IN ('blue')",
        "tags.team IS NULL AND params.depth = '1'",
        "metrics.`loss` > 0.5",
        'metrics."loss" > 0.5',
        "metrics.'loss' > 0.5",
    ],
    "logged models": [
        "name = '$unique-3'",
        "model_name = '$unique-3'",
        "attributes.name = '$unique-3'",
        "name LIKE '%-3'",
        "name ILIKE '%-3'",
        "name IN ('$unique-3', '$unique-4')",
        "name NOT IN ('$unique-3', '$unique-4')",
        "name like '%-3'",
        "model_id = '$model'",
        "model_type = 'Agent'",
        "source_run_id = '$run'",
        "creation_timestamp > 0",
        "creation_time > 0",
        "creation_timestamp_ms > 0",
        "last_updated_timestamp > 0",
        "params.depth = '1'",
        "params.depth != '1'",
        "params.depth IN ('1', '2')",
        "params.depth > '1'",
        "metrics.loss > 0.5",
        "metrics.loss = 0.5",
        "metrics.loss > 0.25 AND params.depth = '1'",
        "metrics.loss LIKE 'x'",
        "tags.team IN ('blue')",
        "tags.team NOT IN ('blue')",
    ],
    "models": [
        "name = '$unique-3'",
        "name != '$unique-3'",
        "name LIKE '$unique%'",
        "name ILIKE 'SAME%'",
        "name IN ('$unique-3', '$unique-4')",
        "attribute.name = '$unique-3'",
        "name > 'a'",
        "name = 5",
        "last_updated_timestamp > 0",
        "tags.team IS NULL",
        "tags.team IN ('blue')",
        "metrics.loss > 1",
        "tags.`mlflow.prompt.is_prompt` = 'true'",
        "tags.`mlflow.prompt.is_prompt` = 'false'",
        "tags.`mlflow.prompt.is_prompt` != 'true'",
        "tags.team = 'blue' AND name LIKE '%3'",
    ],
    "versions": [
        "name = '$unique-3'",
        "name != '$unique-3'",
        "name LIKE '$unique%'",
        "name IN ('$unique-3', '$unique-4')",
        "name = '$unique-3' AND name = '$unique-4'",
        "version_number = 2",
        "version_number > 1",
        "version_number = '2'",
        "version_number <= 1",
        "run_id = '$run'",
        "run_id IN ('$run')",
        "run_id NOT IN ('$run')",
        "run_id != '$run'",
        "run_id LIKE '%'",
        "source_path = 's3://elsewhere/v3'",
        "source_path LIKE 's3://%'",
        "source_path IN ('s3://elsewhere/v3')",
        "creation_timestamp > 0",
        "tags.team IS NULL",
        "tags.team IN ('blue')",
        "tags.`mlflow.prompt.is_prompt` = 'true'",
        "name = '$unique-3' AND tags.team = 'blue'",
    ],
}
ORDERS = {
    "experiments": [
        ["name"],
        ["name DESC"],
        ["name desc"],
        ["attribute.name ASC"],
        ["experiment_id"],
        ["experiment_id DESC"],
        ["name", "experiment_id"],
        ["tags.team"],
        ["nobody"],
        ["name up"],
    ],
    "runs": [
        ["metrics.loss"],
        ["metrics.loss DESC"],
        ["metrics.`loss` DESC"],
        ['metrics."loss" DESC'],
        ["metrics.odd"],
        ["metrics.odd DESC", "metrics.loss"],
        ["params.depth", "metrics.loss DESC"],
        ["tags.team DESC", "start_time"],
        ["attributes.end_time DESC"],
        ["attributes.start_time"],
        ["created DESC"],
        ["run_name"],
        ["status", "run_name DESC"],
        ["user_id DESC", "run_name"],
        ["`Run Name`"],
        ["dataset.name"],
        ["nobody"],
        ["metrics.loss up"],
        ["metrics.loss", "metrics.loss DESC"],
    ],
    "models": [
        ["name"],
        ["name DESC"],
        ["attribute.name DESC"],
        ["last_updated_timestamp", "name"],
        ["name", "name"],
        ["tags.team"],
        ["nobody"],
    ],
    "versions": [
        ["name", "version_number"],
        ["name DESC", "version_number DESC"],
        ["version_number DESC", "name"],
        ["version_number"],
        ["tags.team"],
        ["nobody"],
        ["name", "name"],
    ],
}
LOGGED_MODEL_ORDERS = [
    [{"field_name": "name"}],
    [{"field_name": "name", "ascending": False}],
    [{"field_name": "metrics.loss"}],
    [{"field_name": "metrics.loss", "ascending": False}],
    [{"field_name": "metrics.loss", "dataset_name": "train"}, {"field_name": "name"}],
    [{"field_name": "metrics.loss", "dataset_name": "train", "dataset_digest": "d1", "ascending": False}],
    [{"field_name": "metrics.nobody"}, {"field_name": "name", "ascending": False}],
    [{"field_name": "model_type"}, {"field_name": "name"}],
    [{"field_name": "params.depth"}],
    [{"field_name": "nobody"}],
]


# Read here where MLflow refuses them, or misreads them: it takes `like` in lower case in some of its
# grammars only, and the quotes of a logged model's tag for part of its name.
MORE = {
    ("experiments", "tags.team like 'b%'"),
    ("experiments", "attributes.name = '$unique-3'"),
    ("experiments", "attr.name = '$unique-3'"),
    ("runs", "params.depth IS  NOT  NULL"),
    ("runs", "metrics.loss > +1"),
    ("runs", "by ['`Run Name`']"),
    ("logged models", "tag.team = 'blue'"),
    ("logged models", "model_name = '$unique-3'"),
    ("logged models", 'tags."team" = "blue"'),
    ("logged models", 'tags."a b" = "x y"'),
    ("models", "by ['attribute.name DESC']"),
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
