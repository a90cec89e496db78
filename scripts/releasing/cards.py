"""The card of a converted model: what it is, of what and how it was made, and how to load it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from depthhub.catalog import CatalogEntry
from depthhub.lockfile import FILE_NAME, LockedModel

from .release import Release


def card(model: LockedModel, known: CatalogEntry, files: Mapping[str, str], licence_file: str, release: Release) -> str:
    """Markdown. known: what the catalog says of `model`; files: what it is called in the release.

    licence_file: with the text of its licence.
    """
    what = f"{known.family}, {known.encoder}" if known.encoder else known.family
    name, kind = model.name, "space" if model.repo_type == "space" else "model"
    depth = model.recipe.build.max_depth
    output = "relative inverse depth, near is large" if depth is None else f"metres up to {depth:g}, far is large"
    notes = [note for note in (known.licence_note, known.notes) if note]
    return f"""# {name}

{what}; output: {output}. Converted by depthhub {release.tag} from the checkpoint that its
authors released. These are their weights, not ours.

| | |
|---|---|
| licence of the weights | {model.licence} |
| source repository | `{model.repo_id}` ({kind} on the Hugging Face Hub) |
| commit | `{model.commit}` |
| checkpoint | `{model.filename}`, {model.size:,} bytes |
| sha256 of the checkpoint | `{model.sha256}` |
| recipe | `{json.dumps(model.recipe.to_json(), sort_keys=True)}` |
| key | `{model.key}` |
| converted weights | `{files["weights"]}`, {model.weights_size:,} bytes |
| sha256 of the converted weights | `{model.weights_sha256}` |

What was changed: the tensors have other names, and the position embedding is in two parts. The numbers are the
checkpoint's, and the conversion can be undone without a loss. The text of the licence is
`{licence_file}`, beside this file.
{"".join(f"{chr(10)}{note}{chr(10)}" for note in notes)}
## How to load it

From this release, with depthhub (`pip install 'depthhub[http]'`):

```console
$ curl -LO {release.remote}/{FILE_NAME}
$ export DEPTHHUB_LOCKFILE={FILE_NAME} DEPTHHUB_REMOTE={release.remote}
$ python -c 'from depthhub import from_pretrained; print(from_pretrained("{name}").config)'
```

On a machine without a network, from the one file `{files["bundle"]}`:

```console
$ depthhub cache import {files["bundle"]}
$ HF_HUB_OFFLINE=1 depthhub path {name}
```

## How to check it

```console
$ sha256sum --check --ignore-missing SHA256SUMS
$ gh attestation verify {files["weights"]} --repo {release.repository}
```
"""
