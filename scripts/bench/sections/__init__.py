"""What is measured, a section each: `measure(bench)` runs it, `part(found, bench)` is what the report says of it."""
