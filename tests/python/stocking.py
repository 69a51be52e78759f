"""One of everything that the native API names, made over HTTP: for the tests that ask all of it."""

import hashlib
import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from receivers import client_of, settled

CONTENT = b"x" * 100
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
NEW = b"new"
NEW_DIGEST = "sha256:" + hashlib.sha256(NEW).hexdigest()
TIMES = {"created_at_ms": 1, "updated_at_ms": 1}
REVISION = {
    "revision_id": "rev_spec",
    "manifest_digest": DIGEST,
    "lock_digest": DIGEST,
    "runtime": "mlflow-pyfunc",
    "image_digest": DIGEST,
    "spec_hash": DIGEST,
    "image_reused": False,
    "lock_reused": False,
}


def stock(server, folder, receiver):
    """Fills a server; `values` then names what there is as the paths' parameters do."""
    (folder / "f.txt").write_bytes(CONTENT)
    (folder / "requirements.txt").write_text("six==1.17.0\n")
    webhook = client_of(server).create_webhook("spec", receiver.url, ["registered_model.created"])
    for _ in range(2):
        server.cli("push", folder, "spec")
    (delivery,) = settled(server, webhook, "delivered")
    version = server.api("GET", "models/spec/versions/1").json()
    source = {"kind": "mlflow", "source": "http://old:5000"}
    server.values = {
        "name": "spec",
        "model": "spec",
        "version": "1",
        "uid": version["uid"],
        "digest": DIGEST,
        "path": "f.txt",
        "environment": "production",
        "import_id": server.api("POST", "imports", json=source).json()["import_id"],
        "webhook_id": webhook.webhook_id,
        "delivery_id": delivery["delivery_id"],
    }
    server.lockfile = lockfile(version["content"]["requirements_digest"])
    for number in (1, 2):
        bring_up(server, number)


def bring_up(server, version):
    """Promotes, and reports as a deployer does that it serves."""
    promotion = server.api("POST", f"models/spec/versions/{version}/promotions", json={"to": "production"})
    server.values["rollout_id"] = promotion.json()["rollout_id"]
    report = {**fenced(server), "phase": "succeeded", "revision": REVISION}
    answer = server.api("POST", f"rollouts/{server.values['rollout_id']}/reports", json=report)
    assert answer.status_code == 200, answer.text


def fenced(server, off=0):
    """The fence of the lease on production, or one that is `off`."""
    lease = {"holder": "spec", "ttl_ms": 60_000}
    answer = server.api("POST", "environments/production/lease", json=lease)
    return {"fence": answer.json()["fence"] + off}


def lockfile(requirements_digest):
    inputs = {
        "requirements_digest": requirements_digest,
        "platform": "linux/amd64",
        "python_version": "3.11.2",
        "index_url": "https://pypi.org/simple",
        "base": "sha256:base",
        "cutoff_date": None,
    }
    text = f"six==1.17.0 --hash={DIGEST}\n"
    return {"schema_version": 1, "inputs": inputs, "package_count": 1, "text": text}


def lock_key(document):
    """Digest of the inputs' canonical JSON."""
    canonical = json.dumps(document["inputs"], sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def attached(server):
    """The body that attaches the lockfile."""
    artifact_type = "application/vnd.waybill.lockfile.v1+json"
    return {"artifact_type": artifact_type, "content": json.dumps(server.lockfile)}


def upload(server, content=NEW, send=True):
    """Id of a new session for one file, sent or not."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    file = {"path": "f.txt", "digest": digest, "size_bytes": len(content)}
    upload_id = server.api("POST", "uploads", json={"files": [file]}).json()["upload_id"]
    if send:
        server.api("PUT", f"uploads/{upload_id}/blobs/{digest}", data=content)
    return upload_id


def append(server, **changed):
    """The body that appends a line to the log of the newest rollout."""
    lines = [{"at_ms": 1, "stream": "event", "text": "spec"}]
    return {**fenced(server), "rollout_id": server.values["rollout_id"], "lines": lines, **changed}


def serving(server, **changed):
    """The body that says that what serves does not answer."""
    now = server.api("GET", "environments/production/deployments/spec").json()["serving"]
    report = {"version_uid": now["version_uid"], "revision_id": "rev_spec", "ready": False, "at_ms": 1}
    return {**fenced(server), **report, **changed}


def stopped(server, **changed):
    """The body that says that nothing of a generation long ago serves any more."""
    return {**fenced(server), "generation": 0, "message": "spec", **changed}


def key(role="deployer"):
    pem = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return {"role": role, "public_key_pem": pem.decode()}


def imported_version(server):
    """The body that imports a version of a model that is here already."""
    model = {"kind": "registered_model", "name": "old", **TIMES}
    server.api("POST", f"imports/{server.values['import_id']}/batches", json={"objects": [model]})
    version = {"name": "old", "version": 1, "source": "s3://elsewhere/x", "stage": "none", "fingerprint": "f"}
    return {**version, **TIMES}


def brought_artifacts(server):
    return {"upload_id": upload(server), "root": "1/x", "fingerprints": {"f.txt": "f"}}
