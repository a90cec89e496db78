"""Original files: safe reading, config from shapes, key rules, layouts, conversion.

In the order of the story: `containers` opens a file and tells what it is, `reading` reads it (`zipped` finds its
members, `pickles` refuses code, `checksums` refuse damage, `unpickled` makes tensors of it, `legacy` does all of that
for torch's old format, `wrappers` unpacks it, `layouts` names its keys), `convert` makes it ours (`rules` rename,
`shapes` give the config, `cast` changes the dtype), `converted` writes and maps the result. `pieces` keeps torch from
waiting for threads. `recipe` and `hints` are plain data. What reads and converts imports torch.
"""
