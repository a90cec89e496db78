"""A store that speaks S3, on loopback: moto's server, behind a door that counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from .traffic import Traffic

BUCKET = "models"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "of-the-demo",
    "AWS_SECRET_ACCESS_KEY": "of-the-demo",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ObjectStore:
    """One bucket, empty. `traffic()`: requests, and bytes of bodies in both directions, since it was last asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traffic = Traffic()
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._door, threaded=True, request_handler=_Silent)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        keys = {"aws_access_key_id": "of-the-demo", "aws_secret_access_key": "of-the-demo"}
        self.client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket=BUCKET)
        self.traffic()

    def environment(self) -> dict[str, str]:
        """What a machine needs to reach it; no file of whoever runs the demo has a say."""
        nowhere = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
        return {"DEPTHHUB_REMOTE": f"s3://{BUCKET}/depthhub", "AWS_ENDPOINT_URL": self.url, **CREDENTIALS, **nowhere}

    def traffic(self) -> Traffic:
        with self._lock:
            told, self._traffic = self._traffic, Traffic()
        return told

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _door(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._count(requests=1, size=int(environ.get("CONTENT_LENGTH") or 0))
        return self._counted(self._inner(environ, start_response))

    def _counted(self, body: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in body:
            self._count(size=len(chunk))
            yield chunk

    def _count(self, *, requests: int = 0, size: int) -> None:
        with self._lock:
            self._traffic += Traffic(requests, size)


class _Silent(MotoRequestHandler):
    def log(self, *_: object) -> None:
        pass
