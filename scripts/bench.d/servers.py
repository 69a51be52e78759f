"""The servers that are measured: started as their documentation says, one at a time."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, work, name, database="waybill", deployer=False):
        """`database` names a database of PostgreSQL, which is made; `deployer`: with containers."""
        self.name, self.folder, self.port = name, work / f"{name}-{database}", free_port()
        self.deployer = deployer
        self.folder.mkdir(exist_ok=True)
        if name == "postgres":
            admin = os.environ["BENCH_POSTGRES_URL"]
            self.database_url = admin.rsplit("/", 1)[0] + f"/bench_{database}"
            make = (f"DROP DATABASE IF EXISTS bench_{database}", f"CREATE DATABASE bench_{database}")
            # PostgreSQL would say that there was none to drop.
            commands = [word for text in ("SET client_min_messages = warning", *make) for word in ("-c", text)]
            subprocess.run(["psql", "-q", admin, *commands], check=True)

    def command(self):
        if self.name == "mlflow":
            return [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "4"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *("--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"),
                *("--artifacts-destination", str(self.folder / "artifacts")),
            ]
        command = [os.environ["WAYBILL_BIN"], "serve", "--data-dir", str(self.folder / "data")]
        command.append("--deployer" if self.deployer else "--no-deployer")
        command += ["--listen", f"127.0.0.1:{self.port}", "--gateway-listen", f"127.0.0.1:{free_port()}"]
        if self.name == "postgres":
            command += ["--database-url", self.database_url]
        return command

    def start(self):
        """Returns the seconds from start to the first 200 of /health."""
        log = (self.folder / "log").open("ab")
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        start = time.perf_counter()
        self.process = subprocess.Popen(
            self.command(), stdout=log, stderr=log, cwd=self.folder, env=env, start_new_session=True
        )
        while time.perf_counter() - start < 120:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return time.perf_counter() - start
            except OSError:
                time.sleep(0.001)
        raise RuntimeError(f"{self.name} did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def pids(self):
        """The process and all below it."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        return found

    def memory_mib(self):
        """Proportional set size: pages that workers share count once."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def reset_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_mib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmHWM")
