"""Runs the same load against each server and writes the figures. Called by scripts/bench."""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import delivery
import plot
import report
import scale
from servers import Server
from wire import Wire, p50_ms, per_second

ARTIFACT_MIB = 768
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
# Stands in an encoded request for the run that it will be sent to.
NO_RUN = "0" * 32
FILTER = "metrics.loss < 0.5 and params.depth = '3' and tags.team = 'blue'"


def new_run(wire, experiment):
    body = {"experiment_id": experiment, "start_time": 1700000000000}
    return wire.call("POST", "runs/create", body)["run"]["info"]["run_id"]


def small_batch(run, dice):
    """What a small training run logs: five metrics, five params, two tags."""
    names = ("loss", "acc", "f1", "auc", "time")
    metrics = [{"key": name, "value": dice.random(), "timestamp": 1700000000001, "step": 0} for name in names]
    params = [{"key": "depth", "value": str(dice.randrange(8))}]
    params += [{"key": f"p{number}", "value": str(dice.randrange(100))} for number in range(4)]
    tags = [{"key": "team", "value": dice.choice(["blue", "red"])}, {"key": "t", "value": "x"}]
    return {"run_id": run, "metrics": metrics, "params": params, "tags": tags}


def start_and_memory(server, figures):
    server.start()
    server.stop()
    figures["start_s"] = server.start()  # on existing data
    time.sleep(3)
    figures["memory_idle_mib"] = server.memory_mib()


def populate(server, runs=2000):
    wire, dice = Wire(server.port), random.Random(1)
    experiment = wire.call("POST", "experiments/create", {"name": "search"})["experiment_id"]
    for _ in range(runs):
        wire.call("POST", "runs/log-batch", small_batch(new_run(wire, experiment), dice))
    return experiment


def measure_runs(server, figures):
    wire, dice = Wire(server.port), random.Random(2)
    experiment = wire.call("POST", "experiments/create", {"name": "writes"})["experiment_id"]
    run = new_run(wire, experiment)
    wire.call("POST", "runs/log-batch", small_batch(run, dice))
    get = wire.encode("GET", f"runs/get?run_id={run}")
    figures["get_run_p50_ms"] = p50_ms(server.port, [get] * 500)

    def metric(step, target=run):
        body = {"run_id": target, "key": "loss", "value": 0.5, "timestamp": 1700000000000 + step, "step": step}
        return wire.encode("POST", "runs/log-metric", body)

    figures["log_metric_p50_ms"] = p50_ms(server.port, [metric(step) for step in range(500)])
    targets = [new_run(wire, experiment) for _ in range(8)]
    requests = [[metric(step, target) for step in range(200)] for target in targets]
    rounds = [0] * 8

    def log_metric(own, client):
        own.ask(requests[client][rounds[client] % 200])
        rounds[client] += 1

    figures["log_metric_8_clients_per_s"] = per_second(server.port, 8, 5, log_metric)
    figures["log_batch_1000_p50_ms"] = p50_ms(server.port, [large_batch(wire, run, n) for n in range(40)], warm=5)

    create = wire.encode("POST", "runs/create", {"experiment_id": experiment, "start_time": 1700000000000})
    batches = [wire.encode("POST", "runs/log-batch", small_batch(NO_RUN, dice)) for _ in range(200)]

    def create_and_log(own, client):
        made = re.search(rb'"run_id": ?"(\w{32})"', own.ask(create))[1]
        own.ask(dice.choice(batches).replace(NO_RUN.encode(), made))

    figures["create_run_and_batch_8_clients_per_s"] = per_second(server.port, 8, 5, create_and_log)


def large_batch(wire, run, number):
    metrics = [
        {
            "key": f"m{index % 10}",
            "value": index / 7,
            # Later than all that was logged before, as training goes.
            "timestamp": 1700000000000 + number * 1000 + index,
            "step": number * 100 + index // 10,
        }
        for index in range(1000)
    ]
    return wire.encode("POST", "runs/log-batch", {"run_id": run, "metrics": metrics})


def measure_search(server, figures, experiment):
    wire = Wire(server.port)
    search = {"experiment_ids": [experiment], "filter": FILTER, "order_by": ["metrics.acc DESC"], "max_results": 50}
    found = wire.call("POST", "runs/search", search)["runs"]
    assert len(found) == 50, f"{server.name} found {len(found)}"
    figures["search_2000_p50_ms"] = p50_ms(server.port, [wire.encode("POST", "runs/search", search)] * 60)
    page = {"experiment_ids": [experiment], "max_results": 1000}
    assert len(wire.call("POST", "runs/search", page)["runs"]) == 1000
    figures["page_1000_p50_ms"] = p50_ms(server.port, [wire.encode("POST", "runs/search", page)] * 11, warm=2)


