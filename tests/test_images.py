"""What the image files promise, read from their text: building them takes minutes and buildah."""

import json
import os
import re
import runpy
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from darkroom.artifacts.provenance import COMMIT_VARIABLE
from pipeline.settings.cluster import ClusterSettings, pushed_images
from pipeline.steps import component_names, worker_images

ROOT = Path(__file__).parent.parent
BASE = ROOT / "docker" / "base.Dockerfile"
BAKE = (ROOT / "docker" / "docker-bake.hcl").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILD_TOOLS = r"\b(uv|pip|apt-get|apt|build-essential|gcc|g\+\+|clang|make|cmake|git|curl|wget)\b"


@dataclass
class Stage:
    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [text for name, text in self.instructions if name == instruction]


def stages(dockerfile: Path) -> list[Stage]:
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in text.replace("\\\n", " ").splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif found and instruction:
            found[-1].instructions.append((instruction, " ".join(rest.split())))
    return found


def base_stage(name: str) -> Stage:
    return next(stage for stage in stages(BASE) if stage.name == name)


def base_argument(name: str) -> str:
    found = re.search(rf"^ARG {name}=(\S+)$", BASE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"base.Dockerfile has no argument {name} with a default"
    return found[1]


def bake_matrices() -> list[list[str]]:
    """The components of each matrix: of the images, and of the images of Beam's workers."""
    matrices = re.findall(r"matrix\s*=\s*{\s*component\s*=\s*\[(.*?)\]", BAKE, re.DOTALL)
    return [re.findall(r'"([^"]+)"', matrix) for matrix in matrices]


def bake_targets() -> list[str]:
    return bake_matrices()[0]


def bake_default(variable: str) -> str:
    block = re.search(rf'variable "{variable}" {{\s*default = "([^"]*)"', BAKE)
    assert block, f"docker-bake.hcl has no variable {variable} with a default"
    return block[1]


def packages_of(group: str) -> list[str]:
    names: list[str] = []
    for entry in PROJECT["dependency-groups"][group]:
        names += packages_of(entry["include-group"]) if isinstance(entry, dict) else [entry]
    return names


RUNNABLE = {
    path.parent.name
    for path in ROOT.glob("components/*/*.py")
    if path.name in ("step.py", "__main__.py")
}
DOCKERFILES = sorted(path.parent.name for path in ROOT.glob("components/*/Dockerfile"))
every_component = pytest.mark.parametrize("component", DOCKERFILES)
SERVICES = ("dask", "trigger")
every_image = pytest.mark.parametrize("component", [*DOCKERFILES, *SERVICES])


def component_stages(component: str) -> tuple[Stage, Stage]:
    folder = "deploy" if component in SERVICES else "components"
    build, final = stages(ROOT / folder / component / "Dockerfile")
    return build, final


def test_every_component_that_runs_has_an_image():
    assert RUNNABLE, "no component found: the layout has changed"
    assert set(DOCKERFILES) >= RUNNABLE


def test_bake_builds_every_image_under_its_own_name():
    images, workers = bake_matrices()
    assert sorted(images) == DOCKERFILES
    assert set(component_names()) <= set(images)
    assert [f"{component}-worker" for component in workers] == list(worker_images())
    assert 'dockerfile = "components/${component}/Dockerfile"' in BAKE
    assert re.search(r"name\s*=\s*component\n", BAKE)


GROUPS = {"train": "TRAIN_GROUP", "evaluate": "EVALUATE_GROUP"}
"""Images whose packages are those of a group that the build names."""


@every_image
def test_image_installs_its_own_dependency_group_only(component: str):
    build, _ = component_stages(component)
    (install,) = build.all("RUN")
    assert "uv sync --frozen --no-default-groups" in install
    groups = re.findall(r"--(?:only-)?group[ =](\S+)", install)
    if component in GROUPS:
        name = GROUPS[component]
        assert build.all("ARG") == [f"{name}={component}"]
        assert bake_default(name) == component
        groups = [group.replace(f'"${{{name}}}"', component) for group in groups]
    assert groups == [{"dask": "dask-worker"}.get(component, component)]
    assert not re.search(r"--(extra|all-groups|all-extras|with)\b", install)
    assert groups[0] in PROJECT["dependency-groups"]


def test_further_groups_differ_by_one_package():
    others = set(packages_of("train-gpu")) - set(packages_of("train"))
    assert others == {"tensorflow[and-cuda]==2.21.*"}
    others = set(packages_of("evaluate-mlflow")) - set(packages_of("evaluate"))
    assert len(others) == 1
    assert min(others).startswith("mlflow-skinny")


@every_component
def test_group_of_a_step_holds_kfp(component: str):
    # On a cluster the container's command is `python3 -m kfp.dsl.executor_main`.
    if (ROOT / "components" / component / "step.py").exists():
        assert any(re.match(r"kfp\b(?!-)", package) for package in packages_of(component))


@every_image
def test_image_stands_on_the_shared_base(component: str):
    build, final = component_stages(component)
    assert (build.base, final.base) == ("darkroom-build", "darkroom-runtime")
    for name in ("build", "runtime"):
        assert re.search(rf'darkroom-{name}\s*= "target:darkroom-{name}"', BAKE)
        assert base_stage(name).base == "${BASE_IMAGE}"


@every_image
def test_image_runs_as_a_numbered_user_that_is_not_root(component: str):
    _, final = component_stages(component)
    users = base_stage("runtime").all("USER") + final.all("USER")
    assert users, "nothing sets a user, so the image runs as root"
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1])


@every_image
def test_final_stage_has_no_build_tools(component: str):
    _, final = component_stages(component)
    assert not final.all("RUN")
    for name, text in base_stage("runtime").instructions + final.instructions:
        assert not re.search(BUILD_TOOLS, text), f"{name} {text}"


