"""What sets a cluster up is read by its own tools, asks for few rights, and fits the code."""

import ast
import itertools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.notify.settings import NotifySettings
from components.push.settings import PushSettings
from pipeline.config import load_config
from pipeline.settings.cluster import ClusterSettings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
TERRAFORM = sorted((DEPLOY / "terraform").glob("*.tf"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
VERBS = r"\bdarkroom (\w+)"


def documents(folder: Path) -> list[dict[str, Any]]:
    texts = (path.read_text() for path in sorted(folder.rglob("*.yaml")))
    found = itertools.chain.from_iterable(yaml.safe_load_all(text) for text in texts)
    return [document for document in found if "kind" in document]


def of_kind(kind: str, folder: Path = KUBERNETES) -> dict[str, dict[str, Any]]:
    found = [document for document in documents(folder) if document["kind"] == kind]
    return {document["metadata"]["name"]: document for document in found}


def test_roles_name_their_verbs_and_reach_one_namespace() -> None:
    assert not of_kind("ClusterRole")
    assert not of_kind("ClusterRoleBinding")
    roles = of_kind("Role")
    for rule in (rule for role in roles.values() for rule in role["rules"]):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["resourceNames"]
    accounts = of_kind("ServiceAccount")
    bindings = of_kind("RoleBinding")
    assert {binding["roleRef"]["name"] for binding in bindings.values()} == set(roles)
    for binding in bindings.values():
        assert {subject["name"] for subject in binding["subjects"]} <= set(accounts)


@pytest.mark.slow
def test_the_training_role_is_what_the_step_does() -> None:
    rules = of_kind("Role")["darkroom-training"]["rules"]
    allowed = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    jobs = ("kubeflow.org", "tfjobs")
    step = (ROOT / "components" / "train" / "tfjob" / "client.py").read_text()
    assert f'"group": "{jobs[0]}"' in step
    assert f'"plural": "{jobs[1]}"' in step
    assert allowed == {
        *((*jobs, verb) for verb in ("create", "get", "delete")),
        ("", "pods", "get"),
        ("", "pods", "list"),
        ("", "pods/log", "get"),
    }


def test_the_cron_job_fits_the_config_and_the_volume() -> None:
    config = load_config(str(KUBERNETES / "config.yaml"))
    (job,) = of_kind("CronJob").values()
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", "pipeline.cli.main", "trigger"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert config.trigger is not None
    for path in (config.data, config.trigger.state, config.section(PushSettings).destination):
        assert str(path).startswith(f"{mounts['darkroom']}/")
    claims = of_kind("PersistentVolumeClaim")
    assert all(v.claim in claims for v in config.cluster.pod_of("train").volumes)
    assert config.cluster.kfp.token_file == f"{mounts['token']}/token"
    assert config.cluster.kfp.service_account in of_kind("ServiceAccount")
    assert config.cluster.kfp.namespace in of_kind("Namespace")


def test_the_cron_job_is_no_root_and_can_write_its_volume() -> None:
    (job,) = of_kind("CronJob").values()
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    base = (ROOT / "docker" / "base.Dockerfile").read_text()
    assert f"USER {pod['securityContext']['fsGroup']}:" in base
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_example_s_secret_is_where_notify_looks() -> None:
    config = load_config(str(KUBERNETES / "config.yaml"))
    notify = config.optional_section(NotifySettings)
    assert notify is not None
    variables = [s.environment for s in config.cluster.pod_of("notify").secrets]
    assert any(str(notify.slack) in environment for environment in variables)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("multi_worker", [False, True])
def test_kustomize_builds_it(multi_worker: bool, tmp_path: Path) -> None:
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    if multi_worker:
        file = folder / "kustomization.yaml"
        file.write_text(file.read_text().replace("# components:", "components:"))
    built = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=True
    )
    made = list(yaml.safe_load_all(built.stdout))
    roles = [document["metadata"]["name"] for document in made if document["kind"] == "Role"]
    assert ("darkroom-training" in roles) is multi_worker
    (config,) = (document for document in made if document["kind"] == "ConfigMap")
    (job,) = (document for document in made if document["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    spaces = {d["metadata"].get("namespace") for d in made if d["kind"] != "Namespace"}
    assert spaces == {"darkroom"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_terraform_parses_it_as_it_is_formatted() -> None:
    """Its validation needs the provider, which is no package of a registry that is reached here."""
    checked = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", DEPLOY / "terraform"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_terraform_s_references_and_roles() -> None:
    text = "\n".join(path.read_text() for path in TERRAFORM)
    declared = {".".join(pair) for pair in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.M)}
    used = set(re.findall(r"(?<!data\.)\b(google_\w+\.\w+)(?=[\[.\]])", text))
    assert used <= declared
    variables = set(re.findall(r'^variable "(\w+)"', text, re.M))
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    roles = set(re.findall(r'"(roles/[\w.]+)"', text))
    assert roles
    assert not roles & {"roles/owner", "roles/editor", "roles/viewer", "roles/storage.admin"}
    assert "allUsers" not in text


def test_terraform_s_output_is_the_config_s_section() -> None:
    text = (DEPLOY / "terraform" / "outputs.tf").read_text()
    block = text.partition('output "cluster"')[2].partition("\n}")[0]
    keys = set(re.findall(r"^\s+(\w+) += ", block, re.M)) - {"description", "value"}
    vertex: Any = ClusterSettings.model_fields["vertex"].annotation
    assert keys
    assert keys <= set(ClusterSettings.model_fields) | set(vertex.model_fields)


def test_the_trigger_s_image_serves_what_terraform_calls() -> None:
    dockerfile = (DEPLOY / "trigger" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "pipeline.triggers.server"]' in dockerfile
    server = (ROOT / "pipeline" / "triggers" / "server.py").read_text()
    terraform = (DEPLOY / "terraform" / "trigger.tf").read_text()
    for door in ("/events", "/look", "/healthz"):
        assert f'Route("{door}"' in server
        assert door in terraform
    for variable in ("DARKROOM_CONFIG", "DARKROOM_TARGET"):
        assert f'"{variable}"' in server
        assert f'"{variable}"' in terraform


def steps_of(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job.get("steps", [])]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_few_rights_and_pinned_actions(workflow: Path) -> None:
    document = yaml.safe_load(workflow.read_text())
    assert document["permissions"] == {"contents": "read"}
    for step in steps_of(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            # A tag can be moved; a commit cannot.
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
        # What others can write into a commit's text is never part of a script.
        assert "${{" not in step.get("run", "")


def test_a_push_runs_the_tests_once_and_the_fast_ones_first() -> None:
    workflows = {path.stem: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
    # YAML reads the key `on` as true.
    on_push = [name for name, document in workflows.items() if "push" in document[True]]
    assert on_push == ["deliver"]
    assert workflows["deliver"]["jobs"]["test"]["uses"] == "./.github/workflows/test.yaml"
    runs = [step["run"] for step in steps_of(ROOT / ".github/workflows/test.yaml") if "run" in step]
    assert runs == ["make setup", "make lint", "make test-fast", "make test-slow"]


def command_lines() -> list[str]:
    deliver = steps_of(ROOT / ".github" / "workflows" / "deliver.yaml")
    lines = [step["run"] for step in deliver if "run" in step]
    for step in yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())["steps"]:
        lines.append(" ".join([step["entrypoint"], *step["args"]]))
    return [line for line in lines if ".venv/bin/darkroom" in line]


def test_deliveries_call_verbs_and_options_that_there_are() -> None:
    from typer.main import get_command

    from pipeline.cli.main import application

    verbs = get_command(application).commands  # type: ignore[attr-defined]
    lines = command_lines()
    assert len(lines) == 4
    for line in lines:
        verb = verbs[re.search(VERBS, line)[1]]  # type: ignore[index]
        options = {option for parameter in verb.params for option in parameter.opts}
        assert set(re.findall(r"(?<= )(--?[a-z-]+)", line)) <= options
        assert "cluster.images_file=" in line


def test_deliveries_test_before_they_build_and_build_by_digest() -> None:
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    assert [step["id"] for step in build["steps"]] == ["test", "images", "compile", "submit"]
    deliver = yaml.safe_load((ROOT / ".github" / "workflows" / "deliver.yaml").read_text())
    assert deliver["jobs"]["deliver"]["needs"] == "test"
    for file in (ROOT / "cloudbuild.yaml", ROOT / ".github" / "workflows" / "deliver.yaml"):
        text = " ".join(file.read_text().split())
        assert "docker buildx bake --file docker/docker-bake.hcl --push --metadata-file" in text
        assert ":latest" not in text


def test_the_trigger_s_image_holds_what_it_imports() -> None:
    """The command, all settings and steps: whole folders, and the group of what they import."""
    dockerfile = (DEPLOY / "trigger" / "Dockerfile").read_text()
    assert "--group trigger " in dockerfile
    assert {"COPY components /app/components", "COPY pipeline /app/pipeline"} <= set(
        dockerfile.splitlines()
    )
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!components", "!pipeline"} <= set(ignored)
    heavy = {"tensorflow", "keras", "tensorflow_transform"}
    for file in (ROOT / "pipeline" / "triggers").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in heavy


def test_the_dask_cluster_starts_what_its_image_has() -> None:
    """Its options are those that Dask's own commands take, and its ports those they open."""
    from distributed.cli import dask_scheduler, dask_worker

    cluster = of_kind("DaskCluster", DEPLOY / "dask")["darkroom"]["spec"]
    assert 'ENTRYPOINT ["dask"]' in (DEPLOY / "dask" / "Dockerfile").read_text()
    for part, command in (("scheduler", dask_scheduler), ("worker", dask_worker)):
        (container,) = cluster[part]["spec"]["containers"]
        assert container["image"].endswith(f"/darkroom-dask:{ClusterSettings().tag}")
        verb, *options = container["args"]
        assert verb == part
        values = command.main.make_context(verb, options, resilient_parsing=True).params
        name, value = ("nthreads", 1) if part == "worker" else ("host", "0.0.0.0")
        assert values[name] == value
        assert cluster[part]["spec"]["serviceAccountName"] in of_kind("ServiceAccount")
    ports = {port["name"]: port["port"] for port in cluster["scheduler"]["service"]["ports"]}
    assert ports == {"tcp-comm": 8786, "http-dashboard": 8787}
