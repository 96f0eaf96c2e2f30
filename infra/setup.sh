# Sourced by infra/up and infra/test: makes .venv with what this machine needs. Needs bash and Python 3.11 or newer.
# Everything comes from the package index; nothing outside the checkout is changed.

caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
checkout=$PWD

find_python() { # prints the first Python that is new enough
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer with the venv module is needed and was not found. Install it (Debian, Ubuntu:" \
    "apt install python3-venv), or name one: PYTHON=/path/to/python3.12 $0" >&2
  return 1
}

setup() { # setup [--with-tests]: makes .venv complete; ends the script with a reason when it cannot
  local python
  if ! .venv/bin/python -c 'import rich, uv' 2>/dev/null; then
    python=$(find_python) || exit 1
    echo "Preparing the installer ..."
    local told
    # A .venv that works is kept, with what its owner put there; one that a cut-off run left half-made is made anew.
    .venv/bin/python -m pip --version >/dev/null 2>&1 || rm -rf .venv
    if ! told=$({ [ -d .venv ] || "$python" -m venv .venv; } 2>&1 && .venv/bin/python -m pip install -q --disable-pip-version-check uv rich 2>&1); then
      printf '%s\n' "$told" "The installer could not be installed. Check the network and the package index of pip." >&2
      exit 1
    fi
  fi
  .venv/bin/python infra/install.py "$@" || exit 1
}
