package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// twoCommandServices is a stack with two command services, and no read side.
func twoCommandServices(t *testing.T, set settings) (*stack, []*service) {
	t.Helper()
	s := newStack(t)
	s.startBroker()
	var both []*service
	for i := range 2 {
		own := settings{"data_dir": fmt.Sprint(s.shared["data_dir"], i)}.with(set)
		both = append(both, s.service(own, "--config", shipped(t, "command-service.yaml")))
	}
	for _, service := range both {
		service.launch()
	}
	for _, service := range both {
		service.waitUntilReady(t)
	}
	s.commandService = both[0]
	return s, both
}

// outcome is the last answer about a command.
type outcome struct {
	id      string
	status  int
	version uint64
}

// ask posts a command to the services in turn, with Prefer: wait, until an
// answer is the outcome.
func ask(ctx context.Context, s *stack, services []*service, first int, id, command string) (outcome, error) {
	for try := first; ; try++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+services[try%2].at.Commands+"/commands", strings.NewReader(command))
		if err != nil {
			return outcome{}, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Prefer", "wait=20")
		request.Header.Set("Idempotency-Key", id)
		response, err := s.client.Do(request)
		if err == nil {
			var body struct{ Version uint64 }
			err = json.NewDecoder(response.Body).Decode(&body)
			_ = response.Body.Close()
			if err == nil && response.StatusCode != http.StatusServiceUnavailable && response.StatusCode != http.StatusAccepted {
				return outcome{id, response.StatusCode, body.Version}, nil
			}
		}
		select {
		case <-ctx.Done():
			return outcome{}, fmt.Errorf("command %s: no outcome: %w", id, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// 64 clients race on one user, each with the version that the client expects,
// while one of the two services is killed again and again. Each version is taken
// once, and every client gets the true outcome.
func TestRaceOnOneUser(t *testing.T) {
	t.Parallel()
	const clients, commands, kills = 64, 10_000, 3
	s, both := twoCommandServices(t, settings{"handlers.outcomes_per_stream": "1000"})
	s.client.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	var version, sent atomic.Int64
	milestones := make(chan struct{}, kills)
	var mu sync.Mutex
	var told []outcome
	var failed error
	var racing sync.WaitGroup
	for client := range clients {
		racing.Go(func() {
			for n := sent.Add(1); n <= commands; n = sent.Add(1) {
				expected := version.Load()
				command := fmt.Sprintf(`{"type":"renameUser","payload":{"id":1,"name":"Name %d"},"expectedVersion":%d}`, n, expected)
				if expected == 0 {
					command = `{"type":"createUser","payload":{"id":1,"name":"Name 0"},"expectedVersion":0}`
				}
				got, err := ask(ctx, s, both, client, fmt.Sprint("c", n), command)
				mu.Lock()
				told = append(told, got)
				if len(told)%(commands/(kills+1)) == 0 && len(told) < commands {
					milestones <- struct{}{}
				}
				if err != nil {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
				if got.status == http.StatusOK {
					version.Store(int64(got.version))
				}
			}
		})
	}
	for kill := range kills {
		select {
		case <-milestones:
			victim := both[kill%2]
			victim.kill()
			victim.start()
		case <-ctx.Done():
		}
	}
	racing.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	t.Logf("%d commands, %d kills, version %d", len(told), kills, version.Load())

	records := s.history()["user/1"]
	byID := map[string]eventlog.Record{}
	for _, r := range records {
		byID[r.CommandID] = r
	}
	if len(told) != commands || len(byID) != commands {
		t.Errorf("%d answers and %d outcomes for %d commands", len(told), len(byID), commands)
	}
	for _, o := range told {
		r := byID[o.id]
		switch isEvent := eventlog.IsEvent(r.Type); {
		case o.status == http.StatusOK && (!isEvent || r.Version != o.version):
			t.Errorf("%s was told that it made version %d, and the log has %s at version %d", o.id, o.version, r.Type, r.Version)
		case o.status != http.StatusOK && isEvent:
			t.Errorf("%s was told %d, and the log has %s", o.id, o.status, r.Type)
		case o.status != http.StatusOK && o.status != http.StatusPreconditionFailed:
			t.Errorf("%s was told %d", o.id, o.status)
		}
	}
}

// A service that was frozen past the session, and comes back, notices, and
// changes nothing that the other service has done since.
func TestFrozenServiceComesBack(t *testing.T) {
	t.Parallel()
	s, both := twoCommandServices(t, nil)
	s.client.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stop atomic.Bool
	var working sync.WaitGroup
	var mu sync.Mutex
	const clients = 32
	told, decided := map[string]outcome{}, make([]int, clients)
	for client := range clients {
		working.Go(func() {
			for n := 0; !stop.Load(); n++ {
				id := fmt.Sprintf("c%d-%d", client, n)
				kind := "renameUser"
				if n == 0 {
					kind = "createUser"
				}
				command := fmt.Sprintf(`{"type":%q,"payload":{"id":%d,"name":"Name %d"}}`, kind, client, n)
				// The frozen one is not asked: it would not answer.
				got, err := ask(ctx, s, []*service{both[1], both[1]}, 0, id, command)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				told[id] = got
				decided[client]++
				mu.Unlock()
			}
		})
	}
	// Each user must go on: those of the partitions that a frozen service has
	// can only once the other has taken them over.
	eachGoesOn := func() {
		mu.Lock()
		before := slices.Clone(decided)
		mu.Unlock()
		eventually(t, "commands of each user are decided", func() error {
			mu.Lock()
			defer mu.Unlock()
			for client, n := range decided {
				if n < before[client]+10 {
					return fmt.Errorf("user %d: %d", client, n-before[client])
				}
			}
			return nil
		})
	}
	eachGoesOn()
	both[0].freeze(t)
	eachGoesOn()
	both[0].signal(t, syscall.SIGCONT)
	eachGoesOn()
	both[0].waitUntilReady(t)
	stop.Store(true)
	working.Wait()

	history := s.history()
	late := len(s.dump(eventlog.TopicEvents))
	for _, records := range history {
		late -= len(records)
	}
	t.Logf("%d records came too late, and count for nothing", late)
	for id, o := range told {
		if o.status != http.StatusOK {
			t.Errorf("%s was told %d", id, o.status)
		}
	}
	for client := range clients {
		for i, r := range history[fmt.Sprint("user/", client)] {
			if r.Version != uint64(i+1) || told[r.CommandID].version != r.Version {
				t.Errorf("user %d, command %s: told version %d, the log has %d, and it is number %d", client, r.CommandID, told[r.CommandID].version, r.Version, i+1)
			}
		}
	}
}
