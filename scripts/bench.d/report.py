"""The figures as a table for people."""

import datetime
import os
import platform
import re
from pathlib import Path

# Where the picture of the growth goes, from the repository's root.
PLOT = Path("docs/growth.svg")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

# Row, figure, format, and whether more is better.
ROWS = [
    ("start to `/health`, existing data", "start_s", "{:.3f} s", False),
    ("memory idle", "memory_idle_mib", "{:.0f} MiB", False),
    ("memory after the load", "memory_after_mib", "{:.0f} MiB", False),
    ("get run, p50", "get_run_p50_ms", "{:.2f} ms", False),
    ("log-metric, p50", "log_metric_p50_ms", "{:.2f} ms", False),
    ("log-metric, 8 clients", "log_metric_8_clients_per_s", "{:,.0f} /s", True),
    ("log-metric, 64 clients", "log_metric_64_writers_per_s", "{:,.0f} /s", True),
    ("log-batch of 1,000, p50", "log_batch_1000_p50_ms", "{:.1f} ms", False),
    ("create run + log-batch, 8 clients", "create_run_and_batch_8_clients_per_s", "{:,.0f} runs/s", True),
    ("filtered, ordered search in 2,000 runs, p50", "search_2000_p50_ms", "{:.1f} ms", False),
    ("page of 1,000 runs, p50", "page_1000_p50_ms", "{:.0f} ms", False),
    ("artifact PUT, one stream, 768 MiB", "artifact_put_mib_per_s", "{:,.0f} MiB/s", True),
    ("artifact GET, one stream, 768 MiB", "artifact_get_mib_per_s", "{:,.0f} MiB/s", True),
    ("history of 1,000,000 values, whole", "history_whole_s", "{:.2f} s", False),
    ("… a page of 1,000, p50", "history_page_p50_ms", "{:.1f} ms", False),
    ("… sampled to 2,500 steps, p50", "history_sampled_p50_ms", "{:.0f} ms", False),
    ("mixed load, {mixed_minutes} minutes: 2 clients log runs, 2 search", "mixed_requests_per_s", "{:,.0f} /s", True),
    ("… memory, least", "mixed_memory_least_mib", "{:.0f} MiB", False),
    ("… median", "mixed_memory_median_mib", "{:.0f} MiB", False),
    ("… most", "mixed_memory_most_mib", "{:.0f} MiB", False),
    ("… at the end", "mixed_memory_last_mib", "{:.0f} MiB", False),
    ("promote → serving, environment to be made", "deliver_first_s", "{:.1f} s", False),
    ("promote → serving, same requirements", "deliver_again_s", "{:.2f} s", False),
    ("… of which the model server's own start", "model_server_start_s", "{:.2f} s", False),
    ("push of 768 MiB, known content", "push_again_s", "{:.2f} s", False),
    ("… bytes sent", "push_again_sent_bytes", "{:,.0f}", False),
    ("peak memory, 4 GiB file in and out", "large_4gib_peak_mib", "{:.0f} MiB", False),
]
# What may grow with the database: figure, name, and the index that serves it.
GROWTH = [
    ("newest_p50_ms", "newest 50", "`runs_started`"),
    ("search_p50_ms", "metric, param and tag, by another metric", "`latest_metrics_value`"),
    ("by_metric_param_tag_p50_ms", "metric, param and tag, newest", "`runs_started`"),
    ("by_param_and_tag_p50_ms", "param and tag, newest", "`runs_started`"),
    ("by_metric_p50_ms", "metric, newest", "`runs_started`"),
    ("by_tag_p50_ms", "a rare tag, newest", "`tags_value`"),
    ("order_by_param_p50_ms", "ordered by a param", "`params_value`"),
    ("order_by_common_tag_p50_ms", "ordered by a tag with two values", "`runs_started`"),
    ("deep_page_p50_ms", "ordered by a metric, after half of all", "`latest_metrics_value`"),
    ("nothing_matches_p50_ms", "a param that no run has", "`params_value`"),
    ("no_pattern_matches_p50_ms", "a `LIKE` that nothing matches", "`params_value`"),
    ("nothing_lacks_p50_ms", "an `IS NULL` that no run meets", "`params_value`, all runs"),
    ("few_lack_p50_ms", "an `IS NULL` that one run in 50,000 meets", "`tags_value`, all runs"),
    ("pattern_matches_some_p50_ms", "a `LIKE` that one run in a hundred matches", "`params_value`"),
    ("log_metric_p50_ms", "log-metric", "primary keys"),
]
VERSION_GROWTH = [
    ("versions_newest_p50_ms", "newest 50", "`model_versions_updated`"),
    ("versions_of_model_p50_ms", "of one model", "`model_versions_own_updated`"),
    ("versions_by_tag_p50_ms", "a rare tag", "`model_version_tags_value`"),
    ("versions_by_common_tag_p50_ms", "two common tags", "`model_version_tags_value`"),
    ("versions_by_name_p50_ms", "ordered by name", "`registered_models_listed`"),
    ("versions_nothing_matches_p50_ms", "a tag that none has", "`model_version_tags_value`"),
]
TITLES = {"mlflow": "MLflow 3.17.2, 4 workers, SQLite", "sqlite": "Waybill, SQLite", "postgres": "Waybill, PostgreSQL"}


def machine():
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) // (1 << 20)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores ({cpu[1] if cpu else platform.machine()}), {memory} GiB",
        "system": f"Linux {platform.release()}",
    }


def cell(figures, figure, form, base, more_is_better):
    if figure not in figures:
        return "–"
    value = figures[figure]
    text = form.format(value)
    if base and figure in base and value:
        ratio = value / base[figure] if more_is_better else base[figure] / value
        text += f" ({ratio:.1f}×)"
    return text


def table(document):
    results = document["figures"]
    base = results.get("mlflow")
    lines = ["| | " + " | ".join(TITLES[name] for name in results) + " |", "|---" * (len(results) + 1) + "|"]
    for title, figure, form, more_is_better in ROWS:
        cells = [
            cell(figures, figure, form, None if name == "mlflow" else base, more_is_better)
            for name, figures in results.items()
        ]
        if any(text != "–" for text in cells):
            known = {name: value for figures in results.values() for name, value in figures.items()}
            lines.append(f"| {title.format_map(known)} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(
        f"Measured {document['date']} on {document['machine']}, load and server on the same machine, "
        "by `scripts/bench`. In brackets: how many times better than MLflow. Memory is proportional set size. "
        "Every Waybill commit and artifact is durable (fsync) and every artifact byte is hashed; of these MLflow "
        "does the first for commits only."
    )
    return "\n".join(lines)


def growth(results):
    """Tables of each cost by rows, and the picture; nothing where it was not measured."""
    grown = {name: figures["growth"] for name, figures in results.items() if "growth" in figures}
    if not grown:
        return ""
    lines = ["", "", f"![Time of a search by runs in the database]({PLOT})", ""]
    for kind, rows in (("runs", GROWTH), ("versions", VERSION_GROWTH)):
        for name, sizes in grown.items():
            sizes = sizes[kind]
            heads = [f"{size['rows']:,} {kind}" for size in sizes]
            lines.append(f"| {TITLES[name]}, p50 in ms | index | " + " | ".join(heads) + " |")
            lines.append("|---" * (len(sizes) + 2) + "|")
            for figure, title, index in rows:
                lines.append(f"| {title} | {index} | " + " | ".join(f"{size[figure]:.1f}" for size in sizes) + " |")
            lines.append("")
    return "\n".join(lines).rstrip()


def into_readme(path, text):
    content = path.read_text()
    before, rest = content.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
