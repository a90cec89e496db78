"""A content-addressed store of weights: knows no depth model, no torch, no Hub."""
