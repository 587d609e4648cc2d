# The two stages that every component's image stands on. A component's Dockerfile names them
# `darkroom-build` and `darkroom-runtime`; docker-bake.hcl and build-with-buildah.sh supply both.
ARG BASE_IMAGE=python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${BASE_IMAGE} AS build
ARG UV_VERSION=0.13.9
# Bytecode nearly doubles a package that is all Python: none for what no component imports at its
# start, packages' own tests and clients generated from an API (some 0.2 GB with apache-beam[gcp]).
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UNCOMPILED='/(tests|kubernetes|vertexai|google/(genai|cloud/(?!bigquery|dataflow|storage)[^/]+))/' \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON=python3.11 \
    UV_PYTHON_DOWNLOADS=never
# A registry's client settings are secrets: mounted while they are needed, in no layer.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3.11 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}" \
    && ln -s /opt/uv/bin/uv /usr/local/bin/uv
WORKDIR /darkroom
COPY pyproject.toml uv.lock ./

FROM ${BASE_IMAGE} AS runtime
# Kubeflow's launcher writes artifacts below /gcs, /minio or /s3, as the image's own user, which is
# not to change the code (buildah would give it a folder that WORKDIR makes).
RUN useradd --create-home --uid 10001 --user-group darkroom \
    && install --directory --owner=darkroom --group=darkroom /gcs /minio /s3 \
    && install --directory /app
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
WORKDIR /app
# By number, so that Kubernetes can tell that it is not root (runAsNonRoot).
USER 10001:10001
