# All targets need Go. testing/real/servers says what real-up needs.

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0
GOTESTSUM_VERSION     := v1.13.0
GOLANGCI_LINT         := bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

# The module at the top, and the modules below. The dependencies of a module below don't come along
# when somebody imports Millrace.
MODULES := . examples/bank examples/hello testing/console testing/openapi testing/torture

# gotestsum prints a line for each package or test that is done, shows the whole output of a failed
# test, and lists the failed tests again at the end.
GOTESTSUM  = go run gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
BY_PACKAGE = $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg
BY_TEST    = $(GOTESTSUM) --format testname

# All packages but router/service. The tests of router/service start whole processes and need the
# machine for themselves, but wait more than they compute: several at once are done sooner.
PACKAGES = $(filter-out %/router/service,$(shell go list ./...))

# Tests of whole processes under load: on two cores such processes never catch up with the race
# detector. So make test-all runs the others with the race detector and -short, and these without
# both. TestUnderLoad holds the list.
UNDER_LOAD := TestAForeignReaderKeepsItsView|TestBrokerOutage|TestKillEach|TestKilledManyTimes|TestManyStuckConnections|TestPublicTopicOfKilledServices|TestQueryServiceKilledAgainAndAgain|TestRebuildUnderTraffic|TestStateStoreOfKilledService|TestStopWhileBrokerHangs|TestVerifyUnderLoad

# The race detector needs a C compiler.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# Builds packages and their tests, and prints the name of each package that is built.
COMPILE = go list -v -test -export -deps -f ''

.DEFAULT_GOAL := help
.PHONY: help run build test test-all test-clients test-console test-real real-up real-down stack-test fuzz lint bench torture vuln clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run all four roles in one process, with their data in ./data
	go run ./app

build: ## Build bin/millrace, one static binary
	CGO_ENABLED=0 go build -trimpath -o bin/millrace ./app

test: ## Run all tests but the longest, without the race detector; needs Go only (three minutes once built)
	@echo "make test: all tests but the longest: three minutes on two cores. The first run builds everything before: some minutes more."
	@$(COMPILE) ./... >/dev/null
	@$(BY_PACKAGE) -- -short -timeout 10m $(PACKAGES)
	@$(BY_TEST) -- -short -parallel 4 -timeout 10m ./router/service

# By default each process with the race detector sleeps for a second before the process ends.
test-all: export GORACE ?= atexit_sleep_ms=0
test-all: ## Run all tests of all modules, most with the race detector (OUTAGE=1m: the broker stays away for a minute; FULL=1: the read side's tests at full size, an hour)
	@echo "make test-all: all tests: ten minutes on two cores. The first run builds everything before: some minutes more."
	@$(COMPILE) $(RACE) ./... >/dev/null
	$(BY_PACKAGE) -- $(RACE) -short -timeout 30m $(PACKAGES)
	$(BY_TEST) -- $(RACE) -short -parallel 3 -timeout 90m ./router/service
	@$(COMPILE) ./router/service >/dev/null
	$(BY_TEST) -- -parallel 4 -timeout 30m -run '^($(UNDER_LOAD))$$' ./router/service
	for module in $(filter-out .,$(MODULES)); do (cd $$module && $(BY_PACKAGE) -- $(RACE) -count=1 -timeout 10m ./...) || exit 1; done

test-clients: ## Make the clients of docs/clients.md and the consumers of docs/public-topics.md, and run them; Node.js and Python are installed if missing
	@examples/clients/tools
	@$(COMPILE) ./testing/guide ./app >/dev/null
	CLIENTS_TEST=1 $(BY_TEST) -- -count=1 -timeout 10m -run '^Test(Clients|Consumers)$$' ./testing/guide

