"""The smallest application: one depth map. Its models are those of the lockfile that it was built with."""

import sys

import torch

from depthhub import from_pretrained

name = sys.argv[1] if len(sys.argv) > 1 else "vits"
model = from_pretrained(name)
depth = model.infer(torch.zeros(280, 280, 3, dtype=torch.uint8))
print(f"{name}: a depth map of {depth.shape[0]} x {depth.shape[1]}, by entry {model.provenance.key[:12]}")