def measure_artifacts(server, figures, file):
    size = file.stat().st_size
    rates = {"put": [], "get": []}
    for number in range(3):
        path = f"{ARTIFACTS}/0/bench/{number}.bin"
        # What others wrote and did not wait for would be written at the cost of who waits.
        os.sync()
        start = time.perf_counter()
        Wire(server.port).put_file(path, file)
        rates["put"].append(size / (1 << 20) / (time.perf_counter() - start))
        start = time.perf_counter()
        got = Wire(server.port).get_size(path)
        rates["get"].append(size / (1 << 20) / (time.perf_counter() - start))
        assert got >= size, f"{got} of {size} bytes"
        change_first_byte(file)  # else the second upload would be a known blob
    figures["artifact_put_mib_per_s"] = sorted(rates["put"])[1]
    figures["artifact_get_mib_per_s"] = sorted(rates["get"])[1]


def change_first_byte(file):
    with file.open("r+b") as target:
        byte = target.read(1)[0]
        target.seek(0)
        target.write(bytes([(byte + 1) % 256]))


def measure_push(server, figures, folder):
    """The same folder by the native client, twice; what the second time sends."""
    command = [server.command()[0], "--url", f"http://127.0.0.1:{server.port}", "push", str(folder), "bench", "--json"]
    for name in ("push_first_s", "push_again_s"):
        start = time.perf_counter()
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figures[name] = time.perf_counter() - start
    figures["push_again_sent_bytes"] = json.loads(answer)["sent_bytes"]


def measure_large(server, figures, file):
    """Peak memory above idle while 4 GiB go in and out."""
    make_file(file, 4096)
    before = server.memory_mib()
    server.reset_peak()
    Wire(server.port).put_file(f"{ARTIFACTS}/0/large.bin", file)
    assert Wire(server.port).get_size(f"{ARTIFACTS}/0/large.bin") >= file.stat().st_size
    figures["large_4gib_peak_mib"] = server.peak_mib()
    figures["large_4gib_before_mib"] = before
    file.unlink()


def make_file(path, mib):
    dice = random.Random(3)
    with path.open("wb") as target:
        for _ in range(mib):
            target.write(dice.randbytes(1 << 20))


def measure_scale(options, name):
    """On a database of its own: the load above would be in the way."""
    server = Server(options.work, name, "scale")
    server.start()
    server.stop()
    figures = {"growth": scale.growing(options, server), **scale.long_history(server)}
    shutil.rmtree(server.folder)
    return figures


def measure(name, options):
    print(f"measuring {name}", flush=True)
    server, figures = Server(options.work, name), {}
    start_and_memory(server, figures)
    try:
        experiment = populate(server)
        measure_runs(server, figures)
        measure_search(server, figures, experiment)
        folder = options.work / "file"
        folder.mkdir(exist_ok=True)
        make_file(folder / "f.bin", ARTIFACT_MIB)
        measure_artifacts(server, figures, folder / "f.bin")
        figures["memory_after_mib"] = server.memory_mib()
        if name != "mlflow":
            measure_push(server, figures, folder)
            figures.update(scale.writers(server))
            if options.mixed:
                figures.update(scale.mixed(server, options.mixed, small_batch))
            if options.large:
                measure_large(server, figures, options.work / "large.bin")
    finally:
        server.stop()
    shutil.rmtree(server.folder)
    if options.scale and name != "mlflow":
        figures.update(measure_scale(options, name))
    if options.deliver and name != "mlflow":
        figures.update(delivery.measure(options.work, name))
    for figure, value in figures.items():
        if isinstance(value, (int, float)):
            print(f"  {figure:40} {value:12.2f}", flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=["mlflow", "sqlite", "postgres"])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--scale", type=int, nargs="?", const=1_000_000)
    parser.add_argument("--mixed", type=int, nargs="?", const=10, metavar="MINUTES")
    parser.add_argument("--deliver", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("target/bench.json"))
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in options.only or ["mlflow", "sqlite", "postgres"]:
        results[name] = measure(name, options)
        # After each server: an hour's figures are not lost to the last one's failure.
        document = {**report.machine(), "figures": results}
        options.out.write_text(json.dumps(document, indent=2) + "\n")
    table = report.table(document)
    print("\n" + table)
    print(f"written to {options.out}")
    grown = {name: figures["growth"]["runs"] for name, figures in results.items() if "growth" in figures}
    if grown:
        options.out.with_suffix(".svg").write_text(plot.growth(grown))
    if options.readme:
        root = Path(__file__).parents[2]
        if grown:
            (root / report.PLOT).parent.mkdir(exist_ok=True)
            (root / report.PLOT).write_text(plot.growth(grown))
        report.into_readme(root / "README.md", table + report.growth(results))


if __name__ == "__main__":
    main()
