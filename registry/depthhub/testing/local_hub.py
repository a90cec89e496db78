"""A Hub on this machine, for tests and demonstrations: real HTTP, no network, faults on demand."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from depthhub.testing.answers import Answer, Host, Request, cdn_answer, hub_answer
from depthhub.testing.faults import Fault
from depthhub.testing.hub_server import Site
from depthhub.testing.reception import Injected, LoggedRequest, Reception
from depthhub.testing.repositories import Access, Blob, Repository, RepoType


class LocalHub:
    """A server on loopback that speaks the Hub's protocol to huggingface_hub and whoever else speaks it.

        with LocalHub() as hub:
            hub.add_file("owner/repo", "config.json", b"{}", lfs=False)
            commit = hub.add_file("owner/repo", "model.pth", Path("model.pth"))
            hub.inject(Fault.drop(after=1000), path="model.pth")
            hf_hub_download("owner/repo", "model.pth", endpoint=hub.endpoint)
            assert [(asked.host, asked.method) for asked in hub.requests][:2] == [("hub", "HEAD"), ("cdn", "GET")]

    Repositories come to be when they are first named. LFS files (the default) are served as the Hub does: a
    redirect to another origin, the CDN, which must not be sent the token; other files by a relative redirect.
    Content given as a path is streamed from disk, so that size costs no memory; the file must stay as it is.

    The two origins differ in their port alone. depthhub follows that with every supported huggingface_hub; the
    download functions of some 1.x versions compare only host names and fail here on LFS files.

    `tokens`: the tokens that the hub knows; any other is refused, also where none is needed.
    """

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self._repositories: dict[tuple[RepoType, str], Repository] = {}
        self._reception = Reception()
        self._sites: tuple[Site, Site] | None = None

    def start(self) -> LocalHub:
        """Open the ports; `with` does it too."""
        if self._sites is None:
            hub = Site("hub", self._reception, self._answer_hub)
            cdn = Site("cdn", self._reception, self._answer_cdn)
            self._sites = (hub, cdn)
            hub.start()
            cdn.start()
        return self

    def close(self) -> None:
        """End all connections and threads, whatever they wait for. What the hub holds and logged stays."""
        for site in self._sites or ():
            site.close()
        self._sites = None

    def __enter__(self) -> LocalHub:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT should be: `http://127.0.0.1:port`."""
        return self._running()[0].origin

    @property
    def cdn(self) -> str:
        """The origin that downloads of LFS files are redirected to."""
        return self._running()[1].origin

    def add_file(
        self,
        repo_id: str,
        filename: str,
        data: bytes | os.PathLike[str],
        *,
        repo_type: RepoType = "model",
        revision: str = "main",
        lfs: bool = True,
    ) -> str:
        """Put a file on a branch (`revision`; a new one starts at `main`): the id of the commit, 40 hex.

        Any file name is taken, hostile ones too. The same history has the same ids on every machine.
        """
        blob = Blob.of(data if isinstance(data, bytes) else Path(data), lfs=lfs)
        return self._repository(repo_id, repo_type).change(filename, blob, branch=revision)

    def remove_file(self, repo_id: str, filename: str, *, repo_type: RepoType = "model", revision: str = "main") -> str:
        """Take a file off a branch: the id of the commit. Older commits still have it."""
        return self._repository(repo_id, repo_type).change(filename, None, branch=revision)

    def point(self, repo_id: str, ref: str, commit: str, *, repo_type: RepoType = "model") -> None:
        """Make or move a branch or tag, so that it names this commit. LookupError where there is none such."""
        repository = self._repository(repo_id, repo_type)
        if commit not in repository.commits:
            raise LookupError(f"{repo_id} has no commit {commit}")
        repository.refs[ref] = commit

    def gate(self, repo_id: str, *, repo_type: RepoType = "model", allow: Collection[str] | None = None) -> None:
        """Let only tokens in `allow` (None: any known token) at the files; the card stays public."""
        self._repository(repo_id, repo_type).gated = Access(None if allow is None else frozenset(allow))

    def hide(self, repo_id: str, *, repo_type: RepoType = "model", allow: Collection[str] | None = None) -> None:
        """Make it private: to all but tokens in `allow` (None: any known token) it does not exist."""
        self._repository(repo_id, repo_type).private = Access(None if allow is None else frozenset(allow))

    def inject(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        path: str | None = None,
        method: str | None = None,
        host: Host | None = None,
    ) -> None:
        """Let a fault strike the next `times` requests (None: all, until `heal`) that fit.

        path: a part of the URL's path, such as a file's name; method: `GET` or `HEAD`; host: `hub` or `cdn`.
        One fault strikes a request, the one that was injected first.
        """
        if times is not None and times < 1:
            raise ValueError(f"times={times} is less than one; None means every request")
        self._reception.inject(Injected(fault, times, path, method, host))

    def heal(self) -> None:
        """Forget the injected faults. Those that have struck go on."""
        self._reception.heal()

    @property
    def requests(self) -> list[LoggedRequest]:
        """What was asked so far, in order of arrival."""
        return self._reception.log

    def clear_log(self) -> None:
        self._reception.clear_log()

    def _repository(self, repo_id: str, repo_type: RepoType) -> Repository:
        return self._repositories.setdefault((repo_type, repo_id), Repository(repo_id, repo_type))

    def _answer_hub(self, request: Request) -> Answer:
        return hub_answer(request, self._repositories, self.tokens, self.cdn)

    def _answer_cdn(self, request: Request) -> Answer:
        return cdn_answer(request, self._repositories)

    def _running(self) -> tuple[Site, Site]:
        if self._sites is None:
            raise RuntimeError("the LocalHub is not running: use it in a `with`, or call start()")
        return self._sites
