"""Quantise the embedded family, as shipped in models/quantized: `python -m actors.tiny.quantize`.

GPTQ at 8, 4 and 3 bits in groups of 32, calibrated on the embedded text (conf/calibration/embedded.yaml).
It needs gptqmodel, and takes two minutes on one thread.
"""

from pathlib import Path

from actors.quantize import quantize
from actors.tiny.train import SIZES
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.models import read_model
from raysweep.configuration.preparation import read_calibration
from raysweep.recipe import Recipe
from raysweep.spec import Checkpoint, WeightSpec

BITS = (8, 4, 3)
GROUP_SIZE = 32


def main() -> None:
    definitions = Definitions((conf_folder(),))
    calibration = read_calibration(definitions, "embedded", "calibration")
    for name in SIZES:
        model = read_model(definitions, name, name)
        for bits in BITS:
            recipe = Recipe(model, WeightSpec("gptq", bits, GROUP_SIZE), calibration)
            folder = Path(model.path).parent / "quantized" / f"{name}-{recipe.weights.slug}"
            made = quantize(recipe, Checkpoint(str(folder), recipe.recipe_id))
            print(f"{folder}: mean loss of {made['layers']} layers {made['loss']:.2g}")


if __name__ == "__main__":
    main()
