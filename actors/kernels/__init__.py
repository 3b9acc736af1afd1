"""GPU kernels in Triton, one per file: what the torch engine launches on CUDA instead of torch's operations.

Each file opens with its formula and the bytes that it moves. Each kernel has a twin in plain torch, which a
CPU runs, and which the tests compare it with in Triton's interpreter. Only code that runs on CUDA imports
this room, because torch's CPU build comes without Triton.
"""
