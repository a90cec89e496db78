"""Whether a process runs, and since when: the answers of each system."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
    _STILL_ACTIVE = 259
    _INVALID_PARAMETER = 87  # the answer of OpenProcess for a pid that nobody has

    def _open(pid: int) -> tuple[int | None, int]:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        kernel.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
        handle = kernel.OpenProcess(_QUERY, False, pid)
        return handle, ctypes.get_last_error()

    def _close(handle: int) -> None:
        kernel = ctypes.WinDLL("kernel32")
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]
        kernel.CloseHandle(handle)

    def is_running(pid: int) -> bool:
        # os.kill(pid, 0) would interrupt or end the process here
        handle, error = _open(pid)
        if not handle:
            return error != _INVALID_PARAMETER
        try:
            code = wintypes.DWORD()
            kernel = ctypes.WinDLL("kernel32")
            kernel.GetExitCodeProcess.argtypes = [wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD)]
            return not kernel.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value == _STILL_ACTIVE
        finally:
            _close(handle)

    def start_of(pid: int) -> int | None:
        handle, _ = _open(pid)
        if not handle:
            return None
        try:
            times = [wintypes.FILETIME() for _ in range(4)]
            kernel = ctypes.WinDLL("kernel32")
            kernel.GetProcessTimes.argtypes = [wintypes.HANDLE] + [ctypes.POINTER(wintypes.FILETIME)] * 4
            if not kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times)):
                return None
            return (times[0].dwHighDateTime << 32) | times[0].dwLowDateTime
        finally:
            _close(handle)

else:
    _PROC = Path("/proc")

    def is_running(pid: int) -> bool:
        if pid <= 0:  # to the system that is a group of processes, and nobody's own number
            return False
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:  # another user's
            return True
        # what was killed and not yet waited for writes no more
        return _status_of(pid)[:1] not in (["Z"], ["X"])

    def start_of(pid: int) -> int | None:
        """Clock ticks since boot on Linux; None elsewhere, where no cheap way is known."""
        fields = _status_of(pid)
        return int(fields[19]) if len(fields) > 19 else None

    def _status_of(pid: int) -> list[str]:
        """The fields of /proc/<pid>/stat from the state on (proc(5)); empty where nothing tells of it."""
        with suppress(OSError):
            if (_PROC / "self").readlink().name != str(os.getpid()):  # it has the pids of another namespace
                return []
            text = (_PROC / str(pid) / "stat").read_text(errors="replace")
            return text.rpartition(")")[2].split()  # the command before it may hold blanks and parentheses
        return []
