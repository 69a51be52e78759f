"""A client that costs little: requests are encoded once, answers are read and not parsed.

Python's HTTP libraries cost more per request than the fast one of the two servers; with this, both
are measured and not the client.
"""

import json
import multiprocessing
import os
import socket
import time
import urllib.parse

CHUNK = 1 << 20


class Wire:
    """One keep-alive connection."""

    def __init__(self, port):
        self.port = port
        self.connect()

    def connect(self):
        self.used = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        """Sends an encoded request; returns the body. Anything but 200 raises."""
        self.socket.sendall(request)
        # A server that writes head and body apart waits for the acknowledgement of the head, which
        # Linux may delay by 40 ms: a matter of this client, which MLflow's figures should not bear.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data = self.socket.recv(CHUNK)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head, parts, have = data[:end].lower(), [data[end + 4 :]], len(data) - end - 4
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(data[:500])
        if b"transfer-encoding: chunked" in head:
            return self._chunks(b"".join(parts))
        length = int(head.split(b"content-length:", 1)[1].split(b"\r", 1)[0])
        while have < length:
            parts.append(self._more())
            have += len(parts[-1])
        return b"".join(parts)

    def _chunks(self, data):
        """The body of an answer whose length its head does not tell."""
        body = []
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._more()
            size, at = int(data[:end], 16), end + 2
            rest, have = [data[at:]], len(data) - at
            while have < size + 2:
                rest.append(self._more())
                have += len(rest[-1])
            data = b"".join(rest)
            if size == 0:
                return b"".join(body)
            body.append(data[:size])
            data = data[size + 2 :]

    def _more(self):
        data = self.socket.recv(CHUNK)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def call(self, method, path, body=None):
        # uvicorn closes a connection that rests for five seconds.
        if time.monotonic() - self.used > 2:
            self.socket.close()
            self.connect()
        self.used = time.monotonic()
        return json.loads(self.ask(self.encode(method, path, body)))

    @staticmethod
    def query(pairs):
        return urllib.parse.urlencode(pairs)

    def encode(self, method, path, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} /api/2.0/mlflow/{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content

    def put_file(self, path, file):
        """Sends a file without copying it through Python."""
        size = os.path.getsize(file)
        head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {size}\r\n\r\n"
        with open(file, "rb") as source:
            self.socket.sendall(head.encode())
            self.socket.sendfile(source)
        answer = self.socket.recv(CHUNK)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer[:500])

    def get_size(self, path):
        """Reads a body to its end and returns its size; both kinds of framing."""
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n"
        self.socket.sendall(head.encode())
        data = self.socket.recv(CHUNK)
        if not data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(data[:500])
        size, buffer = len(data) - data.index(b"\r\n\r\n") - 4, bytearray(CHUNK)
        while read := self.socket.recv_into(buffer):
            size += read
        return size


def p50_ms(port, requests, warm=10):
    """Median time of one request after another over one connection, in milliseconds."""
    wire, times = Wire(port), []
    for number, request in enumerate(requests):
        start = time.perf_counter()
        wire.ask(request)
        if number >= warm:
            times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2] * 1000


def per_second(port, clients, seconds, work):
    """Rounds per second of `work(wire, client)` by so many processes at once."""
    barrier, counts = multiprocessing.Barrier(clients + 1), multiprocessing.Array("q", clients)

    def run(client):
        wire, done = Wire(port), 0
        barrier.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            work(wire, client)
            done += 1
        counts[client] = done

    processes = [multiprocessing.Process(target=run, args=(client,)) for client in range(clients)]
    for process in processes:
        process.start()
    barrier.wait()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError("a client of the load failed")
    return sum(counts) / seconds
