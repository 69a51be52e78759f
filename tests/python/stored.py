"""Documents and statements that a registry stored, validated against the published schemas."""

import base64
import json
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "schemas"
DOCUMENTS = {"requirements", "experiment-config", "registration-snapshot", "lockfile"}
# Statements carry what the schema describes as their predicate.
PREDICATES = {
    "registration-statement": "registration-predicate",
    "run-completed": "run-end-predicate",
    "lockfile-signature": "lockfile-resolution-predicate",
}


def validate_referrers(server, uid):
    """Validates all that is attached to a version; returns the kinds that have a schema."""
    kinds = set()
    for referrer in server.api("GET", f"versions/{uid}/referrers").json()["referrers"]:
        kind = referrer["artifact_type"].removeprefix("application/vnd.waybill.").removesuffix(".v1+json")
        content = server.api("GET", f"blobs/{referrer['digest']}").json()
        if kind in PREDICATES:
            payload = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
            content, name = payload["predicate"], PREDICATES[kind]
        elif kind in DOCUMENTS:
            name = kind
        else:
            continue
        schema = json.loads((SCHEMAS / f"{name}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(content)
        kinds.add(kind)
    return kinds
