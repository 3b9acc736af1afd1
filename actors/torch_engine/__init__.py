"""raysweep's own engine: continuous batching over `actors.kv_cache`, with forks at token budgets."""
