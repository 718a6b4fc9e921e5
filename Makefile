# The menu of what can be run. `make` alone prints it. Nothing here is needed: each line is a command to type as well.
.DEFAULT_GOAL := help
.PHONY: help build test check demo install docs lint format wrap fuzz campaign bench lan swarm-lan hostile

help: ## print this menu
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build the released program, target/release/chunkcast
	cargo build --release --locked

test: ## run all tests
	cargo test --all-features

check: ## run everything that must hold for a change
	.ci/run

demo: ## see a swarm of peers on this machine
	cargo run --release --locked -- demo

install: ## install the program for this user, into ~/.cargo/bin
	cargo install --locked --path .

docs: ## build the documentation of the crate, target/doc/chunkcast/index.html
	cargo doc --locked --no-deps --all-features

lint: ## run the compiler's lints, warnings denied
	cargo clippy --locked --all-targets --all-features -- -D warnings

format: ## format the source
	cargo fmt --all

wrap: ## wrap the documents at 100 columns
	scripts/wrap-docs.py

fuzz: ## fuzz each decoder for a minute (needs cargo-fuzz and a nightly toolchain)
	scripts/fuzz.sh

campaign: ## play a thousand drawn swarms of each kind in the simulator
	scripts/campaign.sh

bench: ## measure beside other programs, as the README shows it
	scripts/bench.sh

lan: ## find and fetch in a LAN of network namespaces (needs root)
	scripts/lan.sh

swarm-lan: ## measure 8 hosts on links of 100 Mbit/s that want 64 MiB (needs root)
	scripts/swarm-lan.sh 8 100 64

hostile: ## attack a peer on such a LAN, and measure a download beside each attack (needs root)
	scripts/hostile.sh
