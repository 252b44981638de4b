#!/usr/bin/env bash
# Builds web/dist when a source is newer than the last build.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -f web/dist/index.html ] && [ -z "$(find sdk-js web -name node_modules -prune -o -name dist -prune -o -type f -newer web/dist/index.html -print -quit)" ]; then
    exit 0
fi
echo "== building the pages"
npm --prefix web run build --silent
