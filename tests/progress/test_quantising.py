"""Where there is no terminal, quantising tells the layers that are done and the time left."""

import io

from rich.console import Console

from raysweep.progress.quantising import show_layers


def test_a_line_per_minute_and_checkpoint_tells_layers_and_time_left():
    said, clock = io.StringIO(), [0.0]
    with show_layers(Console(file=said), now=lambda: clock[0]) as show:
        for layer in range(1, 5):
            for name in ("gptq4 of a", "gptq4 of b"):
                show(name, layer, 4)
            clock[0] += 40
    assert said.getvalue().splitlines() == [
        "prepare   gptq4 of a: 1 of 4 layers",
        "prepare   gptq4 of b: 1 of 4 layers",
        "prepare   gptq4 of a: 3 of 4 layers · 40.0 s left",
        "prepare   gptq4 of b: 3 of 4 layers · 40.0 s left",
        "prepare   gptq4 of a: 4 of 4 layers",
        "prepare   gptq4 of b: 4 of 4 layers",
    ]
