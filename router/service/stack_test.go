package service

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stack is the processes of a test, on a Kafka and a store of their own: the
// embedded broker and SQLite, or the servers of $KAFKA_BROKERS and
// $POSTGRES_URL.
type stack struct {
	t      *testing.T
	shared settings // of all its processes: where their data is
	client *http.Client

	// The processes by role. One process may have several roles. On a real Kafka
	// there is no broker.
	broker, commandService, queryService, readAPI *service

	all []*service // that were ever made
}

// newStack has the place for the data, and no process yet.
func newStack(t *testing.T) *stack {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	s := &stack{
		t:      t,
		client: &http.Client{Transport: transport, Timeout: patience},
		shared: settings{
			"data_dir":                filepath.Join(t.TempDir(), "data"),
			"broker.address":          anyPort,
			"command_service.address": anyPort,
			"read_api.address":        anyPort,
			"read_api.public_url":     "http://localhost:3002",
			"admin.address":           anyPort,
		},
	}
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		s.useKafka(brokers)
	}
	if url := os.Getenv("POSTGRES_URL"); url != "" {
		s.usePostgres(url)
	}
	return s
}

// oneProcess is all roles in one ready process, as with go run ./app; on a real
// Kafka, all roles but the broker.
func oneProcess(t *testing.T) *stack {
	t.Helper()
	s := newStack(t)
	s.startOneProcess()
	return s
}

func (s *stack) startOneProcess() {
	s.t.Helper()
	roles := []string{"broker", "command-service", "query-service", "read-api"}
	if s.onKafka() {
		roles = roles[1:]
	}
	all := s.service(settings{"roles": strings.Join(roles, ",")})
	s.commandService, s.queryService, s.readAPI = all, all, all
	if !s.onKafka() {
		s.broker = all
	}
	all.start()
}

// terminals is a ready process for each role, from the shipped files, as people
// start the roles in four terminals.
func terminals(t *testing.T) *stack {
	t.Helper()
	s := newStack(t)
	s.startTerminals()
	return s
}

func (s *stack) startTerminals() {
	t := s.t
	t.Helper()
	s.startBroker()
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	s.queryService = s.service(nil, "--config", shipped(t, "query-service.yaml"))
	s.readAPI = s.service(nil, "--config", shipped(t, "read-api.yaml"))
	three := []*service{s.commandService, s.queryService, s.readAPI}
	for _, service := range three {
		service.launch()
	}
	for _, service := range three {
		service.waitUntilReady(t)
	}
}

// startBroker starts the embedded broker in a process of its own. On a real
// Kafka there is nothing to do.
func (s *stack) startBroker() {
	s.t.Helper()
	if s.onKafka() {
		return
	}
	s.broker = s.service(nil, "--config", shipped(s.t, "broker.yaml"))
	s.broker.start()
	s.shared["kafka.brokers"] = s.broker.at.Broker
}

// services are the processes.
func (s *stack) services() []*service {
	var all []*service
	for _, service := range []*service{s.broker, s.commandService, s.queryService, s.readAPI} {
		if service != nil && !slices.Contains(all, service) {
			all = append(all, service)
		}
	}
	return all
}

func (s *stack) onKafka() bool { return s.shared["kafka.topic_prefix"] != "" }

// brokers are the addresses of Kafka, for other clients.
func (s *stack) brokers() []string {
	if s.broker != nil {
		return []string{s.broker.at.Broker}
	}
	return strings.Split(s.shared["kafka.brokers"], ",")
}

// service is a process of a stack. A service can end and start again.
type service struct {
	*process // the present one
	at       Addresses
	t        *testing.T
	set      settings
	args     []string
}

func (s *stack) service(set settings, args ...string) *service {
	made := &service{t: s.t, set: s.shared.with(set), args: args}
	for key, address := range made.set {
		if address == anyPort {
			made.set[key] = ownAddress(s.t) // clients find the service again after a restart
		}
	}
	s.all = append(s.all, made)
	return made
}

// setenv sets a variable of [testDomain] for all processes that start from now
// on. Other than t.Setenv, setenv leaves other stacks alone.
func (s *stack) setenv(name, value string) {
	s.shared[name] = value
	for _, service := range s.all {
		service.set[name] = value
	}
}

// start starts the service, and waits until the service is ready.
func (s *service) start() {
	s.t.Helper()
	s.launch()
	began := time.Now()
	s.waitUntilReady(s.t)
	s.t.Logf("%s is ready, %s after its banner", s, time.Since(began).Round(time.Millisecond))
}

// String is the service's file, or the roles.
func (s *service) String() string {
	if len(s.args) > 1 {
		return filepath.Base(s.args[1])
	}
	return s.set["roles"]
}

// launch starts the service, at the same addresses each time.
func (s *service) launch() {
	s.t.Helper()
	again := s.process != nil
	s.process = launch(s.t, s.set, s.args...)
	s.waitForBanner(s.t)
	if !again { // clients are reading the addresses
		s.at = s.process.at
	}
}

// shipped is a file of ../config.
func shipped(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "config", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
