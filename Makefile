# Everything that a person or CI runs. `make run` and `make test` install what they need themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check unit interop network bench bench-ladder latency players sweep soak deny web setup-run setup-test clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup-run:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

web: setup-run ## build the pages that the binary embeds
	@scripts/build-web.sh

run: web ## build in release and start a demo: a server and a synthetic publisher
	@echo "== building in release (about five minutes the first time)"
	@cargo build --release --locked -p minamo
	@exec target/release/minamo demo

test: setup-test web check unit interop ## everything that CI runs, from a bare machine

check: setup-run ## format, clippy, docs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	npm --prefix sdk-js run check
	npm --prefix web run check

unit: web ## units, simulation in virtual time, the tidy test, sdk-js
	cargo test --workspace --locked
	npm --prefix sdk-js test

interop: setup-test web ## real clients: Chromium with sora-js-sdk and hls.js, Python sora_sdk, ffprobe, our strict HLS client
	cargo build --locked -p minamo -p minamo-tests --bins
	tests/interop/run.sh

players: setup-test web ## hls.js in Chromium and Firefox, Shaka, dash.js and ffmpeg play every form for a minute each
	cargo build --locked -p minamo
	PLAYER_SECONDS=60 tests/interop/run.sh outputs.test.mjs

network: setup-test web ## of these, real Chromium over bad links and over IPv6 alone (root)
	cargo build --locked -p minamo
	tests/interop/run.sh congestion.test.mjs network.test.mjs ipv6.test.mjs

bench: setup-run web ## share of a core per transmuxed channel; ns per forwarded packet beside the bare limit
	@cargo build --release --locked -p minamo -p minamo-tests --bins
	@cargo build --release --locked -p minamo-fanout --features stacks
	@target/release/minamo-bench
	@target/release/minamo-fanout

latency: setup-test web ## from a picture's making to its showing, WHEP and HLS, by stage
	@cargo build --release --locked -p minamo
	@MINAMO_BIN=$(CURDIR)/target/release/minamo node tests/interop/latency.mjs

bench-ladder: setup-run ## 720p to three rungs beside ffmpeg with libx264: CPU, bitrate and PSNR of both
	@cargo run --release --locked --quiet -p minamo-transcode --example ladder-bench

SEEDS ?= 1..200
sweep: ## random rooms in virtual time for SEEDS=a..b (the committed seeds are part of make unit)
	SEEDS=$(SEEDS) cargo test --locked -p minamo-sfu-core --test simulation sweep -- --ignored --nocapture

MINUTES ?= 10
soak: web ## peers that come and go for MINUTES=10: memory and descriptors must stay flat
	@cargo build --locked -p minamo -p minamo-tests --bins
	@target/debug/minamo-soak --minutes $(MINUTES)

deny: ## licences, sources and banned crates of all dependencies; installs cargo-deny if it is missing
	@command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	cargo deny check licenses bans sources

clean:
	cargo clean
	rm -rf .cache web/dist sdk-js/dist
