"""Bytes over HTTP, bounded and verified. Knows the Hub's protocol, not the Hub's client: `hub.py` hands that in.

`line` makes one GET, `refusals` reads the answers that are none, `attempts` decides about the next try, `fetching`
gets a whole file out of them. `remote` and `setback` are plain data.
"""
