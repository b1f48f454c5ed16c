# The one door to this project. `make help` lists what it can do.
.DEFAULT_GOAL := help
.PHONY: help install setup demo test lint types unit integration e2e bench drill lock clean
SHELL := /bin/sh
# Python programs see output at once and leave no bytecode beside the sources.
export PYTHONUNBUFFERED = 1
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider

help: ## 列出全部命令  |  list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## 安装演示所需的一切  |  make .venv with what the demo needs
	@tools/install.sh demo

demo: install ## 演示（ONCE=1：演完即退出）  |  run everything with a story; ONCE=1 ends after it
	@$(BIN)/python -m simulators.photos
	@exec $(BIN)/estate demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT)) $(DEMO_ARGS)

setup: ## 安装测试所需的一切  |  make .venv and the machine ready for tests
	@tools/install.sh dev
	@tools/debian.sh
	@$(BIN)/python -m simulators.photos

test: setup lint types unit integration e2e ## 全部检查与测试  |  everything that must be green

lint: setup ## 代码风格  |  style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## 类型检查  |  types, strict
	$(BIN)/mypy

unit: setup ## 单元测试  |  rules, in seconds, no servers
	$(PYTEST) -n 2 tests/unit

integration: setup ## 集成测试  |  real PostgreSQL, both brokers, the payment stand-ins, short drills
	$(PYTEST) -n 2 --dist loadfile tests/integration tests/drill

e2e: setup ## 端到端测试  |  the demo's story and the pages in Chromium
	$(PYTEST) -n 2 --dist loadfile tests/e2e

bench: setup ## 性能（ONLY=doors 只测一部分）  |  figures beside their floors; ONLY=doors for a part
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

drill: setup ## 长时间故障演练  |  long fault drills; SEED=n repeats one
	$(PYTEST) tests/drill --drill=long $(if $(SEED),--drill-seed=$(SEED))

lock: ## 重新锁定依赖版本  |  resolve the pinned packages anew (needs uv)
	tools/lock.sh

clean: ## 删除运行数据（不删 .venv）  |  remove run data, keep .venv
	rm -rf var
