"""GPTQ compared with rounding to nearest, on held-out text: `python -m actors.tiny.rounding`.

Both use the same grid: symmetric, with one 16-bit scale per group of 32 input features. The measure is the
divergence KL(16 bit || quantised) of the next token's distribution, in nats, mean over all tokens.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from actors.quantize import encoded
from actors.tiny.quantize import BITS, GROUP_SIZE
from actors.tiny.train import SIZES
from actors.torch_engine.weights import load_model
from raysweep.checkpoints import calibration
from raysweep.configuration.config import conf_folder
from raysweep.spec import Family, Sampling

HELD_OUT_SEED = 1000  # differs from the seed in conf/calibration/embedded.yaml
DOCUMENTS = 128
CPU = torch.device("cpu")


def rounded(weight: torch.Tensor, bits: int, group_size: int) -> torch.Tensor:
    """The weight [outputs, inputs], each number rounded to the nearest point of its group's grid."""
    groups = weight.float().unflatten(1, (-1, group_size))
    most, middle = 2**bits - 1, 2 ** (bits - 1)
    scale = (2 * groups.abs().amax(-1, keepdim=True) / most).half().float()
    codes = (groups / scale).nan_to_num().round().add(middle).clamp(0, most)
    return ((codes - middle) * scale).flatten(1).to(weight.dtype)


def round_to_nearest(model: nn.Module, bits: int, group_size: int) -> nn.Module:
    """A copy of the model whose large linear layers are rounded."""
    model = copy.deepcopy(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and "layers" in name:
            module.weight.data = rounded(module.weight.data, bits, group_size)
    return model


@torch.inference_mode()
def divergence(model: Any, reference: Any, documents: list[list[int]]) -> float:
    """KL(reference || model) in nats per token, mean over all tokens of the documents."""
    total, tokens = 0.0, 0
    for document in documents:
        ids = torch.tensor([document])
        ours = model(input_ids=ids).logits[0].log_softmax(-1)
        truth = reference(input_ids=ids).logits[0].log_softmax(-1)
        total += functional.kl_div(ours, truth, log_target=True, reduction="sum").item()
        tokens += len(document)
    return total / tokens


def card_rows() -> Iterator[str]:
    """Markdown rows: one per model, with GPTQ and rounding to nearest at each number of bits."""
    models = conf_folder().parent / "models"
    for name in SIZES:
        tokens = held_out(models / name, DOCUMENTS)
        plain = load_model(str(models / name), torch.float32, CPU)
        cells = []
        for bits in BITS:
            gptq = quantized_folder(models, name, bits)
            for model in (
                load_model(gptq, torch.float32, CPU),
                round_to_nearest(plain, bits, GROUP_SIZE),
            ):
                cells.append(f"{divergence(model, plain, tokens):.4f}")
        yield f"| {name} | " + " | ".join(cells) + " |"


def held_out(folder: Path, count: int) -> list[list[int]]:
    """Worked problems that are in no calibration, as tokens."""
    documents = calibration.embedded(count, HELD_OUT_SEED)
    return encoded(folder, documents, Family("tiny", Sampling(1.0)))


def quantized_folder(models: Path, name: str, bits: int) -> str:
    return str(models / "quantized" / f"{name}-gptq{bits}-g{GROUP_SIZE}")


def main() -> None:
    torch.set_num_threads(1)
    kinds = [f"{bits} bit {how}" for bits in BITS for how in ("GPTQ", "nearest")]
    print("| model | " + " | ".join(kinds) + " |", "|" + " --- |" * (1 + len(kinds)), sep="\n")
    for row in card_rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
