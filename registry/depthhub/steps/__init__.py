"""The steps of the story that `loading.py` tells, one file each, in the order of the call."""
