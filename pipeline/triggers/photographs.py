"""Which photographs are there, by marks that change when they do."""

import hashlib

from components.ingest.settings import IngestSettings
from pipeline.config import Config


def photograph_marks(config: Config) -> frozenset[int]:
    """A mark of 64 bits for every photograph of a config's data; none is opened.

    A photograph has another mark when its name, label, size or time of writing changed.

    Raises:
        SettingsError: The data cannot be read.
        StepError: There is no photograph in it, or a table does not parse.
    """
    from components.ingest.data_version.data_version import photograph_states

    return frozenset(
        int.from_bytes(hashlib.blake2b(state.encode(), digest_size=8).digest())
        for state in photograph_states(config.data, config.section(IngestSettings))
    )
