"""A release: packages, converted checkpoints and what proves them, from a tag to the assets that people download."""
