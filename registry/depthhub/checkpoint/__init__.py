"""Original files: safe reading, config from shapes, key rules, layouts, conversion."""
