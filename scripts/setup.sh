#!/usr/bin/env bash
# Installs what the project needs on a bare Debian 12 with Rust and Node 20, from the ordinary package registries only.
# Usage: scripts/setup.sh run | test | bench.  A second run finds everything in place and returns at once.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}
mkdir -p .cache

say() { printf '\033[36m== %s\033[0m\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "a Rust toolchain is needed (rustup, rust 1.95 or later)"
command -v node >/dev/null || fail "Node 20 or later is needed"

# Debian packages: each with the command or file that shows it is there.
missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || missing+=("$2"); }
need cc build-essential
need cmake cmake
need nasm nasm
need pkg-config pkg-config
need /usr/include/vpx/vpx_decoder.h libvpx-dev
if [ "$what" = test ]; then
    need chromium chromium
    need firefox-esr firefox-esr
    # GStreamer as a WebRTC client; its elements have no commands of their own.
    plugins=$(dirname "$(find /usr/lib -path '*/gstreamer-1.0/libgstcoreelements.so' -print -quit 2>/dev/null)")
    need "$plugins/libgstwebrtc.so" gstreamer1.0-plugins-bad
    need "$plugins/libgstnice.so" gstreamer1.0-nice
    need "$plugins/libgstx264.so" gstreamer1.0-plugins-ugly
    need "$plugins/libgstvpx.so" gstreamer1.0-plugins-good
    need "$plugins/libgstopus.so" gstreamer1.0-plugins-base
    need "$plugins/libgstlibav.so" gstreamer1.0-libav
    /usr/bin/python3 -c 'import gi; gi.require_version("GstWebRTC", "1.0")' 2>/dev/null || missing+=(python3-gi gir1.2-gst-plugins-bad-1.0)
    need ffmpeg ffmpeg
    need /usr/sbin/nginx nginx-light
    need openssl openssl
    need python3 python3
    need /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
    need unzip unzip
    need ip iproute2
    need nsenter util-linux
fi
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >.cache/apt.log 2>&1 \
        || { tail -5 .cache/apt.log >&2; fail "apt-get could not install: ${missing[*]}"; }
fi

# npm packages, again only when the lockfile changed.
npm_ci() {
    local stamp=".cache/npm-${1//\//-}"
    if [ ! -d "$1/node_modules" ] || ! cmp -s "$1/package-lock.json" "$stamp"; then
        say "npm ci in $1"
        (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
        cp "$1/package-lock.json" "$stamp"
    fi
}
npm_ci sdk-js
npm_ci web
[ "$what" != test ] || npm_ci tests/interop

# Python clients in a virtual environment of our own, and OpenH264 2.6 out of the wheel that carries it.
if [ "$what" = test ]; then
    if ! cmp -s tests/interop/requirements.txt .cache/requirements.txt; then
        say "Python clients"
        rm -rf .cache/venv .cache/openh264
        python3 -m venv .cache/venv
        .cache/venv/bin/pip install -q --disable-pip-version-check -r tests/interop/requirements.txt
        mkdir -p .cache/openh264
        .cache/venv/bin/pip download -q --disable-pip-version-check --no-deps -d .cache/openh264 'av==15.1.0'
        (cd .cache/openh264 && unzip -q -o -j av-*.whl 'av.libs/*' && ls libopenh264-*.so.2.6.0 >/dev/null)
        cp tests/interop/requirements.txt .cache/requirements.txt
    fi
fi
