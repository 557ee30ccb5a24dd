"""A proxy that breaks the contract on purpose, so that the fuzzer can be seen to notice."""

import http.server
import threading
import urllib.error
import urllib.request

# What each fault makes of the status and the text of a good answer to `GET /api/v1/auth/me`.
FAULTS = {
    "a field of the wrong type": lambda status, text: (status, text.replace('"email":"', '"email":7,"was":"')),
    "a status that is not documented": lambda status, text: (202, text),
    "a server error": lambda status, text: (500, text),
    "no fault": lambda status, text: (status, text),
}
SPOILT = "/api/v1/auth/me"


class Broken:
    """The hall at `address`, with one fault, for as long as a `with` lasts."""

    def __init__(self, hall, fault):
        spoil = FAULTS[fault]

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                request = urllib.request.Request(
                    f"http://{hall.http}{self.path}", self.rfile.read(length) or None, dict(self.headers), method=self.command)
                try:
                    reply = urllib.request.urlopen(request, timeout=20)
                except urllib.error.HTTPError as refusal:
                    reply = refusal
                status, text = reply.status, reply.read()
                if self.path == SPOILT and status == 200:
                    status, changed = spoil(status, text.decode())
                    text = changed.encode()
                self.send_response(status)
                for name, value in reply.headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = do_QUERY = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
