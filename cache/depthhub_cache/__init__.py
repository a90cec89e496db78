"""A content-addressed store of weights that survives kills, full disks, lying locks and hostile input.

    from pathlib import Path
    from depthhub_cache.identity import make_key
    from depthhub_cache.store import Store

    store = Store(Path("cache"))
    key = make_key(sha256_of_the_source, {"recipe": "of your own"})
    entry = store.get(key)                                # takes no lock, needs no write
    if entry is None:
        with store.lock(key), store.stage() as staging:
            with staging.file("weights.safetensors") as file:
                file.write(converted)
            entry = store.publish(key, staging, about={"from": "here"})
    entry.weights                                         # a whole file, for as long as anybody has it open

It knows no model, no torch and no Hub; of other packages it needs filelock alone. `store.py` says what can be done.
"""
