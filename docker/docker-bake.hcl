# Builds every component's image: docker buildx bake -f docker/docker-bake.hcl
# A variable is set from the environment by its name; docs/images.md says more.

variable "REGISTRY" {
  default = "" # such as europe-docker.pkg.dev/my-project/darkroom
}

variable "TAG" {
  default = "0.1.0" # the project's version
}

variable "BASE_IMAGE" {
  default = "python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84"
}

variable "SOURCE" {
  default = "" # the repository's address
}

variable "REVISION" {
  default = "" # the commit
}

variable "TRAIN_GROUP" {
  default = "train" # train-gpu: with CUDA
}

variable "EVALUATE_GROUP" {
  default = "evaluate" # evaluate-mlflow: with the client of MLflow
}

# Files of this machine, for a registry that needs its own settings.
variable "PIP_CONF" {
  default = ""
}

variable "CA_CERTIFICATES" {
  default = ""
}

group "default" {
  targets = ["component", "trigger"]
}

target "_image" {
  platforms = ["linux/amd64"] # tfx-bsl has wheels for no other
  secret = concat(
    PIP_CONF == "" ? [] : ["id=pip_conf,src=${PIP_CONF}"],
    CA_CERTIFICATES == "" ? [] : ["id=ca_certificates,src=${CA_CERTIFICATES}"],
  )
}

target "base" {
  name       = "darkroom-${stage}"
  inherits   = ["_image"]
  matrix     = { stage = ["build", "runtime"] }
  dockerfile = "docker/base.Dockerfile"
  target     = stage
  args       = { BASE_IMAGE = BASE_IMAGE }
}

target "component" {
  name       = component
  inherits   = ["_image"]
  matrix     = { component = ["ingest", "transform", "train", "evaluate", "explain", "push", "predict", "monitor", "notify", "serve"] }
  dockerfile = "components/${component}/Dockerfile"
  contexts = {
    darkroom-build   = "target:darkroom-build"
    darkroom-runtime = "target:darkroom-runtime"
  }
  args = { REVISION = REVISION, TRAIN_GROUP = TRAIN_GROUP, EVALUATE_GROUP = EVALUATE_GROUP }
  tags = [join("/", compact([REGISTRY, "darkroom-${component}:${TAG}"]))]
  labels = {
    "org.opencontainers.image.title"    = "darkroom ${component}"
    "org.opencontainers.image.source"   = SOURCE
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.version"  = TAG
  }
}

# What starts runs: no step, and so no component.
target "trigger" {
  inherits   = ["_image"]
  dockerfile = "deploy/trigger/Dockerfile"
  contexts = {
    darkroom-build   = "target:darkroom-build"
    darkroom-runtime = "target:darkroom-runtime"
  }
  tags = [join("/", compact([REGISTRY, "darkroom-trigger:${TAG}"]))]
  labels = {
    "org.opencontainers.image.title"    = "darkroom trigger"
    "org.opencontainers.image.source"   = SOURCE
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.version"  = TAG
  }
}

# The scheduler and the workers of a Dask cluster; in no group, like the workers below.
target "dask" {
  inherits   = ["_image"]
  dockerfile = "deploy/dask/Dockerfile"
  contexts = {
    darkroom-build   = "target:darkroom-build"
    darkroom-runtime = "target:darkroom-runtime"
  }
  tags = [join("/", compact([REGISTRY, "darkroom-dask:${TAG}"]))]
  labels = {
    "org.opencontainers.image.title"    = "darkroom dask"
    "org.opencontainers.image.source"   = SOURCE
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.version"  = TAG
  }
}

# Beam's workers on other machines, for Dataflow, Flink or Spark; in no group, since few need them:
# docker buildx bake -f docker/docker-bake.hcl default worker
target "worker" {
  name       = "${component}-worker"
  inherits   = ["_image"]
  matrix     = { component = ["ingest", "transform", "evaluate", "predict"] }
  dockerfile = "docker/worker.Dockerfile"
  contexts   = { darkroom-component = "target:${component}" }
  tags       = [join("/", compact([REGISTRY, "darkroom-${component}-worker:${TAG}"]))]
  labels = {
    "org.opencontainers.image.title"    = "darkroom ${component} worker"
    "org.opencontainers.image.source"   = SOURCE
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.version"  = TAG
  }
}
