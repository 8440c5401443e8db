#!/usr/bin/env bash
# Makes .venv and installs what is missing: Python packages and, on Debian, the browser. Does nothing when nothing has
# changed since the last time.
#
#   scripts/setup.sh [all|dev]     all: what the demo needs (default); dev: that and the tools for working on the code
#
#   PYTHON                 the interpreter to build on (default python3)
#   TRACER1_TORCH_INDEX    where to take torch from, such as https://download.pytorch.org/whl/cpu; a plain install
#                          takes the CUDA build on Linux, which is several gigabytes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extra=${1:-all}
python=${PYTHON:-python3}
started=$SECONDS
say() { printf '==> [%3d s] %s\n' $((SECONDS - started)) "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

case $extra in all | dev) ;; *) fail "unknown set '$extra'; use all or dev" ;; esac
command -v "$python" >/dev/null || fail "no $python; install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is too old; set PYTHON to 3.11 or newer"

debian_packages() {
  command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || echo chromium-headless-shell
  command -v dpkg-query >/dev/null || return 0
  for package in fonts-liberation fonts-dejavu-core; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

missing=$(debian_packages | xargs)
if [ -n "$missing" ]; then
  if ! command -v apt-get >/dev/null; then
    fail "the browser needs: $missing; install Chromium (headless) and these fonts with your system's packages"
  elif [ "$(id -u)" -ne 0 ]; then
    fail "the browser needs Debian packages; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
  fi
  say "Debian packages: $missing"
  apt-get update -q
  # shellcheck disable=SC2086  one word a package
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

wanted=$({ cat pyproject.toml constraints.txt scripts/setup.sh; "$python" --version; pwd; } | sha256sum | cut -d' ' -f1)
for stamp in ".venv/.installed-$extra" .venv/.installed-dev; do  # dev holds all of all
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
  fi
done

pip=(.venv/bin/python -m pip install --disable-pip-version-check --progress-bar off)
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  say "virtual environment in .venv"
  rm -rf .venv
  "$python" -m venv .venv || fail "$python cannot make a virtual environment (Debian: apt-get install python3-venv)"
fi
torch=$(sed -n 's/^torch==/torch==/p' constraints.txt)
if ! .venv/bin/python -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").split("+")[0] != sys.argv[1])' \
  "${torch#torch==}" 2>/dev/null; then
  say "$torch (the largest download)"
  "${pip[@]}" ${TRACER1_TORCH_INDEX:+--index-url "$TRACER1_TORCH_INDEX"} "$torch"
fi
say "tracer1 and what it needs ($extra)"
"${pip[@]}" --quiet -c constraints.txt -e ".[$extra]"
echo "$wanted" >".venv/.installed-$extra"
say "installed"