@every_component
def test_final_stage_takes_its_own_code_only(component: str):
    _, final = component_stages(component)
    # Push tries a model in batch prediction and in the server.
    started = ["predict", "serve"] if component == "push" else []
    assert final.all("COPY") == [
        "--from=build /opt/venv /opt/venv",
        "components/__init__.py /app/components/",
        "darkroom /app/darkroom",
        *(f"components/{name} /app/components/{name}" for name in (component, *started)),
    ]


@every_component
def test_image_answers_as_the_component_from_a_shell(component: str):
    _, final = component_stages(component)
    (entrypoint,) = final.all("ENTRYPOINT")
    # From outside of its container a server is reached at all addresses only.
    options = ["--host", "0.0.0.0"] if component == "serve" else []
    assert json.loads(entrypoint) == ["python", "-m", f"components.{component}", *options]


@every_component
def test_image_of_a_step_knows_the_commit_of_its_code(component: str):
    _, final = component_stages(component)
    if (ROOT / "components" / component / "step.py").exists():
        assert final.all("ARG") == ["REVISION"]
        assert f"{COMMIT_VARIABLE}=${{REVISION}}" in final.all("ENV")
    (arguments,) = re.findall(r"  args = (\{ REVISION = .*\})", BAKE)
    names = ("REVISION", *GROUPS.values())
    assert arguments == "{ " + ", ".join(f"{name} = {name}" for name in names) + " }"


@every_image
def test_bytecode_is_made_of_what_may_be_imported_at_a_start(component: str):
    build, _ = component_stages(component)
    (install,) = build.all("RUN")
    assert install.endswith('-m compileall -q -j 0 -x "${UNCOMPILED}" /opt/venv/lib')
    (environment,) = base_stage("build").all("ENV")
    pattern = re.search(r"UNCOMPILED='(.*?)'", environment)
    assert pattern
    left_out = {
        module
        for module in (
            "numpy/tests/test_lazyloading.py",
            "google/cloud/aiplatform_v1/types/model.py",
            "google/cloud/storage/blob.py",
            "google/protobuf/message.py",
            "keras/src/testing/test_case.py",
        )
        if re.search(pattern[1], f"/opt/venv/lib/python3.11/site-packages/{module}")
    }
    assert left_out == {
        "numpy/tests/test_lazyloading.py",
        "google/cloud/aiplatform_v1/types/model.py",
    }


@pytest.mark.slow
def test_images_that_buildah_pushed_are_named_by_digest(tmp_path: Path):
    buildah = tmp_path / "buildah"
    # Everything but the engine: it answers every command, and a push with a digest.
    buildah.write_text(
        '#!/bin/bash\n[[ $1 == push ]] && echo -n "sha256:$(basename "$4")" >"$3"\nexit 0\n'
    )
    buildah.chmod(0o755)
    file = tmp_path / "images.json"
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REGISTRY": "there:5000/dr",
        "TAG": "7",
        "IMAGES_FILE": str(file),
    }
    script = ROOT / "docker" / "build-with-buildah.sh"
    subprocess.run([script], env=environment, check=True, capture_output=True)
    assert dict(pushed_images(file)) == {
        image: (f"there:5000/dr/darkroom-{image}", f"sha256:darkroom-{image}:7")
        for image in [*DOCKERFILES, "trigger"]
    }


def test_images_are_named_as_the_compiled_pipeline_names_them():
    assert '[join("/", compact([REGISTRY, "darkroom-${component}:${TAG}"]))]' in BAKE
    tag = bake_default("TAG")
    assert ClusterSettings().image("ingest") == f"darkroom-ingest:{tag}"
    assert ClusterSettings(registry="there/dr").image("push") == f"there/dr/darkroom-push:{tag}"


def test_tests_stay_out_of_the_images():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "**/tests" in ignored


def test_versions_are_pinned():
    for path in (*ROOT.glob("docker/*.*"), *ROOT.glob("components/*/Dockerfile")):
        assert ":latest" not in path.read_text(encoding="utf-8"), path
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"UV_VERSION := {base_argument('UV_VERSION')}\n" in makefile
    assert bake_default("TAG") == PROJECT["project"]["version"]


def test_base_image_is_named_alike_and_has_the_project_s_python():
    image = base_argument("BASE_IMAGE")
    python = PROJECT["project"]["requires-python"].strip("=.*")
    assert image == bake_default("BASE_IMAGE")
    assert re.fullmatch(rf"python:{python}-[\w-]+@sha256:[0-9a-f]{{64}}", image)
    (environment,) = base_stage("build").all("ENV")
    assert f"UV_PYTHON=python{python}" in environment.split()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "state"), [("true", "SUCCESS"), ("false", "FAILURE")])
def test_a_step_runs_in_its_image_and_leaves_no_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, state: str
):
    buildah = tmp_path / "buildah"
    # Everything but the engine: it notes each command, and runs what a container would.
    buildah.write_text(
        f'#!/bin/bash\necho "$@" >>{tmp_path}/calls\n'
        '[[ $1 == from ]] && echo made\n[[ $1 == run ]] && exec "${@: -1}"\nexit 0\n'
    )
    buildah.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = runpy.run_path(str(ROOT / "docker" / "run_in_images.py"))
    task = program["BuildahTask"]("there/train:1", [command], "/gcs", None, {"A": "b"})
    assert task.run().name == state
    assert (tmp_path / "calls").read_text().splitlines() == [
        "from --pull-never there/train:1",
        f"run --isolation chroot --volume /gcs:/gcs --env=A=b made -- {command}",
        "rm made",
    ]
