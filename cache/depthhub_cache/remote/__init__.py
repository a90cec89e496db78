"""A remote tier: a shared store of entries on anything that fsspec reaches, or in a mounted folder.

It is read by all the machines of a fleet, and filled by a job that is trusted. Its layout is flat and plain, so that
any web server, a CDN, or the assets of a release can serve it:

    <remote>/<key>.json                    the record of an entry, sealed, byte by byte as it was published
    <remote>/<sha256>.safetensors          weights, named by their own sha256

Weights are put there first, and the record behind them: an entry without a record is not there, so one that is half
uploaded is never seen. Objects do not change. Those that push the same entry at once do no harm to each other, even
where their bytes differ: each has its weights, and one of them its record.

What is trusted: who may write into the remote decides which numbers its readers get. The record says the sha256 of the
weights, and every byte of them is compared with it; it cannot bring code, only numbers. But a record is sealed, not
signed: whoever needs to know that the numbers are those that he saw once pins their sha256, and compares it in `check`.

`store.py` tells the story; `errands.py` keeps the limits of time; `folder.py` and `objects.py` are the two kinds.
"""

from .store import RemoteStore

__all__ = ["RemoteStore"]
