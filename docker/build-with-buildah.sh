#!/usr/bin/env bash
# Builds the components' images without a Docker engine, as docker-bake.hcl does with one.
# Usage: [VARIABLE=...] docker/build-with-buildah.sh [COMPONENT ...]     (default: all)
# The variables are docker-bake.hcl's. Without BASE_IMAGE, a Debian base is made and kept.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v buildah >/dev/null; then
  echo "buildah is missing: apt-get install --no-install-recommends buildah debootstrap" >&2
  exit 1
fi

export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
registry=${REGISTRY:-localhost}
tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
base=${BASE_IMAGE:-localhost/darkroom-debian:bookworm}
components=("$@")
if (($# == 0)); then
  components=(components/*/Dockerfile)
  components=("${components[@]#components/}")
  components=("${components[@]%/Dockerfile}")
fi

secrets=()
[[ -f ${PIP_CONF:=/etc/pip.conf} ]] && secrets+=(--secret "id=pip_conf,src=$PIP_CONF")
[[ -f ${CA_CERTIFICATES:=/etc/ssl/certs/ca-certificates.crt} ]] &&
  secrets+=(--secret "id=ca_certificates,src=$CA_CERTIFICATES")

if [[ -z ${BASE_IMAGE:-} ]] && ! buildah inspect --type image "$base" &>/dev/null; then
  docker/debian-base.sh "$base"
fi

for stage in build runtime; do
  buildah build --layers --file docker/base.Dockerfile --target "$stage" \
    --build-arg "BASE_IMAGE=$base" "${secrets[@]}" --tag "localhost/darkroom-$stage:$tag" .
done

for component in "${components[@]}"; do
  buildah build --file "components/$component/Dockerfile" "${secrets[@]}" \
    --build-context "darkroom-build=container-image://localhost/darkroom-build:$tag" \
    --build-context "darkroom-runtime=container-image://localhost/darkroom-runtime:$tag" \
    --label "org.opencontainers.image.title=darkroom $component" \
    --label "org.opencontainers.image.source=${SOURCE:-}" \
    --label "org.opencontainers.image.revision=${REVISION:-}" \
    --label "org.opencontainers.image.version=$tag" \
    --tag "$registry/darkroom-$component:$tag" .
done
