"""How each cost grows with the database: the same calls at a thousand rows and at a million."""

import itertools
import json
import random
import threading
import time

import seed
from wire import Wire, p50_ms, per_second

RUN_SIZES = (1_000, 10_000, 100_000, 1_000_000)
VERSION_SIZES = (1_000, 10_000, 100_000)
HISTORY_POINTS = 1_000_000
FILTER = "metrics.loss < 0.5 and params.depth = 'v3' and tags.team = 'v0'"
# What each figure asks of the runs: filter, order, rows of the page.
SEARCHES = {
    "search_p50_ms": (FILTER, ["metrics.acc DESC"], 50),
    "by_metric_p50_ms": ("metrics.loss < 0.5", [], 50),
    "by_param_and_tag_p50_ms": ("params.depth = 'v3' and tags.team = 'v0'", [], 50),
    "by_metric_param_tag_p50_ms": (FILTER, [], 50),
    "by_tag_p50_ms": ("tags.commit = 'v77'", [], 50),
    "newest_p50_ms": ("", [], 50),
    "order_by_param_p50_ms": ("", ["params.p0"], 50),
    # Half of the runs have the value with which the page begins.
    "order_by_common_tag_p50_ms": ("", ["tags.team"], 50),
    # An index tells that nothing matches.
    "nothing_matches_p50_ms": ("metrics.loss < 0.5 and params.p1 = 'nothing'", ["metrics.acc DESC"], 50),
    # No index can tell; every value of the param is looked at.
    "no_pattern_matches_p50_ms": ("params.p1 LIKE '%nothing%'", ["metrics.acc DESC"], 50),
    # Every run has the param; an index holds those that have it only.
    "nothing_lacks_p50_ms": ("params.p0 IS NULL", ["metrics.acc DESC"], 50),
    # As above, but for one in 50,000.
    "few_lack_p50_ms": ("tags.t IS NULL", ["metrics.acc DESC"], 50),
    # One in a hundred runs: the values are looked at, then the runs in their order.
    "pattern_matches_some_p50_ms": ("params.p1 LIKE '%v77%'", ["metrics.acc DESC"], 50),
}
VERSION_SEARCHES = {
    "versions_newest_p50_ms": ("", []),
    "versions_of_model_p50_ms": ("name = 'seeded-7'", []),
    "versions_by_tag_p50_ms": ("tags.commit = 'v77'", []),
    "versions_by_common_tag_p50_ms": ("tags.team = 'v1' and tags.data = 'v3'", []),
    "versions_by_name_p50_ms": ("", ["name", "version_number DESC"]),
    "versions_nothing_matches_p50_ms": ("tags.commit = 'nothing'", []),
}


def growing(options, server):
    """Every figure at each size, in the order of the sizes."""
    server.start()
    experiment = Wire(server.port).call("POST", "experiments/create", {"name": "growing"})["experiment_id"]
    server.stop()
    grown = {"runs": [], "versions": []}
    have = 0
    for size in [size for size in RUN_SIZES if size <= options.scale]:
        loaded = fill(server, seed.runs(int(experiment), have, size))
        have = size
        server.start()
        grown["runs"].append({"rows": size, "load_s": loaded, **at_size(server, experiment, size)})
        server.stop()
        say(server, grown["runs"][-1])
    have = 0
    for size in [size for size in VERSION_SIZES if size <= options.scale]:
        fill(server, seed.versions(have, size))
        have = size
        server.start()
        grown["versions"].append({"rows": size, **version_searches(server)})
        server.stop()
        say(server, grown["versions"][-1])
    return grown


def fill(server, statements):
    start = time.perf_counter()
    seed.fill(server, statements)
    return time.perf_counter() - start


def say(server, figures):
    said = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    print(f"  {server.name}: {said}", flush=True)


def at_size(server, experiment, size):
    wire, figures = Wire(server.port), {}
    for figure, (text, orders, limit) in SEARCHES.items():
        body = {"experiment_ids": [experiment], "filter": text, "order_by": orders, "max_results": limit}
        repeats = 7 if any(slow in figure for slow in ("pattern", "lack")) else 40
        figures[figure] = p50_ms(server.port, [wire.encode("POST", "runs/search", body)] * repeats, warm=2)
    figures["deep_page_p50_ms"] = deep_page(server, experiment, size)
    figures["memory_mib"] = server.memory_mib()
    run = wire.call("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    metrics = [
        wire.encode(
            "POST",
            "runs/log-metric",
            {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1700000000000 + step, "step": step},
        )
        for step in range(200)
    ]
    figures["log_metric_p50_ms"] = p50_ms(server.port, metrics)
    return figures


