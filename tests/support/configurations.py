"""Small valid configurations, and the fake checkpoints and definition files that they need."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import BPE

from raysweep.checkpoints.tensors import all_tensors
from raysweep.configuration.architecture import read_architecture
from raysweep.configuration.config import conf_folder, read_config
from raysweep.run_config import RunConfig
from raysweep.spec import BF16, Benchmark, WeightSpec

ARCHITECTURE = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "intermediate_size": 96,
    "vocab_size": 128,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def write_checkpoint(folder: Path, **changes: Any) -> Path:
    """A checkpoint folder as far as raysweep looks at one; `changes` go into its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**ARCHITECTURE, **changes}))
    tokenizer_of_characters().save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    save_file(tensors_of(folder), folder / "model.safetensors")
    return folder


def tensors_of(folder: Path, weights: WeightSpec = BF16) -> dict[str, np.ndarray]:
    """Zeros for every tensor of which the folder's config.json speaks."""
    kinds = {"I32": np.int32, "F8_E4M3": np.uint8}
    expected = all_tensors(read_architecture(folder / "config.json"), weights)
    return {
        name: np.zeros(tensor.shape, kinds.get(tensor.dtype, np.float16))
        for name, tensor in expected
    }


def tokenizer_of_characters() -> Tokenizer:
    """A token a character, and one for `</think>`."""
    vocabulary = {character: index for index, character in enumerate(map(chr, range(10, 127)))}
    tokenizer = Tokenizer(BPE(vocabulary, merges=[]))
    tokenizer.decoder = Fuse()
    tokenizer.add_tokens(["</think>"])
    return tokenizer


def write_definition(folder: Path, kind: str, name: str, **values: Any) -> Path:
    """A definition file, in a folder such as --config-dir names."""
    file = folder / kind / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(values))
    return file


def write_models(folder: Path, *names: str) -> Path:
    """Fake models with their definitions; gives the folder to pass as --config-dir."""
    for name in names:
        write_checkpoint(folder / "models" / name)
        write_definition(folder / "mine", "model", name, family="tiny", path=f"models/{name}")
    return folder / "mine"


def valid_configuration() -> dict[str, Any]:
    """What Hydra might have composed; the models `small` and `large` come from `write_models`."""
    return {
        "out": "runs",
        "run": "test",
        "seed": 0,
        "stages": ["plan", "prepare", "generate", "reduce", "report"],
        "sweep": {
            "models": ["small", "large"],
            "weights": ["bf16"],
            "kv_policies": ["full", "streaming_llm-64"],
            "benchmarks": [{"name": "chain", "count": 4}, {"name": "facts", "count": 4}],
            "token_budgets": [16, 32, 64],
            "group_sizes": [1, 2],
            "batch_sizes": [1, 16],
            "samples": 4,
            "backend": "torch",
            "forcing": "plain",
            "control": False,
            "leave_out": [],
            "unfit": "refuse",
            "adaptive": None,
        },
        "prepare": {"checkpoints": "checkpoints", "calibration": "embedded"},
        "generation": {
            "max_rows": 8,
            "shard_minutes": 10,
            "shard_questions": 2,
            "shard_samples": 2,
            "max_attempts": 3,
            "hang_minutes": 15,
            "grace_s": 30,
        },
        "server": {
            "address": None,
            "model": None,
            "engines": None,
            "key_env": "RAYSWEEP_SERVER_KEY",
            "patience_minutes": 10,
        },
        "simulate": {"seed": 0, "faults": 0.01, "mean_length": 0.4, "length_spread": 0.8},
        "cluster": {
            "address": "local",
            "actors": 2,
            "cpus_per_actor": 1,
            "gpus_per_actor": 0,
            "gpu": None,
            "gpus": None,
            "gpus_per_node": None,
            "autoscaling": False,
            "send_code": False,
        },
        "show": {"model": None, "benchmark": None, "question": None},
        "verify": {"repair": False},
        "compare_with": None,
        "traces": {"engines": None, "samples": 2, "question": None},
        "publish": {"to": None, "traces": False, "samples": False, "license": None},
        "recommend": {
            "memory_gb": None,
            "gpu": None,
            "batch_size": None,
            "benchmark": None,
            "max_token_budget": None,
        },
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """The valid configuration with another value at a dotted path."""
    configuration = valid_configuration()
    *parents, key = path.split(".")
    section = configuration
    for parent in parents:
        section = section[parent]
    section[key] = value
    return configuration


def read(configuration: dict[str, Any], mine: Path) -> RunConfig:
    return read_config(configuration, [conf_folder(), mine])


def read_benchmark(mine: Path, **entry: Any) -> Benchmark:
    """The benchmark of a run that has only this one, and the model `small`."""
    configuration = changed("sweep.benchmarks", [entry])
    configuration["sweep"]["models"] = ["small"]
    return read(configuration, mine).sweep.benchmarks[0]
