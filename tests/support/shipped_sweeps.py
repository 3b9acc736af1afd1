"""The sweeps that come with raysweep, by the names of their models, precisions and KV policies."""

from pathlib import Path

from omegaconf import OmegaConf

from raysweep import catalogue
from raysweep.configuration.config import conf_folder

# The default sweep first.
SWEEPS = [conf_folder() / "config.yaml", *sorted((conf_folder() / "sweep").glob("*.yaml"))]


def models_of(sweep: Path) -> list[str]:
    return [one if isinstance(one, str) else one["name"] for one in _entries(sweep, "models")]


def precisions_of(sweep: Path) -> list[str]:
    return [catalogue.weights(one).slug for one in _entries(sweep, "weights")]


def policies_of(sweep: Path) -> list[str]:
    return [catalogue.kv_policy(one).slug for one in _entries(sweep, "kv_policies")]


def _entries(sweep: Path, name: str) -> list:
    """Those that a sweep names, or those of the default."""
    default = OmegaConf.load(SWEEPS[0]).sweep[name]
    entries = OmegaConf.to_container(OmegaConf.load(sweep).sweep.get(name, default))
    assert isinstance(entries, list)
    return entries
