"""Run by `make test-real` in the environment that has vLLM."""

from with_vllm.conftest import make_engine

__all__ = ["make_engine"]
