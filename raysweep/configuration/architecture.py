"""Reads a checkpoint's config.json: the decoder's numbers and the precision of its large layers.

Quantised checkpoints name their precision in `quantization_config`. AutoGPTQ and AutoAWQ wrote it to a
separate file.
"""

from pathlib import Path
from typing import Any

from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, unknown
from raysweep.spec import BF16, Architecture, WeightSpec
from raysweep.system.json_text import parsed_json

# The known values of model_type, and whether each normalises queries and keys.
QK_NORM = {"qwen3": True, "qwen2": False, "llama": False}
# AutoGPTQ and AutoAWQ wrote these files without a method, so the file's name tells it.
QUANTIZATION_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
# Ten times as many as the deepest models have.
MOST_LAYERS = 10_000
METHODS = ("gptq", "awq", "fp8")
GPTQ_FORMATS = (None, "gptq", "gptq_v2")


def read_architecture(file: Path) -> Architecture:
    """The decoder that a config.json describes."""
    return architecture_of(Fields(f"{file}: ", read_json(file)))


def architecture_of(fields: Fields) -> Architecture:
    """The decoder whose numbers stand in `fields` under the names that transformers uses."""
    model_type = fields.values.get("model_type")
    if not isinstance(model_type, str) or model_type not in QK_NORM:
        raise unknown(fields.at("model_type"), model_type, "architecture", QK_NORM)
    hidden_size, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    defaults = {
        "num_key_value_heads": heads,
        "head_dim": hidden_size // heads,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
    }
    given = {key: value for key, value in fields.values.items() if value is not None}
    fields = Fields(fields.prefix, {**defaults, **given})
    if fields.flag("mlp_bias"):
        raise ConfigError(
            f"{fields.at('mlp_bias')}: feed-forward biases are not supported; use another model"
        )
    bias = fields.flag("attention_bias")
    return Architecture(
        hidden_size=hidden_size,
        layers=fields.integer("num_hidden_layers", most=MOST_LAYERS),
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads"),
        head_dim=fields.integer("head_dim"),
        intermediate_size=fields.integer("intermediate_size"),
        vocab_size=fields.integer("vocab_size"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        context=fields.integer("max_position_embeddings"),
        qk_norm=QK_NORM[model_type],
        qkv_bias=bias or model_type == "qwen2",
        o_bias=bias and model_type != "qwen2",
    )


def read_precision(folder: Path) -> WeightSpec:
    """The precision of the checkpoint's large layers. It is 16 bit unless its files say otherwise."""
    settings = _settings(folder)
    return BF16 if settings is None else _precision(settings)


def zero_offset(folder: Path) -> int:
    """The number that a GPTQ file's format subtracts from zero points before it packs them."""
    settings = _settings(folder)
    return 0 if settings is not None and _gptq_format(settings) == "gptq_v2" else 1


def _settings(folder: Path) -> Fields | None:
    """The checkpoint's quantisation settings, from config.json or the files of AutoGPTQ and AutoAWQ."""
    file = folder / "config.json"
    config = read_json(file)
    if isinstance(config.get("quantization_config"), dict):
        return Fields(f"{file}: quantization_config.", config["quantization_config"])
    for name, method in QUANTIZATION_FILES.items():
        if (folder / name).is_file():
            return Fields(
                f"{folder / name}: ", {"quant_method": method, **read_json(folder / name)}
            )
    return None


def _gptq_format(fields: Fields) -> str | None:
    return fields.values.get("checkpoint_format") or fields.values.get("format")


def _precision(fields: Fields) -> WeightSpec:
    values = fields.values
    method = values.get("quant_method")
    if method not in METHODS:
        raise unknown(fields.at("quant_method"), method, "method", METHODS)
    if method == "fp8":
        blocks = values.get("weight_block_size")
        if not isinstance(blocks, list) or len(blocks) != 2 or blocks[0] != blocks[1]:
            raise ConfigError(
                f"{fields.at('weight_block_size')}: {blocks!r} is not [n, n]; use FP8 files with square "
                "blocks, such as Qwen's"
            )
        return WeightSpec("fp8", 8, blocks[0])
    if values.get("lm_head"):
        raise ConfigError(
            f"{fields.at('lm_head')}: a quantised head is not supported; use other files"
        )
    if method == "awq":
        # AutoAWQ's own file has these other names.
        names = {"bits": "w_bit", "group_size": "q_group_size"}
        found = Fields(fields.prefix, {k: values.get(k, values.get(n)) for k, n in names.items()})
        symmetric = values.get("zero_point") is False
        return WeightSpec("awq", found.integer("bits"), found.integer("group_size", -1), symmetric)
    if (layout := _gptq_format(fields)) not in GPTQ_FORMATS:
        raise unknown(fields.at("checkpoint_format"), layout, "format", map(str, GPTQ_FORMATS[1:]))
    defaults = Fields(fields.prefix, {"sym": True, "desc_act": False, **values})
    return WeightSpec(
        "gptq",
        defaults.integer("bits"),
        defaults.integer("group_size", -1),
        symmetric=defaults.flag("sym"),
        act_order=defaults.flag("desc_act"),
    )


def read_json(file: Path) -> dict[str, Any]:
    try:
        content = parsed_json(file.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{file}: is not JSON ({error}); fetch the file again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: is not a JSON object; fetch the file again")
    return content
