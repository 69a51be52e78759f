"""MLflow's own pages, unmodified, on our server: each is opened in Chromium on data that the client
logged, and must show it without a failed request and without an error in the console.

Screenshots go to WAYBILL_TEST_SCREENSHOTS, or to the test's own folder.
"""

import json
import os
import re
import shutil
import urllib.parse
from pathlib import Path

import pytest
import requests
from conftest import missing
from ui_data import log_all

# Requests that fail on every page or on some, and why that is right.
MAY_FAIL = {
    # Who is logged in: nobody, here as on an MLflow server without accounts, which answers 404 as well.
    r"/ajax-api/2.0/mlflow/users/current": 404,
    # MLflow's assistant runs coding agents on the server's machine, which this server does not offer.
    r"/ajax-api/3.0/mlflow/assistant/(config|providers)": 404,
    # The page makes a queue of its own for whoever opens it; human review is not offered.
    r"/ajax-api/3.0/mlflow/review-queues/get-or-create-user": 404,
}
# What the console may say at level error.
MAY_BE_SAID = [
    # A note of the browser on MLflow's layout, which MLflow's own server sees as well.
    "ResizeObserver loop completed with undelivered notifications.",
    # The empty page of traces wants a film from MLflow's site; the policy lets pages ask only this server.
    "https://mlflow.org/docs/latest/images/llms/tracing/tracing-top.mp4",
]


