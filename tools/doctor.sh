#!/usr/bin/env bash
# Names what this machine lacks for building Skewless, all at once. Exit code: how many things are missing.
#   doctor.sh [PYTHON]
set -uo pipefail
python=${1:-python3}
missing=0

good() { printf '  ok       %s\n' "$1"; }
bad() {
    printf '  MISSING  %s\n           %s\n' "$1" "$2"
    missing=$((missing + 1))
}
# at_least HAVE WANT: is version HAVE at least WANT?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

system="$(uname -s) $(uname -m)"
if [ "$system" = "Linux x86_64" ]; then good "$system"; else bad "Linux x86_64 (this is $system)" "run the build in a Linux virtual machine or container"; fi

for tool in make git; do
    if command -v "$tool" >/dev/null; then good "$tool"; else bad "$tool" "apt-get install $tool"; fi
done
if command -v cc >/dev/null; then good "C compiler"; else bad "a C compiler named cc" "apt-get install build-essential"; fi

if have=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null); then
    if at_least "$have" 3.11; then good "Python $have"; else bad "Python >= 3.11 ($python is $have)" "install a newer one and run: make PYTHON=python3.12"; fi
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then good "Python venv"; else bad "Python's venv module" "apt-get install python3-venv"; fi
else
    bad "Python >= 3.11 (no $python)" "apt-get install python3 python3-venv, or run: make PYTHON=/path/to/python3"
fi

if have=$(rustc --version 2>/dev/null | cut -d' ' -f2) && [ -n "$have" ]; then
    if at_least "$have" 1.85.0; then good "Rust $have"; else bad "Rust >= 1.85 (rustc is $have)" "rustup update stable"; fi
    for part in cargo rustfmt cargo-clippy; do
        if command -v "$part" >/dev/null; then good "$part"; else bad "$part" "rustup component add rustfmt clippy"; fi
    done
else
    bad "Rust >= 1.85" "install it with rustup (https://rustup.rs)"
fi

if have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) && [ -n "$have" ]; then
    if at_least "${have#go}" 1.26; then good "Go ${have#go}"; else bad "Go >= 1.26 (this is ${have#go})" "install a newer one (https://go.dev/dl)"; fi
else
    bad "Go >= 1.26" "install it (https://go.dev/dl)"
fi

if [ "$missing" -gt 0 ]; then echo "doctor: $missing missing"; else echo "doctor: nothing is missing"; fi
exit "$missing"
