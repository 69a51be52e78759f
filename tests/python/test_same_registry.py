"""Registry calls answer as MLflow's own server does: fields, defaults, codes, messages."""

import pytest


@pytest.fixture
def model(both):
    both.same("POST", "registered-models/create", {"name": "$unique", "description": "flowers"})
    return both


@pytest.fixture
def version(model):
    """A version without files of its own: MLflow hands its source back as posted."""
    model.same("POST", "model-versions/create", {"name": "$unique", "source": "s3://elsewhere/model"})
    return model


def test_model_life(model):
    model.same("GET", "registered-models/get", {"name": "$unique"})
    model.same("PATCH", "registered-models/update", {"name": "$unique", "description": "more flowers"})
    model.same("POST", "registered-models/set-tag", {"name": "$unique", "key": "team", "value": "blue"})
    model.same("GET", "registered-models/get", {"name": "$unique"})
    model.same("DELETE", "registered-models/delete-tag", {"name": "$unique", "key": "team"})
    model.same("POST", "registered-models/rename", {"name": "$unique", "new_name": "$unique-renamed"})
    model.same("GET", "registered-models/get", {"name": "$unique"})
    model.same("GET", "registered-models/get", {"name": "$unique-renamed"})
    model.same("DELETE", "registered-models/delete", {"name": "$unique-renamed"})
    model.same("GET", "registered-models/get", {"name": "$unique-renamed"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "registered-models/create", {"name": "$unique"}),
        ("POST", "registered-models/create", {"name": ""}),
        ("POST", "registered-models/create", {}),
        ("POST", "registered-models/create", {"name": "a/b"}),
        ("POST", "registered-models/create", {"name": "a:b"}),
        ("POST", "registered-models/create", {"name": 7}),
        ("GET", "registered-models/get", {"name": "nobody"}),
        ("GET", "registered-models/get", {}),
        ("PATCH", "registered-models/update", {"name": "nobody", "description": "x"}),
        ("POST", "registered-models/rename", {"name": "nobody", "new_name": "x"}),
        ("POST", "registered-models/rename", {"name": "$unique"}),
        ("DELETE", "registered-models/delete", {"name": "nobody"}),
        ("POST", "registered-models/set-tag", {"name": "$unique", "value": "v"}),
        ("POST", "registered-models/alias", {"name": "$unique", "alias": "champion", "version": "9"}),
        ("POST", "registered-models/alias", {"name": "$unique", "alias": "v1", "version": "1"}),
        ("POST", "registered-models/alias", {"name": "$unique", "alias": "latest", "version": "1"}),
        ("GET", "registered-models/alias", {"name": "$unique", "alias": "nobody"}),
        ("POST", "model-versions/create", {"name": "nobody", "source": "s3://elsewhere/model"}),
        ("POST", "model-versions/create", {"name": "$unique"}),
        ("POST", "model-versions/create", {"name": "$unique", "source": "/etc"}),
        ("POST", "model-versions/create", {"name": "$unique", "source": "file:///etc"}),
        ("POST", "model-versions/create", {"name": "$unique", "source": "s3://b/../x"}),
        ("GET", "model-versions/get", {"name": "$unique", "version": "9"}),
        ("GET", "model-versions/get", {"name": "$unique", "version": "one"}),
        ("GET", "model-versions/get", {"name": "$unique"}),
        ("GET", "model-versions/get-download-uri", {"name": "$unique", "version": "9"}),
        (
            "POST",
            "model-versions/transition-stage",
            {"name": "$unique", "version": "9", "stage": "Staging", "archive_existing_versions": False},
        ),
        ("DELETE", "model-versions/delete", {"name": "$unique", "version": "9"}),
        ("GET", "registered-models/search", {"max_results": 100001}),
    ],
)
def test_refused_calls(model, method, path, body):
    model.same(method, path, body)


@pytest.mark.parametrize("order", ["colour", "tags.team", "metrics.loss ASC", "creation_timestamp DESC"])
def test_models_are_not_ordered_by(both, order):
    """The keys that are valid have no order in MLflow's message."""
    sides = (both.reference, both.subject)
    answers = [side.ask("GET", "registered-models/search", {"order_by": [order]}) for side in sides]
    assert [answer.status_code for answer in answers] == [400, 400]
    expected, actual = (answer.json()["message"].split(" Valid keys")[0] for answer in answers)
    assert actual == expected


def test_version_life(version):
    version.same("GET", "model-versions/get", {"name": "$unique", "version": "1"})
    version.same("PATCH", "model-versions/update", {"name": "$unique", "version": "1", "description": "first"})
    version.same("POST", "model-versions/set-tag", {"name": "$unique", "version": "1", "key": "k", "value": "v"})
    version.same("GET", "model-versions/get", {"name": "$unique", "version": "1"})
    version.same("DELETE", "model-versions/delete-tag", {"name": "$unique", "version": "1", "key": "k"})
    version.same("GET", "model-versions/get-download-uri", {"name": "$unique", "version": "1"})
    version.same(
        "POST",
        "model-versions/create",
        {"name": "$unique", "source": "s3://elsewhere/two", "tags": [{"key": "a", "value": "b"}]},
    )
    version.same("GET", "model-versions/search", {"filter": "name = '$unique'"})
    version.same("DELETE", "model-versions/delete", {"name": "$unique", "version": "2"})
    version.same("POST", "model-versions/create", {"name": "$unique", "source": "s3://elsewhere/three"})
    version.same("GET", "registered-models/get", {"name": "$unique"})
    version.same("GET", "registered-models/search", {"filter": "name LIKE '$unique%'"})


def test_aliases(version):
    version.same("POST", "registered-models/alias", {"name": "$unique", "alias": "champion", "version": "1"})
    version.same("GET", "registered-models/alias", {"name": "$unique", "alias": "champion"})
    version.same("GET", "model-versions/get", {"name": "$unique", "version": "1"})
    version.same("GET", "registered-models/get", {"name": "$unique"})
    version.same("DELETE", "registered-models/alias", {"name": "$unique", "alias": "champion"})
    version.same("GET", "registered-models/alias", {"name": "$unique", "alias": "champion"})


def transition(both, version, stage, archive=False):
    both.same(
        "POST",
        "model-versions/transition-stage",
        {"name": "$unique", "version": version, "stage": stage, "archive_existing_versions": archive},
    )


def test_stages(version):
    version.same("POST", "model-versions/create", {"name": "$unique", "source": "s3://elsewhere/two"})
    transition(version, "1", "staging")
    transition(version, "2", "Staging", archive=True)
    transition(version, "1", "Production")
    version.same("POST", "registered-models/get-latest-versions", {"name": "$unique", "stages": ["Production"]})
    version.same("POST", "registered-models/get-latest-versions", {"name": "$unique"})
    transition(version, "2", "Shelf")
    transition(version, "2", "None")
    transition(version, "1", "Archived")
    version.same("GET", "registered-models/get", {"name": "$unique"})


def test_a_version_of_a_run_names_it(both):
    both.same("POST", "experiments/create", {"name": "$unique"}, save={"experiment": "experiment_id"})
    both.same(
        "POST",
        "runs/create",
        {"experiment_id": "$experiment", "run_name": "r", "start_time": 5},
        save={"run": "run.info.run_id"},
    )
    both.same("POST", "registered-models/create", {"name": "$unique"})
    both.same(
        "POST",
        "model-versions/create",
        {
            "name": "$unique",
            "source": "s3://elsewhere/model",
            "run_id": "$run",
            "run_link": "http://here",
            "description": "d",
        },
    )
    both.same("GET", "model-versions/search", {"filter": "run_id = '$run'"})
