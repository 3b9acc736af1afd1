"""Composes a configuration as the command line does, for benchmarks that run parts of raysweep."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from raysweep.configuration.config import conf_folder, read_config
from raysweep.run_config import RunConfig


def configured(*changes: str) -> RunConfig:
    """The configuration of `python -m raysweep CHANGES`."""
    with initialize_config_dir(str(conf_folder()), version_base=None):
        composed = OmegaConf.to_container(compose("config", list(changes)), resolve=True)
    assert isinstance(composed, dict)
    return read_config({str(key): value for key, value in composed.items()}, [conf_folder()])