test-real: ## Run the acceptance tests on real servers: $KAFKA_BROKERS and $POSTGRES_URL, or those of real-up
test-real: export KAFKA_BROKERS ?= localhost:$(or $(KAFKA_PORT),19092)
test-real: export POSTGRES_URL ?= postgres://millrace:millrace@localhost:$(or $(POSTGRES_PORT),15432)/millrace?sslmode=disable
test-real: export KAFKA_SECURE_BROKERS ?= localhost:$(or $(KAFKA_SECURE_PORT),19094)
test-real: export KAFKA_SECURE_CA ?= $(wildcard $(or $(TMPDIR),/tmp)/millrace-real/kafka/ca.pem)
test-real:
	@$(COMPILE) ./... >/dev/null
	$(BY_PACKAGE) -- -count=1 -p 1 -timeout 30m ./projections/... ./router/kafka/... ./router/projection/... ./router/query/... ./router/readmodel ./router/sqlstore
	$(BY_TEST) -- -count=1 -parallel 6 -timeout 30m ./router/service
	cd testing/openapi && $(BY_PACKAGE) -- -count=1 -timeout 10m ./...

test-console: ## Try the console in a headless Chromium, which is installed if missing; the pictures are in bin/console
	@testing/console/chromium
	@cd testing/console && $(COMPILE) ./... >/dev/null
	cd testing/console && CONSOLE_TEST=1 $(BY_TEST) -- -count=1 -parallel 2 -timeout 10m ./...

real-up: ## Start a real Apache Kafka and PostgreSQL for test-real, and wait until both answer
	@testing/real/servers up

real-down: ## Stop the two servers of real-up, and delete their data
	@testing/real/servers down

stack-test: ## Kill the containers of docker-compose.yml under traffic; needs a container engine (some minutes)
	STACK_TEST=1 go test -count=1 -v -timeout 30m ./testing/stack

FUZZTIME ?= 10s

fuzz: ## Fuzz every decoder for $FUZZTIME each (10s); a failing input goes to testdata/fuzz, beside the code
	@built=$$(mktemp -d); trap 'rm -rf "$$built"' EXIT; \
	for folder in $$(grep -rl --include=\*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		go -C $$folder test -c -fuzz=. -o "$$built/fuzz" . || exit 1; \
		for target in $$(cd $$folder && "$$built/fuzz" -test.list '^Fuzz'); do \
			echo "$$folder $$target"; \
			said=$$(cd $$folder && "$$built/fuzz" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzcachedir "$$(go env GOCACHE)/fuzz/millrace/$$folder" 2>&1) || { echo "$$said"; exit 1; }; \
		done; \
	done

lint: $(GOLANGCI_LINT) ## Check format, go vet and golangci-lint
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt'ed:" $$unformatted; exit 1; fi
	for module in $(MODULES); do (cd $$module && go vet ./... && "$(CURDIR)/$(GOLANGCI_LINT)" run ./...) || exit 1; done
	@made=$$(mktemp -d); trap 'rm -rf "$$made"' EXIT; echo "a service of app new, as golangci-lint sees the service"; \
	go run ./app new "$$made/shop" --module example.com/shop --aggregate order --replace "$(CURDIR)" >/dev/null && cd "$$made/shop" && \
	go run . new command ship order >/dev/null && "$(CURDIR)/$(GOLANGCI_LINT)" run --config "$(CURDIR)/.golangci.yml" ./...

$(GOLANGCI_LINT):
	@echo "building golangci-lint $(GOLANGCI_LINT_VERSION), once, some minutes"
	GOBIN="$(CURDIR)/bin" nice go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv bin/golangci-lint $@

bench: build ## Measure Millrace beside its limits, in one run (some minutes; on $KAFKA_BROKERS, if set; BENCH_USERS=1000000 for a long log; BENCH="-only throughput")
	go run ./testing/bench $(BENCH)

torture: ## Kill, freeze and cut off processes under traffic, and check every promise (3 minutes; TORTURE="-seed 1 -duration 30s")
	cd testing/torture && go run . $(TORTURE)

vuln: ## Check the dependencies for known vulnerabilities (asks vuln.go.dev)
	for module in $(MODULES); do go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) -C $$module ./... || exit 1; done

clean: ## Delete bin; ./data stays
	rm -rf bin
