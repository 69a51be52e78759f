"""Keeps asking a served model until told to stop (SIGTERM), then writes what happened.

    python load.py URL INPUT OUT --known FOLDER…

Each thread keeps one connection open and sends the next request when the answer is there. A request
counts as failed if it got no answer, an answer other than 200, or a prediction that no known
version makes. OUT gets {"requests", "failed", "failures", "answers": {folder: count}}.
"""

import argparse
import http.client
import json
import signal
import threading
import time
import urllib.parse
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("url")
parser.add_argument("input", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--known", nargs="+", type=Path, required=True)
parser.add_argument("--threads", type=int, default=4)
options = parser.parse_args()

url = urllib.parse.urlsplit(options.url)
body = options.input.read_bytes()
stop = threading.Event()
lock = threading.Lock()
result = {"requests": 0, "failed": 0, "failures": [], "answers": {}, "slowest_ms": 0.0}


def rounded(predictions):
    return json.dumps([[round(value, 6) for value in row] for row in predictions])


known = {
    rounded(json.loads((folder / "prediction.json").read_text())["predictions"]): folder.name
    for folder in options.known
}


def ask(connection):
    """The name of the version that answered; raises with the reason otherwise."""
    connection.request("POST", url.path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise ValueError(f"{response.status}: {text[:200]!r}")
    return known[rounded(json.loads(text)["predictions"])]


def work():
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    while not stop.is_set():
        start = time.monotonic()
        try:
            answer, failure = ask(connection), None
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            answer, failure = None, repr(error)
            connection.close()
        elapsed_ms = (time.monotonic() - start) * 1000
        with lock:
            result["requests"] += 1
            result["slowest_ms"] = max(result["slowest_ms"], elapsed_ms)
            if failure:
                result["failed"] += 1
                result["failures"] = (result["failures"] + [failure])[:10]
            else:
                result["answers"][answer] = result["answers"].get(answer, 0) + 1


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=work) for _ in range(options.threads)]
for thread in threads:
    thread.start()
while not stop.wait(0.2):
    pass
for thread in threads:
    thread.join()
options.out.write_text(json.dumps(result))
