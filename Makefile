# Shortcuts; bash .ci/run is what decides. Without an argument: this list.
.PHONY: help build test race lint fuzz e2e bench demo

help: ## list the targets
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

build: ## bin/doorward, static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o bin/doorward ./cmd/doorward

test: ## the tests that need nothing but Go
	go test ./...

race: ## the same under the race detector
	go test -race ./...

lint: ## vet, staticcheck, gofumpt, module files
	bash .ci/run lint

fuzz: ## each fuzz target for some seconds
	bash .ci/run fuzz

e2e: ## a real browser and real providers
	cd e2e/oidc-provider && npm ci --no-audit --no-fund --ignore-scripts
	e2e/keycloak/install.sh
	cd e2e && go test -count=1 -timeout 30m ./...

bench: ## the hot path against a bare proxy
	go run ./bench

demo: ## try it
	go run ./cmd/doorward demo
