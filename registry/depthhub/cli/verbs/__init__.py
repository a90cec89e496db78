"""One file per verb: `add_arguments(parser)` says what may be typed, `run(args, console)` does it.

A verb below another has both names: `depthhub cache info` is `cache_info.py`. `run` prints data to stdout, messages
through the console, and gives back an ExitCode; errors go to `main`.
"""
