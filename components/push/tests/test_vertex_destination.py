"""How a destination on Vertex is written; nothing is connected to."""

import subprocess
import sys

import pytest

from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.vertex.destination import parsed_destination
from components.push.targets.vertex.target import VertexTarget
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

PLACE = "vertex://my-project/europe-west4/flowers"
STORAGE = "storage=gs://my-bucket/served/flowers"
REFUSED = {
    "vertex://my-project/flowers": "is not of the form vertex://PROJECT/LOCATION/NAME",
    PLACE: "does not say where the files go",
    f"{PLACE}?storage=served/flowers": "storage 'served/flowers' is none, expected a folder of a",
    f"{PLACE}?storage=gs://my-bucket": "storage 'gs://my-bucket' is none, expected a folder of a",
    f"{PLACE}?{STORAGE}&machin=n1": "no option 'machin'; did you mean 'machine'",
    f"{PLACE}?{STORAGE}&machine=": "the option 'machine' has no value",
    f"{PLACE}?{STORAGE}&{STORAGE}": "the option 'storage' is there twice",
    f"{PLACE}?{STORAGE}&only=endpoint": "only 'endpoint' is none, expected only=registry",
    f"{PLACE}?{STORAGE}&replicas=0": "replicas '0' is none, expected a number, or as 1-3",
    f"{PLACE}?{STORAGE}&replicas=3-1": "replicas 3-1, expected the fewest first",
    f"{PLACE}?{STORAGE}&accelerators=2": "does not say which accelerator",
    f"vertex://my-project/europe-west4-a/flowers?{STORAGE}": "location 'europe-west4-a' is none",
    f"vertex://My_Project/europe-west4/flowers?{STORAGE}": "project 'My_Project' is none",
    f"vertex://my-project/europe-west4/Flowers?{STORAGE}": "name 'Flowers' is none, expected lower",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_of_the_form_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        validate_settings(PushSettings, {"destination": text}, "push")
    message = str(refused.value)
    assert message.startswith("setting 'push.destination': ")
    assert REFUSED[text] in message


def test_options_are_read() -> None:
    place = parsed_destination(
        f"{PLACE}?{STORAGE}/&accelerator=NVIDIA_L4&machine=g2-standard-8&replicas=2-4"
        "&account=serving@my-project.iam.gserviceaccount.com"
    )
    assert (place.project, place.location, place.name) == ("my-project", "europe-west4", "flowers")
    assert place.storage == "gs://my-bucket/served/flowers"
    assert (place.accelerators, place.replicas, place.registry_only) == (1, (2, 4), False)
    assert place.image == "europe-docker.pkg.dev/vertex-ai/prediction/tf2-gpu.2-15:latest"
    assert place.host == "europe-west4-aiplatform.googleapis.com"
    elsewhere = parsed_destination(f"vertex://my-project/asia-east1/flowers?{STORAGE}&replicas=2")
    assert elsewhere.image == "asia-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
    assert (elsewhere.replicas, elsewhere.machine) == ((2, 2), "n1-standard-4")


def test_a_near_form_is_offered() -> None:
    with pytest.raises(SettingsError, match=r"did you mean 'vertex://'"):
        target_for("vertx://my-project/europe-west4/flowers")
    assert isinstance(target_for(f"{PLACE}?{STORAGE}"), VertexTarget)


@pytest.mark.slow
def test_settings_are_checked_without_the_library() -> None:
    code = (
        "import sys; from components.push.settings import PushSettings; "
        f"PushSettings(destination='{PLACE}?{STORAGE}'); "
        "sys.exit('google.cloud.aiplatform_v1' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
