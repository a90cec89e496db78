"""Original files: safe reading, config from shapes, key rules, layouts, conversion.

In the order of the story: `reading` opens a file (`containers` tells what it is, `zipped` finds its members, `pickles`
refuses code, `checksums` refuse damage, `unpickled` makes tensors of it, `wrappers` unpacks it, `layouts` names its
keys), `convert` makes it ours (`rules` rename, `shapes` give the config), `converted` writes and maps the result.
`recipe` and `hints` are plain data. Only `reading`, `unpickled`, `wrappers` and `convert` import torch.
"""
