"""Requests over a bare socket: the path, headers and body go out exactly as written here, where every
HTTP library would first tidy them up."""

import json
import socket


class Answer:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.status = int(lines[0].split(" ")[1]) if data else None
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }

    def json(self):
        return json.loads(self.body)


def send(port, method, target, body=b"", headers=None, host=None, half_close=False, timeout_s=30):
    """Sends one request, reads to the end. `headers` override the usual ones; None leaves one out."""
    fields = {"Host": host or f"127.0.0.1:{port}", "Connection": "close", "Content-Length": str(len(body))}
    fields.update(headers or {})
    head = f"{method} {target} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        try:
            connection.sendall(head.encode("latin-1") + b"\r\n" + body)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server may answer and close before it has read all
        data = b""
        try:
            while chunk := connection.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
    return Answer(data)
