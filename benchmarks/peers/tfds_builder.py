"""A tensorflow-datasets builder over the same photographs.

Usage: python benchmarks/peers/tfds_builder.py PHOTOGRAPHS OUT

It stores the files' bytes as they are: it decodes nothing, checks nothing, and hashes names only.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds


class Photographs(tfds.core.GeneratorBasedBuilder):
    """A folder of label folders."""

    VERSION = tfds.core.Version("1.0.0")
    # Where a builder is defined in a script, it has no package to read its description from.
    pkg_dir_path = Path(__file__).parent

    def __init__(self, photographs: str, data_dir: str) -> None:
        self._photographs = Path(photographs)
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        labels = sorted(path.name for path in self._photographs.iterdir() if path.is_dir())
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=labels),
            "path": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Photographs in label folders.",
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, str]]]]:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, str]]]:
        for file in sorted(self._photographs.glob("*/*.jpg")):
            name = f"{file.parent.name}/{file.name}"
            yield name, {"image": str(file), "label": file.parent.name, "path": name}


if __name__ == "__main__":
    tfds.disable_progress_bar()
    Photographs(sys.argv[1], data_dir=sys.argv[2]).download_and_prepare()
