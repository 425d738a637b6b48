# Only Go and make are needed; every target is a line or two of go.

GO         ?= go
FUZZTIME   ?= 10s
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null)
# Guides the compiler where a program is built to be used. It has another name than
# default.pgo: tests and vet would build every package twice.
PROFILE     = cmd/postmoat/replay.pgo
LDFLAGS     = $(if $(VERSION),-X main.version=$(VERSION))

# The program that writes man pages and the like has to run on this host, whatever
# system is built for.
ifeq ($(GOOS)$(GOARCH),)
HOSTTOOL    = bin/postmoat
else
HOSTTOOL    = bin/host/postmoat
endif
BINARY     ?= bin/postmoat
SHARE      ?= bin/share
# Of the commit, so that the same source gives the same pages.
DATE       := $(shell git log -1 --format=%cs 2>/dev/null)
DESTDIR    ?=
PREFIX     ?= /usr/local
sysconfdir ?= /etc
INSTALLENV  = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(sysconfdir)' BINARY='$(BINARY)' SHARE='$(SHARE)'
NFPM        = github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
# Systems that dist builds for; vet of cross looks at one of each kind.
SYSTEMS     = linux/amd64 linux/arm64 freebsd/amd64 freebsd/arm64 openbsd/amd64 openbsd/arm64 darwin/amd64 darwin/arm64

.DEFAULT_GOAL := all

all: build man completions defaults ## build the program and all that install puts in place

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

build: ## build bin/postmoat and bin/loggen, static
	CGO_ENABLED=0 $(GO) build -trimpath -pgo=$(PROFILE) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

run: build ## replay the attack of July 2004
	./bin/postmoat replay testdata/replay/attack-2004.log.gz

deps: ## install what tests use (as root, with apt-get; all of it with CI=true)
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
	$(GO) test -run='^$$' -bench=. -benchmem ./pkg/maillog ./pkg/rule ./pkg/score ./pkg/cover ./pkg/prefix ./pkg/ban ./pkg/engine ./pkg/source

bench-firewall: deps ## real nftables and ipset, beside one nft process a ban and nft -f
	$(GO) test -run='^$$' -bench=. -benchtime=7x ./pkg/firewall/nftables ./pkg/firewall/iptables

bench-live: deps ## the daemon: line to dropped packet (beside fail2ban where it is installed), sustained rate, memory, start
	$(GO) test -run='^$$' -bench=Live -benchtime=1x -timeout=20m ./cmd/postmoat

cover: ## what the tests reach, by function, in cover.out and as a sum
	$(GO) test -coverprofile=cover.out -coverpkg=./pkg/... ./...
	$(GO) tool cover -func=cover.out | tail -1

cross: ## vet and build for the other systems, static
	@for os in freebsd openbsd darwin; do \
		echo "GOOS=$$os go vet"; \
		GOOS=$$os CGO_ENABLED=0 $(GO) vet ./... || exit 1; \
	done
	@for sys in $(SYSTEMS); do \
		echo "$$sys go build"; \
		GOOS=$${sys%/*} GOARCH=$${sys#*/} CGO_ENABLED=0 $(GO) build ./... || exit 1; \
	done

dist: ## static programs for all systems, in dist/
	@mkdir -p dist
	@for sys in $(SYSTEMS); do \
		out=dist/postmoat-$${sys%/*}-$${sys#*/}; echo "$$out"; \
		GOOS=$${sys%/*} GOARCH=$${sys#*/} CGO_ENABLED=0 $(GO) build -trimpath -pgo=$(PROFILE) -ldflags '-s -w $(LDFLAGS)' -o $$out ./cmd/postmoat || exit 1; \
	done

hosttool: build
	@test $(HOSTTOOL) = bin/postmoat || GOOS= GOARCH= CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o $(HOSTTOOL) ./cmd/postmoat

man: hosttool ## man pages of all commands, in bin/share/man8
	@rm -rf $(SHARE)/man8 && mkdir -p $(SHARE)/man8
	$(HOSTTOOL) man --date '$(DATE)' $(SHARE)/man8

completions: hosttool ## for bash, zsh and fish, in bin/share
	@mkdir -p $(SHARE)
	$(HOSTTOOL) completion bash >$(SHARE)/postmoat.bash
	$(HOSTTOOL) completion zsh >$(SHARE)/_postmoat
	$(HOSTTOOL) completion fish >$(SHARE)/postmoat.fish

defaults: hosttool ## the default configuration, all of it commented out, in bin/share
	@mkdir -p $(SHARE)
	$(HOSTTOOL) check --defaults | awk -f contrib/comment.awk >$(SHARE)/postmoat.yaml

install: ## put what make built in place: DESTDIR, PREFIX=/usr/local, sysconfdir=/etc
	@test -x $(BINARY) && test -s $(SHARE)/postmoat.yaml || $(MAKE) all
	@$(INSTALLENV) contrib/install.sh install

uninstall: ## take it away again; configuration and state stay
	@$(INSTALLENV) contrib/install.sh uninstall

packages: all ## Debian and RPM packages for amd64 and arm64, in dist/
	@GO='$(GO)' NFPM='$(NFPM)' PROFILE='$(PROFILE)' LDFLAGS='-s -w $(LDFLAGS)' VERSION='$(VERSION)' contrib/packages.sh

test-packages: deps ## packages, looked into; the Debian one installed and started in a system of its own
	@contrib/test-packages.sh

golden: ## rewrite the expected outputs of the tests; review the diff
	@for p in $$(grep -l 'flag.Bool("update"' --include='*_test.go' -r . | xargs -r -n1 dirname | sort -u); do \
		$(GO) test $$p -update || exit 1; \
	done

pgo: ## make the profile again that guides the compiler, cmd/postmoat/replay.pgo
	$(GO) test -run='^$$' -bench=Replay -benchtime=100x -o bin/report.test -cpuprofile=$(PROFILE) ./pkg/report

testdata: ## make the committed logs again
	$(GO) run ./cmd/loggen -mix 2004 -seed 1 -o testdata/replay/attack-2004.log.gz -truth testdata/replay/attack-2004.truth.json

clean: ## remove what make built
	rm -rf bin dist cover.out

.PHONY: help all build hosttool man completions defaults install uninstall packages test-packages dist run deps test race lint fuzz bench bench-firewall bench-live cover cross golden pgo testdata clean
