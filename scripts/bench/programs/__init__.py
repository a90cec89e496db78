"""What `probe.py` runs in a fresh process, a program each.

A program has `run(given)`, which is what is timed; it gives back a model, tensors, or whatever it has.
`tensors(result)` are the weights that it then holds, and `forward(result, pixels)` is one depth map, where there are
such things.
"""
