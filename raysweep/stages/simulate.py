"""The stage simulate: how long the run takes on the cluster's GPUs, under a virtual clock."""

import json

from raysweep.planning.lengths import run_lengths
from raysweep.planning.plan import make_plan
from raysweep.planning.unfit import held
from raysweep.reporting.figures import encoded
from raysweep.reporting.gantt import gantt_figure
from raysweep.scheduling.simulate import Simulation, nodes_of, simulate
from raysweep.stages.context import RED, Context
from raysweep.system.exit_status import DONE
from raysweep.system.quantities import duration, human_count, plural

RESULT, FIGURE = "simulation/simulation.json", "simulation/schedule"


def run_stage(run: Context) -> int:
    """Simulate the missing shards, print the result, and write simulation.json and the Gantt figure."""
    config = run.config
    nodes_of(config.cluster)
    planned, rounds = run.folder.plan, run.folder.rounds
    if rounds is not None:
        planned = make_plan(config, run.folder.parts, rounds.coming())
        run.say("", "simulated as if no look stopped any more; an adaptive run takes less")
    shards, unfit = held(config, planned.to_do, run_lengths(config), run.known_gpus)
    if unfit:
        run.say("", f"{plural(len(unfit), 'shard')} left out, whose engines fit on no GPU", RED)
    if not shards:
        run.say("simulate", "nothing to do")
        return DONE
    with run.console.status("simulating"):
        found = simulate(config, planned, shards, run.store)
    show(run, found)
    run.store.write_text(RESULT, json.dumps(found.as_json(), indent=2) + "\n")
    for ending, data in encoded(gantt_figure(found, planned.engines)).items():
        run.store.write_bytes(f"{FIGURE}.{ending}", data)
    run.say("figure", run.store.path(f"{FIGURE}.svg"))
    return DONE


def show(run: Context, found: Simulation) -> None:
    faults = sum(found.faults.values())
    run.say(
        "simulate",
        f"{found.gpus:,} GPUs: {duration(found.makespan_s)} for {found.shards:,} shards, "
        f"{human_count(found.tokens)} tokens",
    )
    run.say(
        "",
        f"{found.makespan_s / max(found.bound_s, 1e-9):.3f} times the lower bound of "
        f"{duration(found.bound_s)}; the GPUs decode {found.busy_share:.1%} of the time",
    )
    run.say(
        "",
        f"{found.gpu_hours:,.1f} GPU-hours, up to {plural(found.actors, 'actor')} at a time, "
        f"{plural(found.loads, 'load')}, {plural(faults, 'fault')}, "
        f"{plural(found.given_up, 'shard')} given up",
    )
