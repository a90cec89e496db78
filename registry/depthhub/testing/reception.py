"""Where every request passes: faults that wait for it strike here, and the log is written."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from depthhub.testing.answers import Answer, Host, Request, Slice
from depthhub.testing.faults import Fault

_NO_FAULT = Fault()


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request that a LocalHub was asked.

    path: unquoted, without the query. host: `hub`, or `cdn` where downloads of LFS files are sent to.
    status: None if the client never saw one. range: the Range header. token: whether a token came along.
    fault: the fault that struck, if any. anew: whether it asked that no cache on the way answers.
    """

    method: str
    path: str
    query: str
    host: Host
    status: int | None
    range: str | None
    token: bool
    fault: Fault | None
    anew: bool = False


class Reception:
    """The log, and the faults that wait. Any thread may come."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._log: list[LoggedRequest] = []
        self._injected: list[Injected] = []

    @property
    def log(self) -> list[LoggedRequest]:
        with self._guard:
            return list(self._log)

    def clear_log(self) -> None:
        with self._guard:
            self._log.clear()

    def inject(self, injected: Injected) -> None:
        with self._guard:
            self._injected.append(injected)

    def heal(self) -> None:
        with self._guard:
            self._injected.clear()

    def receive(self, request: Request, answer: Answer) -> tuple[Answer, Fault]:
        """What really happens with a request: the first fault that fits strikes, and the log tells of it."""
        with self._guard:
            injected = next((waiting for waiting in self._injected if waiting.fits(request, answer)), None)
            if injected is not None and injected.use_up():
                self._injected.remove(injected)
            fault = injected.fault if injected else _NO_FAULT
            answer = fault.spoil(answer)
            self._log.append(
                LoggedRequest(
                    method=request.method,
                    path=request.path,
                    query=request.query,
                    host=request.host,
                    status=None if fault.silent else answer.status,
                    range=request.range,
                    token=request.token is not None,
                    anew=request.anew,
                    fault=injected.fault if injected else None,
                )
            )
        return answer, fault


@dataclass(slots=True, eq=False)
class Injected:
    """A fault that waits for requests. `times`: how many it strikes, None for all."""

    fault: Fault
    times: int | None
    path: str | None
    method: str | None
    host: Host | None

    def fits(self, request: Request, answer: Answer) -> bool:
        return (
            (self.path is None or self.path in request.path)
            and (self.method is None or self.method == request.method)
            and (self.host is None or self.host == request.host)
            and (not self.fault.of_content or _carries_content(request, answer))
        )

    def use_up(self) -> bool:
        """One request less: true if that was the last."""
        if self.times is None:
            return False
        self.times -= 1
        return self.times == 0


def _carries_content(request: Request, answer: Answer) -> bool:
    return request.method == "GET" and isinstance(answer.body, Slice)
