#!/usr/bin/env bash
# Makes the image NAME from Debian's packages: bookworm with its python3.11, the stand-in for
# python:3.11-slim-bookworm where that cannot be pulled.
# Usage: docker/debian-base.sh NAME
set -euo pipefail

if ! command -v debootstrap >/dev/null; then
  echo "debootstrap is missing: apt-get install --no-install-recommends debootstrap" >&2
  exit 1
fi

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
debootstrap --variant=minbase --include=ca-certificates,python3-venv bookworm "$root"
rm -rf "${root:?}"/{var/cache/apt,var/lib/apt/lists,var/log/*,dev/*}
buildah config --cmd sh \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet "$container" "$1"
