"""Runs stages over a drawn folder on a local S3 with a latency, and counts their requests.

    python -m benchmarks.full_size draw runs/drawn
    python -m benchmarks.full_size_on_s3 runs/drawn --latency-ms 30

Only the parts of the smallest model are uploaded, some 3,000.
The server is moto's, in the same process, which takes some 6 ms of CPU per request itself. Each stage is a
process of its own. What is cold reads every part for the first time.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from pyarrow import fs
from werkzeug.serving import WSGIRequestHandler, make_server

from benchmarks.full_size import overrides

BUCKET, MODEL = "bucket", "qwen3-0.6b"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# The first of each is cold.
STAGES = ("status", "status", "plan", "reduce", "reduce", "report", "plan,generate", "verify")


@dataclass
class Server:
    """A server, what it was asked since it was last forgotten, and how much at once."""

    latency_s: float
    asked: list[tuple[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    port: int = 0

    def address(self, path: str) -> str:
        return f"s3://{BUCKET}/{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def forget(self) -> None:
        self.asked, self.most = [], 0

    @contextmanager
    def asking(self, method: str, path: str) -> Iterator[None]:
        self.asked.append((method, path))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        time.sleep(self.latency_s)
        try:
            yield
        finally:
            self.in_flight -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests and time of stages on a local S3.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    parser.add_argument("--stages", nargs="+", default=STAGES)
    given = parser.parse_args()
    os.environ |= CREDENTIALS
    with serving(Server(0.0)) as server:
        parts = upload(given.folder, server)
        server.latency_s = given.latency_ms / 1_000
        print(f"{parts:,} parts, {given.latency_ms:g} ms per request", flush=True)
        for stages in given.stages:
            print(measured(given.folder, server, stages, parts), flush=True)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    moto = DomainDispatcherApplication(create_backend_app)

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None: ...

    def answer(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        with server.asking(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            return moto(environ, start_response)

    listening = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    server.port = listening.server_port
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        listening.shutdown()


def upload(folder: Path, server: Server) -> int:
    """Put the run's files into the bucket; the number of parts."""
    bucket, root = fs.FileSystem.from_uri(f"{server.address('')}&allow_bucket_creation=true")
    bucket.create_dir(root.rstrip("/"))
    parts = list((folder / "full" / "samples").glob(f"engine={MODEL}.*/*.parquet"))
    for part in parts:
        name = part.relative_to(folder)
        fs.copy_files(str(part), f"{BUCKET}/out/{name}", fs.LocalFileSystem(), bucket)
    return len(parts)


def measured(folder: Path, server: Server, stages: str, parts: int) -> str:
    """A line on a command: its seconds and its requests."""
    local = [one for one in overrides(folder, 1) if not one.startswith("out=")]
    command = [sys.executable, "-m", "raysweep", *local, f"sweep.models=[{MODEL}]"]
    command += [f"out='{server.address('out')}'"]
    server.forget()
    started = time.monotonic()
    done = subprocess.run([*command, f"stages=[{stages}]"], capture_output=True, text=True)
    wall_s = time.monotonic() - started
    kinds = Counter(f"{method} {_what(path)}" for method, path in server.asked)
    named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))
    return (
        f"{stages:<14} {wall_s:6.1f} s, {len(server.asked) / parts:6.3f} requests per part, "
        f"{server.most:3} at once, status {done.returncode}: {named}"
    )


def _what(path: str) -> str:
    if "/samples/" in path and path.endswith(".parquet"):
        return "part"
    return "list" if path.strip("/") == BUCKET else "other"


if __name__ == "__main__":
    main()
