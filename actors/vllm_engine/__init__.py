"""vLLM as an engine: a trace is one request, and its answers at token budgets are requests on its prefix."""
