"""GPTQ of a real model by the stage prepare: better than rounding, and read as the file's words say.

The oracle unpacks the words of the file by itself, as the format of AutoGPTQ defines them, and puts the
weights into transformers' model.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from with_real_model.real_model import held_out, reference, spread

from actors.torch_engine.model import load_decoder

BITS, GROUP = 4, 64
PER_WORD = 32 // BITS


def with_weights(change: Callable[[str, torch.Tensor], torch.Tensor]) -> Any:
    """transformers' model with each large linear layer's weights [outputs, inputs] changed."""
    model = copy.deepcopy(reference())
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.weight.data = change(name, module.weight.data)
    return model


def rounded(_: str, weight: torch.Tensor) -> torch.Tensor:
    """Each weight rounded to the nearest of 16 levels of its group."""
    groups = weight.unflatten(-1, (-1, GROUP))
    scale = groups.abs().amax(-1, keepdim=True) * 2 / (2**BITS - 1)
    half = 2 ** (BITS - 1)
    return ((groups / scale).round().clamp(-half, half - 1) * scale).flatten(-2)


def unpacked(folder: Path) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """Each weight as the words of the files say: (code - zero) * scale of its group."""
    tensors = {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}
    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    offset = 1 if settings.get("checkpoint_format", settings.get("format")) == "gptq" else 0

    def codes(words: torch.Tensor, axis: int) -> np.ndarray:
        unsigned = words.numpy().astype(np.uint32)
        parts = [(unsigned >> (BITS * place)) & (2**BITS - 1) for place in range(PER_WORD)]
        shape = [PER_WORD * n if i == axis else n for i, n in enumerate(unsigned.shape)]
        return np.stack(parts, axis + 1).reshape(shape).astype(np.int32)

    def change(name: str, _: torch.Tensor) -> torch.Tensor:
        group = tensors[f"{name}.g_idx"].long()  # of each input
        code = torch.tensor(codes(tensors[f"{name}.qweight"], axis=0))  # [inputs, outputs]
        zero = torch.tensor(codes(tensors[f"{name}.qzeros"], axis=1)) + offset
        scale = tensors[f"{name}.scales"].float()
        return ((code - zero[group]).float() * scale[group]).T.contiguous()

    return change


def losses(model: Any) -> torch.Tensor:
    """Mean negative logarithm of the next token's probability, per held-out segment of 192 tokens."""
    tokens = torch.tensor(spread(held_out(192), 12))
    with torch.inference_mode():
        found = model(tokens).logits[:, :-1].log_softmax(-1)
    return -found.gather(-1, tokens[:, 1:, None]).mean((1, 2))


def test_gptq_loses_less_than_rounding_to_the_nearest(checkpoint: Path):
    plain, nearest = losses(reference()), losses(with_weights(rounded))
    gptq = losses(with_weights(unpacked(checkpoint)))
    for name, found in (("bf16", plain), ("gptq", gptq), ("rounded", nearest)):
        print(f"{name}: perplexity {found.mean().exp():.2f}")
    gained = nearest - gptq
    assert gained.mean() > 2 * gained.std() / len(gained) ** 0.5
    assert gptq.mean() > plain.mean()


def test_the_engines_logits_are_those_of_weights_unpacked_independently(checkpoint: Path):
    """In 32 bit throughout, so that only the order of additions differs. Logits deviate by some 3."""
    (tokens,) = spread(held_out(512), 1)
    decoder = load_decoder(str(checkpoint), torch.float32, torch.device("cpu"))
    _, found = decoder.prefill(tokens)
    with torch.inference_mode():
        expected = with_weights(unpacked(checkpoint))(torch.tensor([tokens])).logits[0, -1]
        other = reference()(torch.tensor([tokens])).logits[0, -1]
    assert (found - expected).abs().max() < 0.05
    assert (found - other).abs().max() > 1  # not the weights that were not quantised
