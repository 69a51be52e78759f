"""Every endpoint of MLflow's server, read off the installed MLflow: its path, its methods, and the
message that it takes."""

import re
from typing import NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from mlflow.server.handlers import get_endpoints

# What Waybill leaves out, and says so (README, "What of MLflow is covered").
LEFT_OUT = re.compile(
    r"/mlflow/(gateway|gateway-proxy|scorers?|genai|datasets|prompt-optimization|issues|jobs|label-schemas"
    r"|review-queues|workspaces|demo|ui-telemetry|get-online-trace-details|unified-traces)(/|$)"
    r"|/mlflow/runs/create-promptlab-run$"
)
# Lists of those areas that MLflow's pages ask for: empty, so that a page shows its empty state.
EMPTY_FOR_PAGES = re.compile(
    r"GET /ajax-api/(2.0/mlflow/gateway-proxy"
    r"|3.0/mlflow/(gateway/(endpoints|endpoints/bindings|secrets)|scorers|review-queues|label-schemas)/list)"
    r"|POST /ajax-api/3.0/mlflow/(datasets|issues)/search"
)
# MLflow joins one path without its slash; its pages and clients use the other one.
MISSPELLED = "2.0mlflow/"

# What MLflow reads by hand, without a message: its `server/__init__.py` has these routes.
BY_HAND = [
    ("GET", "/get-artifact", {"run_id": "text", "run_uuid": "text", "path": "text"}),
    ("GET", "/model-versions/get-artifact", {"name": "text", "version": "text", "path": "text"}),
    ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", {"metric_key": "text", "max_results": "int"}),
    ("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": "texts"}),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact", {}),
    ("GET", "/ajax-api/2.0/mlflow/logged-models/<model_id>/artifacts/files", {"artifact_file_path": "text"}),
    ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run", {}),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy", {}),
    ("GET", "/ajax-api/2.0/mlflow/gateway-proxy", {}),
]

# Times and free values; spans, which MLflow reads off OpenTelemetry's own route only.
FOREIGN = ("google.protobuf.", "opentelemetry.")

KINDS = {
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_INT32: "int",
    FieldDescriptor.CPPTYPE_INT64: "int",
    FieldDescriptor.CPPTYPE_UINT32: "int",
    FieldDescriptor.CPPTYPE_UINT64: "int",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
    FieldDescriptor.CPPTYPE_MESSAGE: "message",
}


class Field(NamedTuple):
    name: str
    kind: str
    repeated: bool


class Endpoint(NamedTuple):
    method: str
    path: str
    # Of its message; none where MLflow reads the request by hand.
    fields: tuple
    # Every text in it, of nested messages too, as the way to it: names, and whether each is a list or a map.
    texts: tuple

    @property
    def empty_for_pages(self):
        return bool(EMPTY_FOR_PAGES.fullmatch(f"{self.method} {self.path}"))

    @property
    def left_out(self):
        return bool(LEFT_OUT.search(self.path)) and not self.empty_for_pages


def fields_of(message):
    descriptor = getattr(message, "DESCRIPTOR", None)
    if descriptor is None:
        return ()
    return tuple(Field(field.name, KINDS[field.cpp_type], bool(field.is_repeated)) for field in descriptor.fields)


def texts_of(descriptor, outer=()):
    for field in descriptor.fields:
        nested = field.message_type
        way = (*outer, (field.name, "list" if field.is_repeated else ""))
        if field.type == FieldDescriptor.TYPE_STRING:
            yield way
        elif nested is None or nested.full_name.startswith(FOREIGN):
            continue
        elif nested.GetOptions().map_entry:
            yield from ((*outer, (field.name, "map"), (part, "")) for part in ("key", "value"))
        else:
            yield from texts_of(nested, way)


def endpoints():
    """All of them; `get_endpoints` hands each message to what would be looking for its handler."""
    found = []
    for path, message, methods in get_endpoints(lambda message: message):
        texts = tuple(texts_of(message.DESCRIPTOR)) if hasattr(message, "DESCRIPTOR") else ()
        if MISSPELLED not in path:
            found += [Endpoint(method, path, fields_of(message), texts) for method in methods]
    for method, path, fields in BY_HAND:
        fields = tuple(Field(name, kind.removesuffix("s"), kind == "texts") for name, kind in fields.items())
        texts = tuple(((field.name, "list" if field.repeated else ""),) for field in fields if field.kind == "text")
        found.append(Endpoint(method, path, fields, texts))
    return sorted(set(found))


def fill(path, values=()):
    """The path with its parameters filled in; what is not given becomes `none`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: dict(values).get(match[1], "none"), path)
