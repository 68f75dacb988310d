#!/bin/sh
# install.sh cpu|cuda: make the environment of requirements.lock in $VENV, for both kinds of image.
# The lock's torch is the build with CUDA, 4 GB more than the one without. For `cpu` everything else
# comes from the lock with its hashes, and torch and torchvision in the lock's versions from PyTorch's
# own index, which uv knows; builds without CUDA have other hashes than the lock's, so these two have
# none.
set -eu

compute=$1
venv=${VENV:-/opt/venv}
gpu='^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)=='

python3 -m venv "$venv"
case $compute in
cuda)
    "$venv/bin/pip" install --no-cache-dir --require-hashes -r requirements.lock
    ;;
cpu)
    awk -v gpu="$gpu" '/^[a-z0-9]/ { keep = $0 !~ gpu } keep' requirements.lock > rest.lock
    "$venv/bin/pip" install --no-cache-dir --no-deps --require-hashes -r rest.lock
    "$venv/bin/pip" install --no-cache-dir uv==0.13.8
    # Words without spaces: torch==VERSION torchvision==VERSION.
    # shellcheck disable=SC2046
    "$venv/bin/uv" pip install --no-cache --python "$venv/bin/python" --no-deps --torch-backend cpu \
        $(grep -oE '^(torch|torchvision)==[^ ;]+' requirements.lock)
    rm rest.lock
    ;;
*)
    echo "compute: expected cpu or cuda, got '$compute'" >&2
    exit 1
    ;;
esac
