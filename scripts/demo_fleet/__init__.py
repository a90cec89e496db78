"""A trusted job, a store that speaks S3, and machines that need no Hub: `__main__.py` tells the story."""
