"""Bundles: entries and refs of a cache as one file, for machines without a network.

    bundle.json                          sealed: what follows, with sizes and digests, in order
    entries/<key>/entry.json             for each entry, by key: its record
    entries/<key>/weights.safetensors    and its weights
    refs/<sha256 of the name>.json       for each ref, by the sha256 of its name

The same entries and refs are the same bytes, whoever packs them and whenever. Both ways stream: no second copy is made
on the disk, and memory does not grow with the weights. Each member must be the one that the manifest promises next, of
the size and the sha256 that it promises, and an entry is published only when it is wholly verified.

What that does not give: a bundle is not signed. One that somebody forged altogether, with digests to match, is as
trustworthy as who sent it. It cannot bring code, only numbers, but those may be wrong ones: compare the sha256 of the
archive with the one that the export gave, by a way that you trust.
"""
