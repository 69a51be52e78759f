"""Receivers of webhooks on loopback, good and bad, and what a server says of its deliveries."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
from mlflow.webhooks.delivery import _generate_hmac_signature

# Lets a server deliver to the receivers here.
LOOPBACK = ["--webhook-allow", "127.0.0.0/8"]


class Receiver:
    """An HTTP server whose `answer(number of the request)` says what it answers: a status, a pair of a
    status and headers, `hang` or `endless`."""

    def __init__(self, answer=lambda number: 200, port=0, tls=None):
        self.answer, self.requests, self.arrived = answer, [], threading.Condition()
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.arrived:
                    receiver.requests.append((self.path, dict(self.headers.items()), body))
                    number = len(receiver.requests)
                    receiver.arrived.notify_all()
                answer = receiver.answer(number)
                if answer == "hang":
                    receiver.released.wait(60)
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(200 if status == "endless" else status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(b"thanks")
                    while status == "endless":
                        self.wfile.write(b"x" * 65536)
                except OSError:
                    pass  # the reader has had enough

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    def wait(self, count, seconds=30):
        with self.arrived:
            done = self.arrived.wait_for(lambda: len(self.requests) >= count, seconds)
            assert done, f"{len(self.requests)} of {count} requests came"
            return list(self.requests)

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def client_of(server):
    return mlflow.MlflowClient(tracking_uri=server.url, registry_uri=server.url)


def deliveries(server, webhook, **query):
    answer = server.api("GET", f"webhooks/{webhook.webhook_id}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["deliveries"]


def settled(server, webhook, state, count=1, seconds=30):
    """The deliveries once there are `count` and all of them are in `state`."""
    deadline = time.monotonic() + seconds
    while True:
        found = deliveries(server, webhook)
        if len(found) == count and all(delivery["state"] == state for delivery in found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def verified(request, secret):
    """The payload, once MLflow's own code has made the same signature from what came."""
    _, headers, body = request
    made = _generate_hmac_signature(
        secret, headers["x-mlflow-delivery-id"], headers["x-mlflow-timestamp"], body.decode()
    )
    assert headers["x-mlflow-signature"] == made
    assert abs(time.time() - int(headers["x-mlflow-timestamp"])) < 300, "receivers refuse old ones"
    return json.loads(body)
