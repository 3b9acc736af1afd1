"""A real Prometheus for tests: Debian's, on loopback, over the targets that a test gives it."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

MISSING = "Debian's package prometheus is not installed: sudo make system-deps"
INSTALLED = bool(shutil.which("prometheus") and shutil.which("promtool"))


class Prometheus:
    """One that runs; `query` gives the samples of an instant query."""

    def __init__(self, url: str):
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[Any]:
        return self.get("query", query=expression)["result"]


@contextmanager
def prometheus(folder: Path, scrapes: list[Any], rules: Path) -> Iterator[Prometheus]:
    """Scrapes each second, and evaluates the rules as often."""
    url = f"127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": scrapes,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            running = Prometheus(f"http://{url}")
            _wait_for(running)
            yield running
        finally:
            process.terminate()


def _wait_for(running: Prometheus) -> None:
    for _ in range(200):
        try:
            running.query("vector(1)")
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"no Prometheus answers at {running.url}")


@contextmanager
def target(text: str) -> Iterator[str]:
    """Serves `text` as metrics; gives host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
