"""GitHub's releases on loopback: the interface, the uploads, the pages for the public, and the storage behind them.

What it answers is what GitHub's documentation says of these endpoints, down to the half-uploaded asset in the state
`starter` that a broken upload leaves, and to the signed address on another host that a download is sent to.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Role = Literal["api", "uploads", "web", "storage"]
Fault = Literal["500", "429", "lost answer", "broken upload", "altered"]

REPOSITORY = "me/depthhub"
TOKEN = "ghs_a-token-of-the-test"
SIGNATURE = "X-Amz-Signature=abc%2Fdef&response-content-disposition=attachment"


class GitHubServer:
    """One repository. `requests`: what came, as (role, method, path). `fail`: the next answers that go wrong."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.releases: list[dict[str, Any]] = []
        self.stored: dict[str, bytes] = {}
        self.states_digests = True
        self.requests: list[tuple[Role, str, str]] = []
        self.told_elsewhere: list[str] = []
        self._faults: list[tuple[Fault, str]] = []
        self._ids = count(1)
        self._lock = threading.Lock()
        self.urls: dict[Role, str] = {}
        self.stalled_upload: threading.Event | None = None
        self.goes_on = threading.Event()

    def fail(self, fault: Fault, request: str, times: int = 1) -> None:
        """Let the next answers go wrong to what holds `request`, which may be `POST /path`, or a part of it."""
        self._faults += [(fault, request)] * times

    @contextmanager
    def serving(self) -> Iterator[GitHubServer]:
        servers = []
        for role in ("api", "uploads", "web", "storage"):
            handler = type("BoundHandler", (_Handler,), {"github": self, "role": role})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            self.urls[role] = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[index]
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            servers.append((server, thread))
        yield self
        self.goes_on.set()
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()

    def release(self, tag: str) -> dict[str, Any]:
        (found,) = [release for release in self.releases if release["tag_name"] == tag]
        return found

    def digests(self, tag: str) -> dict[str, str | None]:
        """Name -> sha256 of what is stored; None for what is half there."""
        return {
            asset["name"]: hashlib.sha256(self.stored[asset["name"]]).hexdigest()
            if asset["state"] == "uploaded"
            else None
            for asset in self.release(tag)["assets"]
        }

    def uploads(self) -> list[str]:
        """The names that were uploaded, in order, each try of them."""
        return [parse_qs(urlsplit(path).query)["name"][0] for role, _, path in self.requests if role == "uploads"]

    # what happens to its data

    def taken_fault(self, request: str) -> Fault | None:
        with self._lock:
            for fault, part in self._faults:
                if part in request:
                    self._faults.remove((fault, part))
                    return fault
        return None

    def new_release(self, told: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        made = {
            "id": number,
            "tag_name": told["tag_name"],
            "name": told["name"],
            "body": told["body"],
            "draft": told["draft"],
            "prerelease": told["prerelease"],
            "upload_url": f"{self.urls['uploads']}/repos/{REPOSITORY}/releases/{number}/assets{{?name,label}}",
            "html_url": f"{self.urls['web']}/{REPOSITORY}/releases/tag/{told['tag_name']}",
            "assets": [],
        }
        self.releases.append(made)
        return made

    def new_asset(self, release: dict[str, Any], name: str) -> dict[str, Any]:
        with self._lock:
            made = {"id": next(self._ids), "name": name, "size": 0, "state": "starter", "digest": None}
            release["assets"].append(made)
        return made

    def finish(self, asset: dict[str, Any], data: bytes) -> None:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}" if self.states_digests else None
        self.stored[asset["name"]] = data
        asset.update(size=len(data), state="uploaded", digest=digest)


