"""GPTQ (arXiv 2210.17323) by gptqmodel: a model's large layers rounded to few bits, in groups.

The files are in the format that AutoGPTQ introduced and that transformers and vLLM load. The recipe
determines them. They are published complete, or not at all.

The model and the calibration texts stay in the host's memory, and one layer at a time is on the GPU. What is
killed begins again with the first layer: gptqmodel 7.6 keeps finished layers for Llama and Qwen3-MoE alone.
"""

import csv
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

from actors.checkpoint_files import local_folder, making
from actors.environment import take_over
from raysweep.checkpoints.calibration import check_enough
from raysweep.checkpoints.records import MakingTime, write_time
from raysweep.configuration.chat import read_chat
from raysweep.configuration.checkpoint_folder import inspect
from raysweep.planning.quantising import BATCH
from raysweep.recipe import Document, Recipe
from raysweep.spec import Checkpoint, Family, WeightSpec
from raysweep.storage.address import parted

# gptqmodel by default starts more workers than a small machine has, and compiles needlessly. It refuses to
# load a model with one worker.
LEAST_WORKERS = 2
ENVIRONMENT = {
    "GPTQMODEL_CPU_WORKERS": str(LEAST_WORKERS),
    "TORCH_COMPILE_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
LOG = "quant_log.csv"


def quantize(
    recipe: Recipe,
    checkpoint: Checkpoint,
    tell: Callable[[int], None] = lambda layers: None,
    session: str = "",
) -> dict[str, float]:
    """Make the checkpoint; returns its number of `layers` and the mean `loss` of their rounding.

    tell     called with the number of the model's layers that are done
    session  as in `making`

    Raises ValueError (ConfigError) for too little calibration text, and all errors of gptqmodel.
    """
    os.environ.update(ENVIRONMENT)
    source = os.path.abspath(local_folder(Checkpoint(recipe.model.path, recipe.model.revision)))
    with making(checkpoint, session) as folder:
        with chdir(folder):  # gptqmodel writes logs into the working directory
            run_gptq(recipe, source, folder.absolute(), tell)
        losses = tidy(folder)
        found = inspect(folder, "quantised")
        if (found.architecture, found.weights) != (recipe.model.architecture, recipe.weights):
            raise RuntimeError(f"gptqmodel wrote {found.weights} instead of {recipe.weights}")
    return {"layers": len(losses), "loss": sum(losses) / len(losses)}


def quantize_in_steps(
    recipe: Recipe,
    checkpoint: Checkpoint,
    session: str,
    documents: Sequence[Document] | None = None,
    modelled_s: float = 0.0,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[int]:
    """Make the checkpoint. Yields the number of layers that are done, each time that it grows.

    documents   the calibration texts, if the recipe has not read them
    modelled_s  what the time model says; it is put on record with the time that was taken
    variables   of the environment, such as a token of the hub, where this process lacks them
    """
    take_over(variables)
    if documents is not None:
        calibration = replace(recipe.calibration, documents=tuple(documents))
        recipe = replace(recipe, calibration=calibration)
    started = time.perf_counter()
    layers: SimpleQueue[int | None] = SimpleQueue()
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(quantize, recipe, checkpoint, layers.put, session)
        work.add_done_callback(lambda _: layers.put(None))
        while (done := layers.get()) is not None:
            yield done
        work.result()
    taken = MakingTime(time.perf_counter() - started, modelled_s, on_gpu=device() == "cuda")
    write_time(*parted(checkpoint.path), taken)


def run_gptq(recipe: Recipe, source: str, folder: Path, tell: Callable[[int], None]) -> None:
    """Quantise the model in the folder `source` and save it."""
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    torch.manual_seed(0)
    settings = QuantizeConfig(**settings_of(recipe.weights))
    most, documents = recipe.calibration.tokens, recipe.calibration.documents
    examples = [ids[:most] for ids in encoded(Path(source), documents, recipe.model.family)]
    check_enough(sum(map(len, examples)), recipe.model.architecture, "prepare.calibration")
    model: Any = GPTQModel.load(
        source, settings, dtype=torch.bfloat16, device=device(), trust_remote_code=False
    )
    finished: set[int] = set()

    def layer_complete(layer_idx: int, submodule_finalized: bool) -> None:
        if layer_idx not in finished:  # gptqmodel calls this twice per layer
            finished.add(layer_idx)
            tell(len(finished))

    model.layer_callback = layer_complete
    model.quantize(
        [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in examples], batch_size=BATCH
    )
    model.save(str(folder))


def settings_of(weights: WeightSpec) -> dict[str, Any]:
    """gptqmodel's settings: those of the precision, and those that keep a GPU's memory small."""
    return {
        "bits": weights.bits,
        "group_size": weights.group_size,
        "sym": weights.symmetric,
        "desc_act": weights.act_order,
        # Otherwise the activations of all texts would follow each layer to the GPU.
        "calibration_data_device": "cpu",
        # Otherwise several visible GPUs would each hold a copy of the layer.
        "auto_forward_data_parallel": False,
        # Finished layers on disk saved no memory: saving the model brings them back (measured, 7.6.0).
        "offload_to_disk": False,
    }


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def encoded(folder: Path, documents: Iterable[Document], family: Family) -> list[list[int]]:
    """The documents' tokens: a question in the model's chat template and its answer, or a plain text."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    chat = read_chat(folder, "prepare.calibration")
    texts = [
        chat.prompt(d.prompt, family) + continued(d.text, family) + tokenizer.eos_token
        if d.prompt
        else d.text
        for d in documents
    ]
    return [tokenizer.encode(text, add_special_tokens=False) for text in texts]


def continued(text: str, family: Family) -> str:
    """A text as it follows a prompt, which has opened the thinking if the family opens it."""
    opener = family.think_open.strip()
    return text.removeprefix(opener).lstrip() if opener and text.startswith(opener) else text


def tidy(folder: Path) -> list[float]:
    """Remove logs and traces of the machine, keep what a model is loaded from; the layers' losses."""
    with (folder / LOG).open() as log:
        losses = [float(row["loss"]) for row in csv.DictReader(log)]
    (folder / LOG).unlink()
    shutil.rmtree(folder / "logs", ignore_errors=True)
    for name in ("config.json", "quantize_config.json"):
        content = json.loads((folder / name).read_text())
        settings = content.get("quantization_config", content)
        settings["meta"] = {"quantizer": settings["meta"]["quantizer"]}
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    return losses
