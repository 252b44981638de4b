#!/usr/bin/env bash
# Real clients, one suite after the other: two cores bear no more. network is apart (make network): it wants the machine to itself; so is outputs
# (make players), in which Shaka stalled once for a second, and ladder, which has not passed yet.
set -euo pipefail
cd "$(dirname "$0")"
if [ $# -gt 0 ]; then files=("$@"); else files=(publish.test.mjs whip.test.mjs firefox.test.mjs transcode.test.mjs gstreamer.test.mjs reach.test.mjs room.test.mjs simulcast.test.mjs spotlight.test.mjs codecs.test.mjs continuity.test.mjs pages.test.mjs origin.test.mjs edge.test.mjs acceptance.test.mjs acceptance-data.test.mjs hostile.test.mjs protected.test.mjs ipv6.test.mjs congestion.test.mjs demo.test.mjs); fi
exec node --test --test-concurrency=1 --test-force-exit --test-reporter=spec "${files[@]}"
