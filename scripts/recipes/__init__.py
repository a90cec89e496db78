"""The recipes of docs/deploy.md, run as they are printed. `scripts/try-recipes` is the way in."""
