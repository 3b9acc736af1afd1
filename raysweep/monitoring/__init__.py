"""What Prometheus sees of a generate stage: a snapshot of its numbers, and their names as metrics."""