def deep_page(server, experiment, size):
    """A page of 50 after half of the runs."""
    wire = Wire(server.port)
    body = {"experiment_ids": [experiment], "order_by": ["metrics.acc DESC"]}
    body["max_results"] = min(1000, size // 2)
    for _ in range(size // 2 // body["max_results"]):
        answer = wire.call("POST", "runs/search", body)
        body["page_token"] = answer["next_page_token"]
    body["max_results"] = 50
    return p50_ms(server.port, [wire.encode("POST", "runs/search", body)] * 40, warm=2)


def version_searches(server):
    wire, figures = Wire(server.port), {}
    for figure, (text, orders) in VERSION_SEARCHES.items():
        query = [("filter", text), ("max_results", 50)] + [("order_by", order) for order in orders]
        request = wire.encode("GET", "model-versions/search?" + wire.query(query))
        figures[figure] = p50_ms(server.port, [request] * 40, warm=2)
    return figures


def long_history(server):
    """A history of a million values, read whole and sampled."""
    server.start()
    wire = Wire(server.port)
    experiment = wire.call("POST", "experiments/create", {"name": "long"})["experiment_id"]
    run = wire.call("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    server.stop()
    fill(server, seed.history(run, HISTORY_POINTS))
    server.start()
    wire, figures = Wire(server.port), {}
    server.reset_peak()
    start = time.perf_counter()
    answer = wire.ask(wire.encode("GET", f"metrics/get-history?run_id={run}&metric_key=long"))
    figures["history_whole_s"] = time.perf_counter() - start
    figures["history_whole_peak_mib"] = server.peak_mib()
    assert len(json.loads(answer)["metrics"]) == HISTORY_POINTS
    query = f"run_ids={run}&metric_key=long&max_results=2500"
    request = wire.encode("GET", f"metrics/get-history-bulk-interval?{query}")
    figures["history_sampled_p50_ms"] = p50_ms(server.port, [request] * 5, warm=1)
    page = wire.encode("GET", f"metrics/get-history?run_id={run}&metric_key=long&max_results=1000")
    figures["history_page_p50_ms"] = p50_ms(server.port, [page] * 20, warm=2)
    server.stop()
    return figures


def writers(server):
    """Values per second that 8 and 64 clients log, each to a run of its own."""
    wire, figures = Wire(server.port), {}
    experiment = wire.call("POST", "experiments/create", {"name": "writers"})["experiment_id"]
    for clients in (8, 64):
        runs = [
            wire.call("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
            for _ in range(clients)
        ]
        steps = [itertools.count() for _ in range(clients)]

        def log(own, client, runs=runs, steps=steps):
            step = next(steps[client])
            body = {"run_id": runs[client], "key": "loss", "value": 0.5, "timestamp": step, "step": step}
            own.ask(own.encode("POST", "runs/log-metric", body))

        figures[f"log_metric_{clients}_writers_per_s"] = per_second(server.port, clients, 5, log)
    return figures


def mixed(server, minutes, batch):
    """Memory while two clients log runs and two search, and how much they got done."""
    wire = Wire(server.port)
    experiment = wire.call("POST", "experiments/create", {"name": "mixed"})["experiment_id"]
    samples, ended = [], threading.Event()

    def watch():
        while not ended.wait(1):
            samples.append(server.memory_mib())

    def work(own, client):
        dice = random.Random()
        if client < 2:
            run = own.call("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
            own.call("POST", "runs/log-batch", batch(run, dice))
        else:
            text = f"metrics.loss < {dice.random()} and params.depth = '{dice.randrange(8)}'"
            body = {"experiment_ids": [experiment], "filter": text, "order_by": ["metrics.acc DESC"]}
            own.call("POST", "runs/search", {**body, "max_results": 50})

    watcher = threading.Thread(target=watch)
    watcher.start()
    rate = per_second(server.port, 4, minutes * 60, work)
    ended.set()
    watcher.join()
    return {
        "mixed_minutes": minutes,
        "mixed_requests_per_s": rate,
        "mixed_memory_mib": [round(sample, 1) for sample in samples],
        "mixed_memory_least_mib": min(samples),
        "mixed_memory_median_mib": sorted(samples)[len(samples) // 2],
        "mixed_memory_most_mib": max(samples),
        "mixed_memory_last_mib": samples[-1],
    }
