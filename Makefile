# Only Go and make are needed; every target is a line or two of go.

GO         ?= go
FUZZTIME   ?= 10s
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS     = $(if $(VERSION),-X main.version=$(VERSION))

.DEFAULT_GOAL := build

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

build: ## build bin/postmoat and bin/loggen, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

run: build ## replay the attack of July 2004
	./bin/postmoat replay testdata/replay/attack-2004.log.gz

deps: ## install what the firewall tests use (as root, with apt-get; else nothing)
	@.ci/deps

test: deps ## all tests
	$(GO) test ./...

race: ## all tests with the race detector (needs a C compiler)
	$(GO) test -race ./...

lint: ## gofmt, go vet, staticcheck, go.mod
	@test -z "$$(gofmt -l .)" || { echo 'gofmt these files:'; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff

fuzz: ## every fuzz target for FUZZTIME (10s)
	@.ci/fuzz $(FUZZTIME)

bench: ## replay against grep, then the parts of the core (10 minutes)
	$(GO) test -run='^$$' -bench=Replay -benchtime=1x ./cmd/postmoat
	$(GO) test -run='^$$' -bench=. -benchmem ./pkg/maillog ./pkg/rule ./pkg/score ./pkg/cover ./pkg/prefix ./pkg/ban ./pkg/source

bench-firewall: deps ## real nftables and ipset, beside one nft process a ban and nft -f
	$(GO) test -run='^$$' -bench=. -benchtime=7x ./pkg/firewall/nftables ./pkg/firewall/iptables

cover: ## what the tests reach, by function, in cover.out and as a sum
	$(GO) test -coverprofile=cover.out -coverpkg=./pkg/... ./...
	$(GO) tool cover -func=cover.out | tail -1

cross: ## vet and build for the other systems
	@for os in freebsd openbsd darwin; do \
		echo "GOOS=$$os go vet, build"; \
		GOOS=$$os CGO_ENABLED=0 $(GO) vet ./... && GOOS=$$os CGO_ENABLED=0 $(GO) build ./... || exit 1; \
	done

golden: ## rewrite the expected outputs of the tests; review the diff
	@for p in $$(grep -l 'flag.Bool("update"' --include='*_test.go' -r . | xargs -r -n1 dirname | sort -u); do \
		$(GO) test $$p -update || exit 1; \
	done

testdata: ## make the committed logs again
	$(GO) run ./cmd/loggen -mix 2004 -seed 1 -o testdata/replay/attack-2004.log.gz -truth testdata/replay/attack-2004.truth.json

clean: ## remove what make built
	rm -rf bin cover.out

.PHONY: help build run deps test race lint fuzz bench bench-firewall cover cross golden testdata clean
