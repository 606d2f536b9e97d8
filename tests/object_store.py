"""A real S3 server on this machine, in a thread, that can be told to answer badly or not yet."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from overnight.artifacts.bucket import Address, Bucket

Start = Callable[[str, list[tuple[str, str]]], Any]
App = Callable[[dict[str, Any], Start], Iterable[bytes]]

BUCKET = "night"
PLACE = f"s3://{BUCKET}/clips"

_CORS = [("Content-Length", "0")]


@dataclass
class ObjectStore:
    """The server. ``puts`` are the paths that were to be written, in order; ``refuse`` answers the
    next so many of them with ``refusal``; what ends with ``holds`` waits until :meth:`let_go`; and
    what an object is said to be is not kept with ``forgets``."""

    app: App
    port: int = 0
    puts: list[str] = field(default_factory=list)
    refuse: int = 0
    refusal: str = "503 Slow Down"
    forgets: bool = False
    holds: str | None = None
    held: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("PUT", "POST"):
            path = environ["PATH_INFO"]
            self.puts.append(path)
            if self.holds is not None and path.endswith(self.holds):
                self.held.set()
                self.free.wait(60)
            if self.refuse > 0:
                self.refuse -= 1
                start(self.refusal, _CORS)
                return []
            if self.forgets:
                for name in [name for name in environ if name.startswith("HTTP_X_AMZ_META_")]:
                    del environ[name]
        return self.app(environ, start)

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
            "AWS_SECRET_ACCESS_KEY": "never-to-be-shown",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
        }

    @property
    def bucket(self) -> Bucket:
        """The bucket, for a process whose environment is :attr:`environ`."""
        return Bucket(Address("s3", BUCKET))

    def everything(self) -> list[str]:
        """Every object there is."""
        return sorted(key for page in self.bucket.keys("") for key in page)

    def clips(self) -> list[str]:
        """The objects that are no sidecars."""
        return [key for key in self.everything() if "/." not in key]

    def document(self, key: str) -> dict[str, Any]:
        said = self.bucket.read(key)
        assert said is not None
        document: dict[str, Any] = json.loads(said)
        return document

    async def until_held(self) -> None:
        """Wait until a write waits."""
        assert await asyncio.to_thread(self.held.wait, 60)

    def let_go(self) -> None:
        """Let everything go on that waits."""
        self.holds = None
        self.free.set()


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A server with one empty bucket; it listens on the loopback alone."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any, **__: Any) -> None:
            pass

    store = ObjectStore(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=Quiet)
    store.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        create_bucket(store.port)
        store.puts.clear()
        yield store
    finally:
        store.let_go()
        server.shutdown()
        thread.join()
        server.server_close()


def create_bucket(port: int) -> None:
    """Empty the server, and make the bucket."""
    import http.client

    for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{BUCKET}")):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request(method, path, headers={"Host": "s3.amazonaws.com"})
        assert connection.getresponse().status == 200
        connection.close()
