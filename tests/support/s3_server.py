"""A local S3, moto's, in a thread of the tests; its answers can be made to fail.

with s3_server() as s3:
    Store(s3.address("runs/mine"))
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
BUCKET = "bucket"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass(eq=False)
class S3:
    """A server and what it was asked.

    While `failing` says so of (method, path), it answers 503, and while `denying` does, 403.
    """

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    failing: Callable[[str, str], bool] = lambda method, path: False
    denying: Callable[[str, str], bool] = lambda method, path: False

    def address(self, path: str) -> str:
        return f"s3://{BUCKET}/{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def fail_next(self, count: int, *methods: str) -> None:
        """Answer 503 to the next `count` requests of these methods."""
        left = [count]

        def failing(asked: str, path: str) -> bool:
            if asked not in methods or not left[0]:
                return False
            left[0] -= 1
            return True

        self.failing = failing


@contextmanager
def s3_server() -> Iterator[S3]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from pyarrow import fs
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None: ...

    moto = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start_response: Callable) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        s3.asked.append((method, path))
        if s3.failing(method, path):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(length)
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        if s3.denying(method, path):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("403 Forbidden", [("Content-Length", str(len(DENIED)))])
            return [DENIED]
        return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    s3 = S3(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    with mock.patch.dict(os.environ, CREDENTIALS):
        thread.start()
        try:
            fs.FileSystem.from_uri(s3.address("") + "&allow_bucket_creation=true")[0].create_dir(
                BUCKET
            )
            yield s3
        finally:
            server.shutdown()
            thread.join()
