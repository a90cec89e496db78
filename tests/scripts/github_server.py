"""The part of GitHub's REST API that the catalog's report uses, on loopback: a repository with its issues."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY, TOKEN, BOT = "me/depthhub", "a-job's-token", "github-actions[bot]"


class GitHub:
    """`issues` is what the repository has; `refuse` is a status that every request is answered with instead."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.refuse: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> GitHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, login: str, body: str | None, **facts: Any) -> dict[str, Any]:
        number = len(self.issues) + 1
        issue = {"number": number, "user": {"login": login}, "title": "", "body": body, "state": "open", **facts}
        self.issues.append(issue)
        return issue

    def answer(self, method: str, target: str, token: str | None, data: dict[str, Any]) -> tuple[int, Any]:
        url = urlsplit(target)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        place = f"/repos/{REPOSITORY}/issues"
        if self.refuse or token != f"Bearer {TOKEN}":
            return self.refuse or 401, {"message": "Bad credentials"}
        if (method, url.path) == ("GET", place):
            return 200, [i for i in self.issues if _fits(i, asked)]
        if (method, url.path) == ("POST", place):
            return 201, self.add(BOT, data["body"], title=data["title"])
        number = url.path.removeprefix(f"{place}/")
        if method == "PATCH" and number.isdigit() and int(number) <= len(self.issues):
            self.issues[int(number) - 1].update(data)
            return 200, self.issues[int(number) - 1]
        return 404, {"message": "Not Found"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                data = json.loads(self.rfile.read(length)) if length else {}
                status, told = github.answer(self.command, self.path, self.headers.get("authorization"), data)
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do  # noqa: N815  the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Nothing on stderr: the tests read it."""

        return Handler


def _fits(issue: dict[str, Any], asked: dict[str, str]) -> bool:
    return issue["state"] == asked.get("state", "open") and issue["user"]["login"] == asked.get("creator")
