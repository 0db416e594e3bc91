# Sourced by run and test, from the top folder.

# Where this is set, each process compiles the product anew as it starts, and the tests start hundreds.
unset PYTHONDONTWRITEBYTECODE

# prepare_venv LOCK: .venv with exactly these hash-checked versions; does nothing when it has them already.
prepare_venv() {
    digest=$(sha256sum < "$1")
    grep -qx "$digest" .venv/installed 2>/dev/null && return 0
    if [ ! -x .venv/bin/pip ]; then
        python=$(find_python)
        rm -rf .venv
        if ! "$python" -m venv .venv >/dev/null 2>&1; then
            rm -rf .venv
            need python3-venv
            "$python" -m venv .venv
        fi
    fi
    echo "Installing the packages of $1 (once) ..." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$1" >&2
    echo "$digest" >> .venv/installed
    # The development lock holds everything of the other one too.
    [ "$1" = requirements.lock ] || sha256sum < requirements.lock >> .venv/installed
}

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    echo "Mailbound needs Python 3.11 or newer." >&2
    exit 1
}

# need PACKAGE...: install Debian packages if we are root, else say the one line to type and stop.
need() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $* ..." >&2
        mkdir -p var
        # RUNLEVEL=1: packages must not start servers of their own on this machine.
        apt-get update -q >/dev/null 2>&1 || true
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "$@" >var/apt.log 2>&1 || { cat var/apt.log >&2; exit 1; }
    else
        echo "Please install: sudo apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
}
