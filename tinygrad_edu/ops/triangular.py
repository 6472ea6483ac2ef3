"""triangular."""