@pytest.fixture(scope="module")
def data(ui, tmp_path_factory):
    return log_all(ui.url, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if not shutil.which("chromedriver") or not shutil.which("chromium"):
        missing("chromium and chromium-driver (scripts/setup test)")
    from chromium import Chromium

    shots = Path(os.environ.get("WAYBILL_TEST_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    shots.mkdir(parents=True, exist_ok=True)
    browser = Chromium(tmp_path_factory.mktemp("profile"), shots)
    yield browser
    browser.quit()


def as_json(value):
    return urllib.parse.quote(json.dumps(value))


# A page's name, its place after `#`, and what must be seen on it.
PAGES = [
    ("home", "/", ["Welcome to MLflow", "flowers"]),
    ("experiments", "/experiments", ["flowers", "Default", "garden"]),
    ("runs", "/experiments/{e}/runs", ["rose-0", "rose-2", "broken", "petals", "4 matching runs"]),
    ("charts", "/experiments/{e}/runs?compareRunsMode=CHART", ["accuracy", "loss", "rose-1"]),
    ("tables", "/experiments/{e}/runs?compareRunsMode=ARTIFACT", ["Bern", "Oslo"]),
    ("compare-runs", "/compare-runs?runs={two}&experiments={all}", ["Comparing 2 Runs", "rose-0", "solver"]),
    ("compare-experiments", "/compare-experiments/s?experiments={both}", ["rose-0", "2 Experiments"]),
    ("metric", "/metric?runs={two}&metric={loss}&experiments={all}&plot_metric_keys={losses}", ["loss", "rose-1"]),
    ("run", "/experiments/{e}/runs/{r}", ["rose-0", "Finished", "petals", "baseline", "iris", "a short note"]),
    ("run-of-no-experiment", "/runs/{r}", ["rose-0", "Finished"]),
    ("run-metrics", "/experiments/{e}/runs/{r}/model-metrics", ["accuracy", "loss"]),
    ("run-system-metrics", "/experiments/{e}/runs/{r}/system-metrics", ["No charts in this section"]),
    ("run-failed", "/experiments/{e}/runs/{failed}", ["broken", "Failed"]),
    ("run-missing", "/experiments/{e}/runs/00000000000000000000000000000000", ["Page Not Found", "does not exist"]),
    ("artifacts", "/experiments/{e}/runs/{r}/artifacts", ["notes", "picture.png", "rows.csv"]),
    ("artifact-text", "/experiments/{e}/runs/{r}/artifacts/notes/hello.txt", ["hello from a text file"]),
    ("artifact-json", "/experiments/{e}/runs/{r}/artifacts/notes/answer.json", ['"answer"', "42"]),
    ("artifact-image", "/experiments/{e}/runs/{r}/artifacts/picture.png", ["picture.png"]),
    ("artifact-csv", "/experiments/{e}/runs/{r}/artifacts/rows.csv", ["Previewing the first 2 rows"]),
    ("artifact-html", "/experiments/{e}/runs/{r}/artifacts/page.html", ["page.html"]),
    ("artifact-table", "/experiments/{e}/runs/{r}/artifacts/table.json", ["Bern", "Oslo"]),
    ("logged-models", "/experiments/{e}/models", ["model", "rose-2", "Ready"]),
    ("logged-model", "/experiments/{e}/models/{m}", ["About this logged model", "Ready", "accuracy"]),
    ("logged-model-artifacts", "/experiments/{e}/models/{m}/artifacts", ["MLmodel", "requirements.txt"]),
    ("registered-models", "/models", ["iris"]),
    ("registered-model", "/models/iris", ["botanists", "Version 3", "champion", "checked"]),
    ("version", "/models/iris/versions/1", ["Version 1", "Staging", "checked", "rose-0", "the first one"]),
    (
        "compare-versions",
        "/compare-model-versions?name={iris}&runs={versions}",
        ["Comparing 2 Versions", "rose-1", "loss"],
    ),
    ("prompts", "/prompts", ["greeting", "Version 2"]),
    ("prompt", "/prompts/greeting", ["Viewing version 2", "warmly", "live", "Version 1"]),
    ("experiment-prompts", "/experiments/{e}/prompts", ["Prompts"]),
    ("evaluation-runs", "/experiments/{e}/evaluation-runs", ["Evaluation runs"]),
    ("settings", "/settings", ["General"]),
    ("overview", "/experiments/{e}/overview/usage", ["Overall error rate: 25.0%", "Latency"]),
    ("traces", "/experiments/{e}/traces", ["What is this?", "It is a rose.", "garden-talk", "roses", "Error"]),
    ("trace", "/experiments/{e}/traces/{t}", ["look up", "Inputs / Outputs", "Success"]),
    ("sessions", "/experiments/{e}/chat-sessions", ["Sessions view has moved to the Traces tab"]),
    ("session", "/experiments/{e}/chat-sessions/garden-talk", ["Is it red?", "Does it smell?"]),
    ("run-traces", "/experiments/{e}/runs/{r}/traces", ["No traces found"]),
    ("logged-model-traces", "/experiments/{e}/models/{m}/traces", ["Traces"]),
    ("webhooks", "/settings/webhooks", ["No webhooks configured"]),
    # Areas that are not offered: an empty state, and no error.
    ("gateway", "/gateway", ["Page Not Found"]),
    ("judges", "/experiments/{e}/judges", ["Create and manage judges"]),
    ("datasets", "/experiments/{e}/datasets", ["Datasets", "Create dataset"]),
    ("review", "/experiments/{e}/review-queue", ["Set up human review"]),
    ("playground", "/experiments/{e}/playground", ["Playground"]),
    ("mcp-registry", "/mcp-registry", ["MCP Registry"]),
]


def place(template, data):
    first, second = data.runs[:2]
    return template.format(
        e=data.experiment_id,
        r=first,
        m=data.model_id,
        failed=data.failed_run,
        t=data.trace_id,
        two=as_json([first, second]),
        all=as_json([data.experiment_id]),
        both=as_json(["0", data.experiment_id]),
        loss=as_json("loss"),
        losses=as_json(["loss"]),
        iris=as_json("iris"),
        versions=as_json({"1": first, "2": second}),
    )


def check(browser, url, where, may_fail=None):
    """No request failed that should not have, none went elsewhere, and the console has nothing to say.

    A request that the page itself gave up (0) did not fail.
    """

    def right(request):
        if not request.url.startswith(url):
            return any(known in request.url for known in MAY_BE_SAID)
        path, ending = urllib.parse.urlsplit(request.url).path, request.failure or request.status
        known = {**MAY_FAIL, **(may_fail or {})}
        return str(ending)[0] in "023" or any(re.fullmatch(k, path) and ending == known[k] for k in known)

    wrong = [str(request) for request in browser.requests.values() if not right(request)]
    assert not wrong, f"{where}:\n" + "\n".join(wrong)
    said = [text for text in browser.errors() if not any(known in text for known in MAY_BE_SAID)]
    assert said == [], where
    # What MLflow's pages show for an answer that they cannot use.
    text = browser.text()
    for alarm in ("is not offered by Waybill", "Something went wrong", "An error occurred", "WebGL is not supported"):
        assert alarm not in text, f"{where}: {text[:2000]}"


@pytest.mark.parametrize(("name", "template", "shown"), PAGES, ids=[page[0] for page in PAGES])
def test_page(ui, data, chromium, name, template, shown):
    chromium.visit(f"{ui.url}/#{place(template, data)}")
    try:
        chromium.wait_for(*shown)
    finally:
        chromium.screenshot(name)
    check(chromium, ui.url, name)


def test_an_image_is_drawn(ui, data, chromium):
    chromium.visit(f"{ui.url}/#/experiments/{data.experiment_id}/runs/{data.runs[0]}/artifacts/picture.png")
    chromium.wait_for("picture.png")
    sources = "return [...document.querySelectorAll('img, image')].map((i) => i.src || i.getAttribute('href') || '')"
    assert any(source.startswith(("blob:", "data:")) for source in chromium.driver.execute_script(sources))


def test_an_html_artifact_runs_its_script_in_a_frame_without_rights(ui, data, chromium):
    chromium.visit(f"{ui.url}/#/experiments/{data.experiment_id}/runs/{data.runs[0]}/artifacts/page.html")
    chromium.wait_for("page.html")
    frame = chromium.driver.execute_script("return document.querySelector('iframe')")
    assert "allow-same-origin" not in (frame.get_attribute("sandbox") or "")
    chromium.driver.switch_to.frame(frame)
    try:
        assert "made by a script" in chromium.text()
    finally:
        chromium.driver.switch_to.default_content()


def test_pages_write_through_the_origin_check(ui, data, chromium):
    """A page's own requests carry Origin; what a person does on it must reach the server."""
    chromium.visit(f"{ui.url}/#/experiments")
    chromium.wait_for("flowers")
    chromium.click("Create")
    chromium.wait_for("Create Experiment")
    chromium.driver.execute_script("return document.querySelector('[role=dialog] input')").send_keys("made-in-a-page")
    chromium.click("[role=dialog] button.ant-btn-primary, [role=dialog] .du-bois-light-btn-primary")
    chromium.wait_for("made-in-a-page")
    found = requests.get(
        f"{ui.url}/api/2.0/mlflow/experiments/get-by-name", {"experiment_name": "made-in-a-page"}, timeout=30
    )
    assert found.status_code == 200, found.text
    # The page asks whether the name is free: it is.
    check(chromium, ui.url, "create", {"/ajax-api/2.0/mlflow/experiments/get-by-name": 404})


def test_the_browser_keeps_what_does_not_change(ui):
    page = requests.get(ui.url + "/", timeout=30)
    script = re.search(r'src="(static-files/static/js/[^"]+)"', page.text)[1]
    answer = requests.get(f"{ui.url}/{script}", timeout=30)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = requests.get(f"{ui.url}/{script}", headers={"If-None-Match": answer.headers["etag"]}, timeout=30)
    assert (again.status_code, again.content) == (304, b"")


def test_auto_finds_the_package_of_the_active_environment(make_server, tmp_path):
    """Without importing it, and without running anything before a page is asked for."""
    package = tmp_path / "env/lib/mlflow"
    (package / "server/js/build").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "server/js/build/index.html").write_text("<html>of the environment")
    python = tmp_path / "env/bin/python3"
    python.parent.mkdir()
    ran = tmp_path / "ran"
    real = shutil.which("python3")
    python.write_text(f'#!/bin/sh\ntouch {ran}\nPYTHONPATH={package.parent} exec {real} "$@"\n')
    python.chmod(0o755)
    server = make_server("--mlflow-ui", "auto", env={"VIRTUAL_ENV": str(tmp_path / "env")}).start()
    assert not ran.exists()
    assert requests.get(server.url + "/", timeout=30).text == "<html>of the environment"
    assert ran.exists()


def test_auto_without_a_package_says_what_was_tried(make_server, tmp_path):
    (tmp_path / "bin").mkdir()
    env = {"PATH": str(tmp_path / "bin"), "VIRTUAL_ENV": str(tmp_path / "none")}
    server = make_server("--mlflow-ui", "auto", env=env).start()
    answer = requests.get(server.url + "/", timeout=30)
    assert answer.status_code == 200
    assert "No MLflow web UI was found" in answer.text
    assert str(tmp_path / "none/bin/python3") in answer.text


def test_a_folder_without_pages_stops_the_start(make_server, tmp_path):
    server = make_server("--mlflow-ui", str(tmp_path / "empty")).spawn()
    assert server.process.wait(timeout=30) == 1
    assert str(tmp_path / "empty") in server.log
    assert "server/js/build" in server.log
