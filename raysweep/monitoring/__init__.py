"""What Prometheus sees of a generate stage: the snapshot of its numbers, and their names as metrics."""
