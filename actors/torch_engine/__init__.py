"""The engine of our own: continuous batching over `actors.kv_cache`, with forks at token budgets."""
