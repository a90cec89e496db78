"""Times of files as dates: by a clock gone wrong, some file systems keep such as no calendar has."""

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # the first second of year 1, and the last of 9999


def date_of(moment: float) -> datetime:
    """The date of a time (seconds, Unix), in UTC; the first or the last there is for one before or after them."""
    return _EPOCH + timedelta(seconds=min(max(moment, _FIRST), _LAST))
