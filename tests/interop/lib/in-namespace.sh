#!/bin/sh
# Chromium in another network namespace: playwright wants one file to run.
exec nsenter --net="$INTEROP_NETNS" -- "${CHROMIUM:-/usr/bin/chromium}" "$@"
