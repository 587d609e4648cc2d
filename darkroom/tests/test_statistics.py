"""Statistics add up, whatever the parts and their order, and survive being written."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.artifacts.statistics import EDGES, Statistics, read_statistics, write_statistics
from darkroom.errors import StepError


@dataclasses.dataclass(frozen=True)
class Facts:
    height: int
    width: int
    file_format: str
    converted: bool
    brightness: float
    contrast: float
    sharpness: float


sides = st.integers(1, 20_000)
facts = st.builds(
    Facts,
    height=sides,
    width=sides,
    file_format=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    converted=st.booleans(),
    brightness=st.floats(0, 255),
    contrast=st.floats(0, 127.5),
    sharpness=st.floats(0, 1e5),
)
labels = st.lists(st.sampled_from(["rose", "tulip", "<b>x", "été"]), min_size=1, unique=True)
Added = tuple[Facts, str, list[str]]
added = st.lists(st.tuples(facts, st.sampled_from(["train", "valid", "test"]), labels), max_size=30)


def statistics_of(photographs: list[Added]) -> Statistics:
    statistics = Statistics()
    for photograph, split, names in photographs:
        statistics.add(photograph, split, *names)
    return statistics


@given(added, st.randoms(use_true_random=False))
def test_the_order_of_photographs_makes_no_difference(photographs, random) -> None:
    shuffled = list(photographs)
    random.shuffle(shuffled)
    assert statistics_of(shuffled) == statistics_of(photographs)


@given(added)
def test_what_is_written_is_read_back(photographs) -> None:
    statistics = statistics_of(photographs)
    document = json.loads(json.dumps(statistics.to_json(), allow_nan=False))
    assert Statistics.from_json(document) == statistics


@given(added)
def test_every_photograph_falls_into_one_bin_of_each_distribution(photographs) -> None:
    statistics = statistics_of(photographs)
    assert statistics.photographs.total() == len(photographs)
    for name, edges in EDGES.items():
        assert list(edges) == sorted(set(edges))
        assert sum(statistics.overall.histograms[name]) == len(photographs)
        assert len(statistics.overall.histograms[name]) == len(edges) + 1
        for label, distributions in statistics.by_label.items():
            assert sum(distributions.histograms[name]) == statistics.label_counts[label]
    assert statistics.overall.formats.total() == len(photographs)


def test_values_fall_where_the_edges_say() -> None:
    statistics = Statistics()
    statistics.add(Facts(600, 800, "JPEG", True, 16, 15.9, 0), "train", "rose", "tulip")
    histograms = statistics.overall.histograms
    places = {name: histogram.index(1) for name, histogram in histograms.items()}
    for name, value in (("height", 600), ("width", 800), ("aspect", 4 / 3), ("brightness", 16)):
        edges = (float("-inf"), *EDGES[name], float("inf"))
        assert edges[places[name]] <= value < edges[places[name] + 1]
    assert (places["brightness"], places["contrast"], places["sharpness"]) == (1, 1, 0)
    assert statistics.label_counts == {"rose": 1, "tulip": 1}
    assert statistics.photographs == {"train": 1}
    assert statistics.converted == 1


def test_statistics_with_other_bins_are_refused(tmp_path: Path) -> None:
    write_statistics(tmp_path, statistics_of([]), [])
    assert read_statistics(tmp_path) == Statistics()
    path = tmp_path / "statistics.json"
    document = json.loads(path.read_text())
    document["edges"]["contrast"][0] = 9
    path.write_text(json.dumps(document))
    with pytest.raises(StepError, match="bins of another release"):
        read_statistics(tmp_path)
