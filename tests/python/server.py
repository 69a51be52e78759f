"""A real server process, as a user would start it: started, asked, stopped, killed."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import contract
import requests

BINARY = os.environ.get("WAYBILL_BIN", "waybill")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(extra=None):
    """The environment of a child: the test's own settings must not leak into a server."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("WAYBILL_")}
    return {**keep, "NO_COLOR": "1", **(extra or {})}


class Server:
    """`waybill serve` on a free port with its own folder."""

    def __init__(self, folder, *flags, env=None, deployer=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.folder / "data"
        self.log_path = self.folder / "serve.log"
        self.port = free_port()
        self.gateway_port = free_port()
        self.env = environment(env)
        self.flags = list(flags)
        if not deployer:
            self.flags.append("--no-deployer")
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateway(self):
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def command(self):
        return [
            BINARY,
            "serve",
            *("--listen", f"127.0.0.1:{self.port}"),
            *("--gateway-listen", f"127.0.0.1:{self.gateway_port}"),
            *("--data-dir", str(self.data_dir)),
            *self.flags,
        ]

    def storage_flags(self):
        """Where everything is, for commands that read it without the server."""
        return ["--data-dir", self.data_dir, *(flag for flag in self.flags if flag != "--no-deployer")]

    def spawn(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=self.env)
        return self

    def start(self, seconds=30):
        self.spawn()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.log[-3000:]}")
            try:
                if requests.get(self.url + "/health", timeout=10).status_code == 200:
                    return self
            except requests.RequestException:
                time.sleep(0.01)
        raise AssertionError(f"no /health within {seconds} s:\n{self.log[-3000:]}")

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30) if self.process else None

    def kill(self):
        """kill -9: no handler runs."""
        self.process.kill()
        self.process.wait(timeout=30)

    def peak_rss_mib(self):
        return self._status("VmHWM")

    def rss_mib(self):
        return self._status("VmRSS")

    def reset_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"no {field} in /proc/{self.process.pid}/status")

    def cli(self, *arguments, check=True, timeout=600, env=None):
        """Runs the CLI against this server; stdout and stderr come back as text."""
        result = subprocess.run(
            [BINARY, *map(str, arguments)],
            env={**self.env, "WAYBILL_URL": self.url, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"waybill {' '.join(map(str, arguments))} ended with {result.returncode}\n"
                f"{result.stdout}{result.stderr}\n--- server\n{self.log[-2000:]}"
            )
        return result

    def mlflow(self, method, path, body=None, **options):
        """An MLflow REST call below /api/2.0/mlflow/."""
        key = "params" if method == "GET" else "json"
        return requests.request(method, f"{self.url}/api/2.0/mlflow/{path}", **{key: body}, timeout=60, **options)

    def api(self, method, path, **options):
        """A native call below /api/v1/, whose answer must be what openapi.yaml says."""
        response = requests.request(method, f"{self.url}/api/v1/{path}", timeout=60, **options)
        if not options.get("stream"):
            contract.check(method, f"/api/v1/{path}", response)
        return response
