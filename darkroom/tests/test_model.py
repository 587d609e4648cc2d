"""The model's public answers: names in one text can be told apart again."""

import pytest

from darkroom.artifacts.model import SIGNATURE_OUTPUTS, signature_outputs, split_labels
from darkroom.artifacts.model import labels_separator as separator


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["rose", "tulip"], " "),
        (["red rose", "tulip"], "|"),
        (["red rose", "tulip|lily", "daisy"], "\n"),
    ],
)
def test_names_that_are_joined_come_apart_as_they_were(labels: list[str], expected: str) -> None:
    assert separator(labels) == expected
    for names in (labels, labels[:1], labels[1:], []):
        assert split_labels(separator(labels).join(names), labels) == names


def test_a_multi_label_model_gives_labels_wherever_it_predicts() -> None:
    assert signature_outputs(multi_label=False) == SIGNATURE_OUTPUTS
    several = signature_outputs(multi_label=True)
    more = {name: several[name] - outputs for name, outputs in SIGNATURE_OUTPUTS.items()}
    predicting = {name for name, outputs in SIGNATURE_OUTPUTS.items() if "label" in outputs}
    assert more == {name: {"labels"} if name in predicting else set() for name in several}
    assert len(predicting) == 7
