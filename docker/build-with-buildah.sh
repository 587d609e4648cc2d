#!/usr/bin/env bash
# Builds the images without a Docker engine, as docker-bake.hcl does with one.
# Usage: [VARIABLE=...] docker/build-with-buildah.sh [IMAGE ...]     (default: all but dask)
# The variables are docker-bake.hcl's. Without BASE_IMAGE, a Debian base is made and kept.
# With IMAGES_FILE, it pushes each image and writes that file, which `cluster.images_file` reads.
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
images=("$@")
if (($# == 0)); then
  for file in components/*/Dockerfile deploy/trigger/Dockerfile; do
    images+=("$(basename "$(dirname "$file")")")
  done
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

for image in "${images[@]}"; do
  folder=components/$image
  [[ -d $folder ]] || folder=deploy/$image
  buildah build --file "$folder/Dockerfile" "${secrets[@]}" \
    --build-context "darkroom-build=container-image://localhost/darkroom-build:$tag" \
    --build-context "darkroom-runtime=container-image://localhost/darkroom-runtime:$tag" \
    --build-arg "REVISION=${REVISION:-}" --build-arg "TRAIN_GROUP=${TRAIN_GROUP:-train}" \
    --build-arg "EVALUATE_GROUP=${EVALUATE_GROUP:-evaluate}" \
    --label "org.opencontainers.image.title=darkroom $image" \
    --label "org.opencontainers.image.source=${SOURCE:-}" \
    --label "org.opencontainers.image.revision=${REVISION:-}" \
    --label "org.opencontainers.image.version=$tag" \
    --tag "$registry/darkroom-$image:$tag" .
done

[[ -n ${IMAGES_FILE:-} ]] || exit 0
digest=$(mktemp)
trap 'rm -f "$digest"' EXIT
entries=()
for image in "${images[@]}"; do
  name=$registry/darkroom-$image:$tag
  buildah push --digestfile "$digest" "$name"
  entries+=("\"$image\": {\"containerimage.digest\": \"$(<"$digest")\", \"image.name\": \"$name\"}")
done
(IFS=, && printf '{%s}\n' "${entries[*]}") >"$IMAGES_FILE"
