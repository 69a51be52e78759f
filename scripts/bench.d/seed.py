"""Fills a Waybill database with rows as fast as the engine takes them, past the server.

The engine makes the rows itself, from one SQL text for both; indexes are made anew afterwards.
Values are spread evenly and always the same: `scripts/bench` says what is found among them.
"""

import re
import sqlite3
import subprocess

# A number in [0, 1) that only depends on the row and on which of its values it is.
SPREAD = "(((i * (48271 + {which} * 10037)) % 2147483647) * 16807 % 2147483647) / 2147483647.0"
COUNT = "WITH RECURSIVE n (i) AS (SELECT CAST({first} AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
METRICS = ("acc", "auc", "f1", "loss", "time")
# Key and how many values it has; by key, so that rows come in the order of the tables.
PARAMS = (("depth", 8), ("p0", 100), ("p1", 100), ("p2", 100), ("p3", 100))
TAGS = (("commit", 1000), ("mlflow.source.name", 5), ("mlflow.user", 20), ("t", 1), ("team", 2))
# One of so many runs lacks the tag `t`.
ONE_LACKS = 50_000
VERSION_TAGS = (("commit", 1000), ("data", 20), ("team", 2))
# Of run and version number 0.
EPOCH_MS = 1600000000000


def spread(which):
    return SPREAD.format(which=which)


def one_of(which, many):
    return f"'v' || CAST(FLOOR({spread(which)} * {many}) AS BIGINT)"


def keys(pairs, base):
    """Rows of key, which value it is, and how many values there are."""
    rows = [
        f"SELECT '{key}' AS key, {base + which} AS which, {many} AS many" for which, (key, many) in enumerate(pairs)
    ]
    return f"CROSS JOIN ({' UNION ALL '.join(rows)}) k"


def runs(experiment, first, last):
    """Statements that add runs `first` to `last - 1` of an experiment, with five metrics, params and tags each."""
    count = COUNT.format(first=first, last=last - 1)
    run_id = f"'5eed0000000000' || ({10**17 + experiment * 10**9} + i)"
    yield f"""INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_time_ms, end_time_ms,
        lifecycle_stage, artifact_uri) {count} SELECT {run_id}, {experiment}, 'run-' || i, {one_of(90, 20)},
        CASE WHEN i % 1000 = 0 THEN 'FAILED' ELSE 'FINISHED' END, {EPOCH_MS} + i * 1000, {EPOCH_MS} + 500 + i * 1000,
        'active', 'mlflow-artifacts:/{experiment}/' || i FROM n"""
    made = f"""FROM (SELECT rid, (start_time_ms - {EPOCH_MS}) / 1000 AS i FROM runs WHERE experiment_id = {experiment}
        AND start_time_ms BETWEEN {EPOCH_MS + first * 1000} AND {EPOCH_MS + (last - 1) * 1000} ORDER BY rid) r"""
    metrics = keys([(key, 1) for key in METRICS], 0)
    yield f"""INSERT INTO latest_metrics (rid, key, experiment_id, value, is_nan, timestamp_ms, step)
        SELECT rid, key, {experiment}, {spread("which")}, FALSE, {EPOCH_MS}, 0 {made} {metrics}"""
    yield f"""INSERT INTO metrics (rid, key, timestamp_ms, step, value, is_nan)
        SELECT rid, key, {EPOCH_MS}, 0, {spread("which")}, FALSE {made} {metrics}"""
    for table, pairs, base in (("params", PARAMS, 10), ("tags", TAGS, 20)):
        yield f"""INSERT INTO {table} (rid, key, experiment_id, value)
            SELECT rid, key, {experiment}, {one_of("which", "many")} {made} {keys(pairs, base)}
            WHERE key <> 't' OR i % {ONE_LACKS} <> 7"""


def versions(first, last):
    """Statements that add versions `first` to `last - 1`, a hundred to a model, with three tags each."""
    count = COUNT.format(first=first, last=last - 1)
    models = COUNT.format(first=first // 100, last=last // 100 - 1)
    yield f"""INSERT INTO registered_models (name, last_version, created_at_ms, updated_at_ms)
        {models} SELECT 'seeded-' || i, 100, {EPOCH_MS} + i, {EPOCH_MS} + i FROM n"""
    yield f"""INSERT INTO model_versions (uid, model_id, version, custody, stage, source, location, run_id, created_by,
        created_at_ms, updated_at_ms) {count} SELECT 'seeded-' || i, m.model_id, 1 + i % 100, 'pointer', 'none',
        's3://seeded/' || i, 's3://seeded/' || i, 'run-' || i, 'bench', {EPOCH_MS} + i, {EPOCH_MS} + i
        FROM n JOIN registered_models m ON m.name = 'seeded-' || (i / 100) AND m.deleted_at_ms IS NULL"""
    yield f"""INSERT INTO model_version_tags (version_id, key, value)
        SELECT version_id, key, {one_of("which", "many")} FROM (SELECT version_id, created_at_ms - {EPOCH_MS} AS i
        FROM model_versions WHERE created_at_ms BETWEEN {EPOCH_MS + first} AND {EPOCH_MS + last - 1}
        ORDER BY version_id) v {keys(VERSION_TAGS, 40)}"""


def history(run_id, points):
    """Statements that give a run so many values of the metric `long`."""
    count = COUNT.format(first=0, last=points - 1)
    yield f"""INSERT INTO metrics (rid, key, timestamp_ms, step, value, is_nan) {count}
        SELECT r.rid, 'long', {EPOCH_MS} + i, i, {spread(60)}, FALSE
        FROM n CROSS JOIN runs r WHERE r.run_id = '{run_id}'"""


def tables(statements):
    """The tables that the statements fill, as a list for SQL."""
    found = sorted({re.search(r"INSERT INTO (\w+)", statement)[1] for statement in statements})
    return ", ".join(f"'{name}'" for name in found)


def fill(server, statements):
    """Runs the statements in the database of `server`, which must not run."""
    if server.name == "postgres":
        fill_postgres(server.database_url, list(statements))
    else:
        fill_sqlite(server.folder / "data" / "waybill.db", list(statements))


def fill_sqlite(path, statements):
    database = sqlite3.connect(path, isolation_level=None)
    # A write-ahead log would take every row a second time.
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -262144", "temp_store = MEMORY"):
        database.execute(f"PRAGMA {pragma}")
    names = tables(statements)
    indexes = database.execute(
        f"SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({names})"
    ).fetchall()
    database.execute("BEGIN IMMEDIATE")
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")
    for statement in statements:
        database.execute(statement)
    for _, definition in indexes:
        database.execute(definition)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


def fill_postgres(url, statements):
    names = tables(statements)
    # Those of constraints stay.
    indexes = psql(
        url,
        f"""SELECT i.indexname || '|' || i.indexdef FROM pg_indexes i WHERE i.tablename IN ({names})
        AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)""",
    ).splitlines()
    script = ["SET synchronous_commit = off", "SET maintenance_work_mem = '512MB'", "SET work_mem = '256MB'"]
    script += [f"DROP INDEX {line.split('|', 1)[0]}" for line in indexes]
    script += statements
    script += [line.split("|", 1)[1] for line in indexes]
    script += ["VACUUM ANALYZE"]
    psql(url, ";\n".join(script) + ";")


def psql(url, script):
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]
    return subprocess.run(command, input=script, text=True, check=True, capture_output=True).stdout
