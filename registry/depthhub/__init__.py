"""depthhub: from a name to a Depth-Anything model."""
