"""What making a quantised checkpoint takes: time, memory of the host, memory of a GPU.

The time is a rough model of GPTQ (arXiv 2210.17323). For each layer it runs the calibration texts twice,
adds up a Hessian for each linear layer, and rounds the weights column by column:

    forward   4 * weights * tokens FLOPs, in 16 bit
    Hessians  2 * inputs^2 * tokens FLOPs per linear layer, in 32 bit (gptqmodel switches TF32 off)
    rounding  SOLVE_S seconds per weight, scaled by the memory's bandwidth

SOLVE_S is what the paper's 4 hours for OPT-175B on an A100 leave after the other two. Measured times of
finished makings correct the model. Memory is an allowance: gptqmodel loads the model into the host's memory
in 16 bit, and one layer at a time goes to the GPU.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_high

from raysweep.checkpoints.tensors import linears
from raysweep.memory import CONTEXT_BYTES, NATIVE_BYTES, PROCESS_BYTES, architecture_bytes
from raysweep.planning.speed import FLOPS_EFFICIENCY
from raysweep.recipe import Recipe
from raysweep.run_config import Cluster, Gpu
from raysweep.spec import BF16

SOLVE_S = 8e-9
SOLVE_BANDWIDTH = 2039e9  # bytes per second of the paper's A100
HESSIAN_EFFICIENCY = 0.7
# A GPU without a known speed in 32 bit is taken to have this share of its speed in 16 bit.
FP32_SHARE = 1 / 16
# Measured with SmolLM2-135M: 109 s on two cores for 16,384 tokens.
CPU_FLOPS_S = 50e9
# Documents that gptqmodel runs through a layer at a time.
BATCH = 8
# Copies of a Hessian in 32 bit while its inverse is computed.
HESSIAN_COPIES = 4
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Work:
    """Making one checkpoint: FLOPs by kind, weights to round, and bytes of memory.

    kept_bytes   of the process, the model in 16 bit and all texts' activations, in the host's memory
    layer_bytes  of the layer at work with its Hessians and a batch, where it is computed
    """

    forward_flops: float
    hessian_flops: float
    weights: int
    kept_bytes: int
    layer_bytes: int

    @property
    def gpu_bytes(self) -> int:
        """Memory of a GPU that holds the layer at work."""
        return CONTEXT_BYTES + self.layer_bytes

    def host_bytes(self, on_gpu: bool) -> int:
        """Memory of the host, which holds the layer at work too unless a GPU does."""
        return self.kept_bytes + (0 if on_gpu else self.layer_bytes)

    def seconds(self, gpu: Gpu | None, cpus: float = 1.0) -> float:
        """The time on a GPU, or on so many cores of a CPU. Rough."""
        if gpu is None:
            return (self.forward_flops + self.hessian_flops) / (CPU_FLOPS_S * max(1.0, cpus))
        fp32 = gpu.fp32_flops_s or gpu.flops_s * FP32_SHARE
        return (
            self.forward_flops / (gpu.flops_s * FLOPS_EFFICIENCY)
            + self.hessian_flops / (fp32 * HESSIAN_EFFICIENCY)
            + self.weights * SOLVE_S * SOLVE_BANDWIDTH / gpu.bandwidth_bytes_s
        )


def work_of(recipe: Recipe) -> Work:
    """What making the checkpoint of a recipe takes, if each of its texts has all of its tokens."""
    a, calibration = recipe.model.architecture, recipe.calibration
    tokens, layer = calibration.count * calibration.tokens, linears(a)
    weights = sum(linear.inputs * linear.outputs for linear in layer)
    squares = [linear.inputs**2 for linear in layer]
    # The inputs and outputs of a layer for all texts.
    activations = 2 * tokens * a.hidden_size * NATIVE_BYTES
    # Both kinds of device hold a layer's weights in 16 and 32 bit, its Hessians, and a batch.
    features = 4 * a.hidden_size + 3 * a.intermediate_size + 2 * a.heads * a.head_dim
    batch = min(BATCH, calibration.count) * calibration.tokens * features * NATIVE_BYTES
    hessians = FLOAT_BYTES * (sum(squares) + HESSIAN_COPIES * max(squares))
    at_work = (NATIVE_BYTES + FLOAT_BYTES) * weights + hessians + batch
    model = architecture_bytes(a, BF16)
    return Work(
        forward_flops=4.0 * a.layers * weights * tokens,
        hessian_flops=2.0 * a.layers * sum(squares) * tokens,
        weights=a.layers * weights,
        kept_bytes=PROCESS_BYTES + model + activations,
        layer_bytes=at_work,
    )


def best_gpu(work: Work, cluster: Cluster) -> Gpu | None:
    """The fastest known kind of GPU of the cluster that holds the work. None if there is none."""
    able = [gpu for gpu in cluster.kinds if gpu.memory_bytes >= work.gpu_bytes]
    return min(able, key=work.seconds, default=None)


def slowness(measured: Iterable[tuple[float, float]]) -> float:
    """The median of measured divided by modelled seconds, of pairs of the two; 1 without any."""
    ratios = [seconds / modelled for seconds, modelled in measured if modelled > 0]
    return median_high(ratios) if ratios else 1.0
