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
    ("… sampled to 2,500 steps, p50", "history_sampled_p50_ms", "{:.0f} ms", False),
    ("peak memory in 10 minutes of mixed load", "mixed_memory_peak_mib", "{:.0f} MiB", False),
    ("promote → serving, environment to be made", "deliver_first_s", "{:.1f} s", False),
    ("promote → serving, same requirements", "deliver_again_s", "{:.2f} s", False),
    ("… of which the model server's own start", "model_server_start_s", "{:.2f} s", False),
    ("push of 768 MiB, known content", "push_again_s", "{:.2f} s", False),
    ("… bytes sent", "push_again_sent_bytes", "{:,.0f}", False),
    ("peak memory, 4 GiB file in and out", "large_4gib_peak_mib", "{:.0f} MiB", False),
]
# What grows with the database: figure and name.
GROWTH = [
    ("newest_p50_ms", "newest 50 runs"),
    ("search_p50_ms", "filtered, ordered"),
    ("by_metric_param_tag_p50_ms", "by metric, param and tag"),
    ("by_tag_p50_ms", "by a rare tag"),
    ("order_by_param_p50_ms", "ordered by a param"),
    ("deep_page_p50_ms", "deep page"),
    ("nothing_matches_p50_ms", "nothing matches"),
    ("no_pattern_matches_p50_ms", "a LIKE that nothing matches"),
    ("log_metric_p50_ms", "log-metric"),
]
VERSION_GROWTH = [
    ("versions_newest_p50_ms", "newest 50 versions"),
    ("versions_of_model_p50_ms", "of one model"),
    ("versions_by_tag_p50_ms", "by a rare tag"),
    ("versions_by_common_tag_p50_ms", "by two common tags"),
    ("versions_by_name_p50_ms", "ordered by name"),
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
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
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
    lines = ["", f"![Time of a search by runs in the database]({PLOT})", ""]
    for kind, rows in (("runs", GROWTH), ("versions", VERSION_GROWTH)):
        for name, sizes in grown.items():
            sizes = sizes[kind]
            heads = [f"{size['rows']:,}" for size in sizes]
            lines.append(f"| {TITLES[name]}, p50 in ms by {kind} | " + " | ".join(heads) + " |")
            lines.append("|---" * (len(sizes) + 1) + "|")
            for figure, title in rows:
                lines.append(f"| {title} | " + " | ".join(f"{size[figure]:.1f}" for size in sizes) + " |")
            lines.append("")
    return "\n".join(lines).rstrip()


def into_readme(path, text):
    content = path.read_text()
    before, rest = content.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
