"""What this process takes of the memory, as Linux tells it; nothing where it does not."""

from __future__ import annotations

from pathlib import Path

_ROLLUP, _STATUS, _RESET = Path("/proc/self/smaps_rollup"), Path("/proc/self/status"), Path("/proc/self/clear_refs")
_KINDS = {"Rss": "rss", "Pss": "pss", "Private_Dirty": "private", "VmHWM": "peak"}


def usage(*, forget_peak: bool) -> dict[str, int]:
    """Bytes. rss: in memory; pss: the same, with what is shared divided by those who share it; private: written to by
    this process alone, a copy that nobody can share; peak: most that was ever in memory, or since it was forgotten.
    """
    try:
        if forget_peak:
            _RESET.write_text("5")
        lines = (_STATUS.read_text() + _ROLLUP.read_text()).splitlines()
    except OSError:
        return {}
    named = (line.partition(":") for line in lines)
    return {_KINDS[name]: int(rest.split()[0]) * 1024 for name, _, rest in named if name in _KINDS}
