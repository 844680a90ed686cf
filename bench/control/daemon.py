"""A daemon of its own on a fresh data directory, and its admin API over kept connections."""
import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from urllib.parse import quote

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Failed(RuntimeError):
    pass


class Daemon:
    def __init__(self, directory):
        self.home = tempfile.mkdtemp(prefix="skerry-bench-", dir=directory)
        self.data = os.path.join(self.home, "data")
        self.process, self.listeners, self.local = None, {}, threading.local()

    def start(self):
        """Seconds from the start of the process to its ready line."""
        began = time.perf_counter()
        words = ["node", os.path.join(ROOT, "dist/src/cli/main.js"), "serve", "--data", self.data, "--http-port", "0", "--s3-listen", "none"]
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the daemon did not start: see %s/log" % self.home)
        self.listeners = json.loads(line)["listeners"]
        self.local = threading.local()
        return time.perf_counter() - began

    def stop(self, kill=False):
        """Seconds until the process was gone."""
        began = time.perf_counter()
        if self.process and self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(timeout=120)
        return time.perf_counter() - began

    def call(self, method, path, body=None):
        """(answer, milliseconds in the daemon, milliseconds as the caller sees it). Each thread keeps a connection."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = UnixConnection(self.listeners["admin"])
        payload = None if body is None else json.dumps(body)
        began = time.perf_counter()
        connection.request(method, path, payload, {} if payload is None else {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        seen = (time.perf_counter() - began) * 1000
        if response.status >= 300:
            raise Failed("%s %s: %s" % (method, path, text.decode()[:300]))
        return json.loads(text), float(response.getheader("server-timing").split("dur=")[1]), seen

    def memory(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1]) * 1024

    def uri(self, name):
        return "nbd+unix:///%s?socket=%s" % (quote(name, safe="@"), self.listeners["nbd"])

    def log(self):
        with open(os.path.join(self.home, "log")) as f:
            return f.read()
