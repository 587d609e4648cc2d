"""The language of `monitor.retrain.when`."""

import pytest

from components.monitor.retraining.conditions import (
    FAMILIES,
    Bound,
    Drift,
    Every,
    NewLabels,
    parse_when,
)
from components.monitor.settings import MonitorSettings
from components.monitor.tests.small_world import reference
from components.monitor.windows.alarms import reference_shares
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings


def settings(when: str, **more: object) -> MonitorSettings:
    values = {"state": "s", "predictions": ["a"], "retrain": {"when": when, "dataset": "d"}, **more}
    return validate_settings(MonitorSettings, values, "monitor")


def test_all_that_can_be_said() -> None:
    said = (
        "accuracy < 0.9 or embedding_drift for 3 windows or new_labels >= 500 or every 30 days or "
        'drift for 1 window and accuracy of label="big roses", camera=left<0.8 or every 2 hours'
    )
    of_slice = (("camera", "left"), ("label", "big roses"))
    assert parse_when(said) == (
        (Bound("accuracy", (), 0.9),),
        (Drift("embedding", 3),),
        (NewLabels(500),),
        (Every(30 * 86400, "30 days"),),
        (Drift("", 1), Bound("accuracy", of_slice, 0.8)),
        (Every(7200, "2 hours"),),
    )


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ("acuracy < 0.9", "unknown word 'acuracy'; did you mean 'accuracy'?"),
        ("embeding_drift for 3 windows", "did you mean 'embedding_drift'?"),
        ("new_label >= 3", "unknown word 'new_label'; did you mean 'new_labels'?"),
        ("accuracy > 0.9", "accuracy is better the higher it is: expected 'accuracy < ...'"),
        ("log_loss < 0.9", "log_loss is better the lower it is: expected 'log_loss > ...'"),
        ("accuracy < 90", "90 decides nothing: accuracy is from 0 to 1"),
        ("accuracy < 1", "1 decides nothing"),
        ("accuracy < much", "'much' stands where a number is expected"),
        ("drift for 3 windos", "'windos' stands where 'windows' or 'window' is expected"),
        ("drift for 1.5 windows", "1.5 is no whole number"),
        ("every 3 dys", "unknown unit 'dys'; did you mean 'days'?"),
        ("accuracy < 0.9 xor drift for 1 window", "'xor' stands where 'or' or 'and' is expected"),
        ("accuracy < 0.9 or", "it ends where a condition is expected"),
        ("", "it ends where a condition is expected"),
        ("macro_f1 of label=a < 0.5", "macro_f1 has no interval in slices"),
        ("accuracy of camera=a < 0.5", "'slices' has no slicing by camera; valid: label"),
        ('accuracy of label="a < 0.5', "stands where"),
    ],
)
def test_an_error_names_the_wrong_word_and_the_nearest(when: str, error: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(when)
    (line,) = str(raised.value).splitlines()
    assert line.startswith("setting 'monitor")
    assert error in line


def test_every_family_of_tests_can_be_said() -> None:
    families = {family.partition(" ")[0] for family in reference_shares(reference())}
    assert families <= FAMILIES.keys()
    for family in FAMILIES:
        assert settings(f"{family}_drift for 2 windows").retrain is not None
