# What people and CI run. Both `demo` and `test` set a fresh Debian 12 machine up by themselves
# (as root, with Rust and Go there); elsewhere tools/setup says what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench

help: ## Lists the targets.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: ## Installs what the tests need; does nothing where all is there.
	@tools/setup test

demo: ## Builds examples/hello for amd64 and arm64, sealed, and shows the proof.
	@tools/setup demo
	@tools/demo

lint: ## Checks format and lints.
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings

test: setup lint ## Runs all checks and tests, end-to-end ones included.
	cargo test --workspace --no-fail-fast

bench: setup ## Lists the benchmarks, or runs one: make bench NAME=pull
	@if [ -n "$(NAME)" ]; then benches/$(NAME).sh; else sed -n 's/^# bench: //p' benches/*.sh; fi