class _Handler(BaseHTTPRequestHandler):
    github: ClassVar[GitHubServer]
    role: ClassVar[Role]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def handle_any(self) -> None:
        self.github.requests.append((self.role, self.command, self.path))
        fault = self.github.taken_fault(f"{self.command} {self.path}")
        if fault == "500":
            self.reply(502, {"message": "Server Error"})
        elif fault == "429":
            self.reply(429, {"message": "You have exceeded a secondary rate limit"}, Retry_After="0")
        elif self.role in ("web", "storage"):
            self.download()
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.reply(401, {"message": "Bad credentials"})
        elif self.headers.get("User-Agent", "").startswith("Python"):
            self.reply(403, {"message": "Request forbidden by administrative rules"})
        elif self.role == "uploads":
            self.upload(fault)
        else:
            self.interface(fault)

    do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815

    def interface(self, fault: Fault | None) -> None:
        path, _, query = self.path.removeprefix(f"/repos/{REPOSITORY}").partition("?")
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"]))) if self.command in _TELLING else {}
        if found := re.fullmatch(r"/commits/tags/(.+)", path):
            commit = self.github.tags.get(unquote(found[1]))
            if commit is None:
                self.reply(422, {"message": f"No commit found for SHA: {found[1]}"})
            else:
                self.answer(200, commit.encode(), "application/vnd.github.sha; charset=utf-8")
        elif (self.command, path) == ("GET", "/releases"):
            self.reply(200, self.page(self.github.releases, query))
        elif (self.command, path) == ("POST", "/releases"):
            made = self.github.new_release(told)
            self.drop() if fault == "lost answer" else self.reply(201, made)
        elif found := re.fullmatch(r"/releases/assets/(\d+)", path):
            self.remove(int(found[1]))
        elif found := re.fullmatch(r"/releases/(\d+)(/assets)?", path):
            (release,) = [release for release in self.github.releases if release["id"] == int(found[1])]
            if self.command == "PATCH":
                release.update(told)
            self.reply(200, self.page(release["assets"], query) if found[2] else release)
        else:
            self.reply(404, {"message": "Not Found"})

    def upload(self, fault: Fault | None) -> None:
        release_id, query = re.fullmatch(rf"/repos/{REPOSITORY}/releases/(\d+)/assets\?(.+)", self.path).groups()
        (release,) = [release for release in self.github.releases if release["id"] == int(release_id)]
        name = re.sub(r"[^A-Za-z0-9._-]", ".", parse_qs(query)["name"][0])
        size = int(self.headers["Content-Length"])
        if any(asset["name"] == name for asset in release["assets"]):
            self.rfile.read(size)
            error = {"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}
            self.reply(422, {"message": "Validation Failed", "errors": [error]})
            return
        asset = self.github.new_asset(release, name)
        if fault == "broken upload":
            self.rfile.read(size // 2)
            self.drop()
            return
        if self.github.stalled_upload is not None:
            self.github.stalled_upload.set()
            self.github.goes_on.wait(30)
            self.drop()
            return
        data = self.rfile.read(size)
        if len(data) < size:
            return
        self.github.finish(asset, data[:-1] + b"?" if fault == "altered" else data)
        self.drop() if fault == "lost answer" else self.reply(201, asset)

    def remove(self, number: int) -> None:
        for release in self.github.releases:
            for asset in list(release["assets"]):
                if asset["id"] == number:
                    release["assets"].remove(asset)
                    self.answer(204, b"", "")
                    return
        self.reply(404, {"message": "Not Found"})

    def download(self) -> None:
        """The public's way: an address that sends to another host, with a signature that is good for GET alone."""
        path, _, query = self.path.partition("?")
        self.github.told_elsewhere += [self.headers["Authorization"]] if "Authorization" in self.headers else []
        if self.role == "web":
            found = re.fullmatch(rf"/{REPOSITORY}/releases/download/([^/]+)/([^/]+)", path)
            public = [release for release in self.github.releases if not release["draft"]]
            names = {(release["tag_name"], asset["name"]) for release in public for asset in release["assets"]}
            if found and (found[1], found[2]) in names:
                place = f"{self.github.urls['storage']}/assets/{found[2]}?{SIGNATURE}"
                self.answer(302, b"", "text/html; charset=utf-8", Location=place)
            else:
                self.answer(404, b"<!DOCTYPE html><html><title>Page not found</title></html>", "text/html")
        elif query != SIGNATURE or self.command != "GET":
            self.answer(
                403, b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code></Error>", "application/xml"
            )
        else:
            self.answer(200, self.github.stored[path.rpartition("/")[2]], "application/octet-stream")

    def page(self, items: list[Any], query: str) -> list[Any]:
        asked = parse_qs(query)
        size, number = int(asked.get("per_page", ["30"])[0]), int(asked.get("page", ["1"])[0])
        return items[size * (number - 1) : size * number]

    def reply(self, status: int, data: object, **more: str) -> None:
        self.answer(status, json.dumps(data).encode(), "application/json; charset=utf-8", **more)

    def answer(self, status: int, body: bytes, content_type: str, **more: str) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drop(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


_TELLING = ("POST", "PATCH")
