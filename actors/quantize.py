"""GPTQ (arXiv 2210.17323) by gptqmodel: a model's large layers rounded to few bits, in groups.

The files are in the format that AutoGPTQ introduced and that transformers and vLLM load. The recipe
determines them. They are published complete, or not at all.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from actors.checkpoint_files import local_folder, making
from raysweep.checkpoints.calibration import check_enough
from raysweep.configuration.chat import read_chat
from raysweep.configuration.checkpoint_folder import inspect
from raysweep.recipe import Document, Recipe
from raysweep.spec import Checkpoint, Family

# gptqmodel by default starts more workers than a small machine has, and compiles needlessly.
ENVIRONMENT = {
    "GPTQMODEL_CPU_WORKERS": "2",
    "TORCH_COMPILE_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
BATCH = 8  # calibration documents per forward pass
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


def quantize_in_steps(recipe: Recipe, checkpoint: Checkpoint, session: str) -> Iterator[int]:
    """Make the checkpoint. Yields the number of layers that are done, each time that it grows."""
    layers: SimpleQueue[int | None] = SimpleQueue()
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(quantize, recipe, checkpoint, layers.put, session)
        work.add_done_callback(lambda _: layers.put(None))
        while (done := layers.get()) is not None:
            yield done
        work.result()


def run_gptq(recipe: Recipe, source: str, folder: Path, tell: Callable[[int], None]) -> None:
    """Quantise the model in the folder `source` and save it."""
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    torch.manual_seed(0)
    weights = recipe.weights
    settings = QuantizeConfig(
        bits=weights.bits,
        group_size=weights.group_size,
        sym=weights.symmetric,
        desc_act=weights.act_order,
        offload_to_disk=False,
    )
    most, documents = recipe.calibration.tokens, recipe.calibration.documents
    examples = [ids[:most] for ids in encoded(Path(source), documents, recipe.model.family)]
    check_enough(sum(map(len, examples)), recipe.model.architecture, "prepare.calibration")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = GPTQModel.load(
        source, settings, dtype=torch.bfloat16, device=device, trust_remote_code=False
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


def encoded(folder: Path, documents: Iterable[Document], family: Family) -> list[list[int]]:
    """The documents' tokens: a question in the model's chat template and its answer, or a plain text."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    chat = read_chat(folder, "prepare.calibration")
    texts = [
        chat.prompt(d.prompt, family) + d.text + tokenizer.eos_token if d.prompt else d.text
        for d in documents
    ]
    return [tokenizer.encode(text, add_special_tokens=False) for text in texts]


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
