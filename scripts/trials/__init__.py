"""The evidence: programs that try to break the cache, and count."""
