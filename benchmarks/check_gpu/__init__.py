"""Runs the policy engine on one GPU: are its kernels right, how fast is it, and does a sweep run on it?

    python -m benchmarks.check_gpu              at most eight minutes on an NVIDIA GPU
    python -m benchmarks.check_gpu --dry-run    the same code on a CPU, in a minute; its times mean nothing

    kernels  each kernel beside its twin in plain torch, at Qwen3-8B's shapes, and its share of the bandwidth
    decode   random models in the shape of Qwen3, beside the plan's speed and memory, and beside vLLM
    engines  the shipped models' answers on the GPU, beside a CPU's and vLLM's
    sweep    a sweep whose engines share the GPU

Each part has a process of its own and ends on time. `check-gpu.md` and `check-gpu.json` have a row for all
that was to be checked, also for what failed or was not reached.
"""
