"""A real S3 server on this machine, for tests: moto's, which keeps its buckets in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEY_ID = "AKIAOVERNIGHTTEST"
SECRET = "s3-secret-of-the-tests"

BUCKET = "night"


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's own name
        pass


class S3:
    """The server; ``calls`` are the methods and paths that it was asked, in their order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.refuses: int | None = None
        """An HTTP status that every call is answered with."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Silent
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a user of the server has in the environment."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }

    def uploads(self) -> list[str]:
        """The paths of objects that were put, in their order."""
        return [path for method, path in self.calls if method == "PUT" and path.count("/") > 1]

    def start(self) -> None:
        # What other tests of this process put anywhere is there for every server.
        moto_api_backend.reset()
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        moto_api_backend.reset()

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        self.calls.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if self.refuses is not None:
            start_response(f"{self.refuses} No", [("Content-Length", "0")])
            return []
        found: Iterable[bytes] = self._app(environ, start_response)
        return found


@contextmanager
def s3_server(kind: type[S3] = S3) -> Iterator[S3]:
    """A server with one empty bucket."""
    import urllib.request

    server = kind()
    server.start()
    try:
        made = urllib.request.Request(f"{server.url}/{BUCKET}", method="PUT")
        urllib.request.urlopen(made).close()
        server.calls.clear()
        yield server
    finally:
        server.stop()
