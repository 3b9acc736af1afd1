"""An OpenAI-compatible server as an engine: a trace is a request, its answers are requests on its prefix."""
