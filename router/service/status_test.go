package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// status is the status of a command, as the read API answers.
type status struct {
	ID       string
	Stream   string
	Status   string
	Version  uint64
	Position string
	Problem  *struct{ Type string }
}

// readStatus asks for a command's status, at the Location of its 202.
func (s *stack) readStatus(location string) (status, error) {
	path, found := strings.CutPrefix(location, "http://localhost:3002") // its public URL in tests
	if !found {
		return status{}, fmt.Errorf("location %q is not on the read API", location)
	}
	got, err := s.get(path)
	if err != nil {
		return status{}, err
	}
	var st status
	if err := json.Unmarshal([]byte(got.body), &st); err != nil || got.status != http.StatusOK {
		err := fmt.Errorf("GET %s: %s", path, got)
		if got.status == http.StatusServiceUnavailable {
			err = errors.Join(errNotNow, err)
		}
		return st, err
	}
	return st, nil
}

// errNotNow is a 503: the answer says nothing about the command.
var errNotNow = errors.New("not now")

// firstStatus asks until the answer is no 503. On a busy machine the log answers too
// late.
func (s *stack) firstStatus(location string) (st status, err error) {
	_ = retry(s.t.Context(), func() error { // err is that of the last answer
		if st, err = s.readStatus(location); errors.Is(err, errNotNow) {
			return err
		}
		return nil
	})
	return st, err
}

// waitForStatus waits until a command has a status.
func (s *stack) waitForStatus(location, want string) (st status) {
	s.t.Helper()
	eventually(s.t, location+" is "+want, func() (err error) {
		if st, err = s.readStatus(location); err == nil && st.Status != want {
			err = errors.New("it is " + st.Status)
		}
		return err
	})
	return st
}

// statusURL is the read API's URL of a command's status.
func statusURL(user, commandID string) string {
	return "http://localhost:3002/users/" + user + "/commands/" + commandID
}

// askAtOnce has 16 clients send commands. Each client asks for the status of a
// command before the next command; the status must be there. askAtOnce returns
// all locations.
func (s *stack) askAtOnce(each int) (locations []string) {
	s.t.Helper()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() {
			for n := range each {
				kind := "renameUser"
				if n%5 == 0 {
					kind = "createUser" // the second one is refused
				}
				id := fmt.Sprintf("c:%d~%d", client, n)
				got, err := s.tryPost(fmt.Sprintf(`{"type":%q,"payload":{"id":"user %d/%%","name":"Name %d"},"id":%q}`, kind, client, n/2, id))
				if err != nil || got.status != http.StatusAccepted {
					s.t.Errorf("command %s: %s, %v", id, got, err)
					return
				}
				location := got.header.Get("Location")
				st, err := s.firstStatus(location)
				switch {
				case err != nil:
					s.t.Error(err)
					return
				case st.ID != id || st.Stream != fmt.Sprintf("user/user %d/%%", client):
					s.t.Errorf("asked for the status of %s, and got that of %s of %s", id, st.ID, st.Stream)
				case st.Status != "accepted" && st.Status != "succeeded" && st.Status != "refused":
					s.t.Errorf("the status of %s is %s", id, st.Status)
				}
				mu.Lock()
				locations = append(locations, location)
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	return locations
}

// wantOutcomes waits until all commands have an outcome as status.
func (s *stack) wantOutcomes(locations []string) {
	s.t.Helper()
	history := s.history()
	byID := map[string]eventlog.Record{}
	for _, records := range history {
		for _, r := range records {
			byID[r.CommandID] = r
		}
	}
	for _, location := range locations {
		var r eventlog.Record
		want := "succeeded"
		eventually(s.t, "the outcome at "+location, func() error {
			st, err := s.readStatus(location)
			if err != nil {
				return err
			}
			r = byID[st.ID]
			if r.Type == eventlog.TypeCommandRefused {
				want = "refused"
			}
			if st.Status != want || want == "succeeded" && (st.Version != r.Version || st.Position == "") || want == "refused" && st.Problem == nil {
				return fmt.Errorf("it is %+v, and the log has %s at version %d", st, r.Type, r.Version)
			}
			return nil
		})
	}
}

// A status is good at once after the 202, and becomes the outcome.
func TestStatusAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		s := oneProcess(t)
		s.wantOutcomes(s.askAtOnce(150))
	})
	t.Run("four processes", func(t *testing.T) {
		t.Parallel()
		s := terminals(t)
		s.wantOutcomes(s.askAtOnce(50))
		if got, err := s.get("/users/1/commands/never-sent"); err != nil {
			t.Error(err)
		} else {
			wantProblem(t, got, http.StatusNotFound, "command-not-found")
		}
	})
}

// A lone command shows in all read models of the process as soon as the client
// has the 202.
func TestLoneCommandShowsEverywhere(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for n, shown := 0, 0; shown < 3; n++ {
		if n > 0 {
			time.Sleep(300 * time.Millisecond) // it is alone if none came before for a while
		}
		began := time.Now()
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Alice"},"id":"c"}`, n))
		if time.Since(began) >= 500*time.Millisecond && n < 50 { // the 202 waits no longer: the machine is too busy
			eventually(t, "the command shows later", func() error {
				got, err := s.get("/stats/users")
				if err == nil && !strings.Contains(got.body, fmt.Sprintf(`"active":%d,`, n+1)) {
					err = errors.New(got.String())
				}
				return err
			})
			continue
		}
		shown++
		for path, want := range map[string]string{
			fmt.Sprintf("/users/%d", n):            `"version":1`,
			fmt.Sprintf("/users/%d/history", n):    `"type":"userCreated"`,
			fmt.Sprintf("/users/%d/commands/c", n): `"status":"succeeded"`,
			"/stats/users":                         fmt.Sprintf(`"active":%d,`, n+1),
		} {
			if got, err := s.get(path); err != nil || !strings.Contains(got.body, want) {
				t.Errorf("GET %s: %s %v, want %s in it", path, got, err, want)
			}
		}
	}
}

// Commands with the same id, sent at the same time, make one record. Read-After
// of any of the 202s waits for the outcome.
func TestReadAfterARepeatedCommand(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	var clients sync.WaitGroup
	for n := range 32 {
		clients.Go(func() {
			id := n % 4
			got, err := s.tryPost(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Alice"},"id":"c"}`, id))
			if err != nil || got.status != http.StatusAccepted {
				t.Errorf("POST: %s, %v", got, err)
				return
			}
			var u user
			err = retry(t.Context(), func() error { // the answer may be a 503, but never an older state
				read, err := s.getAfter(s.readAPI, fmt.Sprint("/users/", id), got.header.Get("Position"), &u)
				if read.status == http.StatusServiceUnavailable {
					return err
				}
				if err != nil || u.Version != 1 {
					t.Errorf("user %d is %+v, %v, want version 1", id, u, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
}

// Without a command service that decides, the status of accepted commands stays
// accepted.
func TestStatusWithoutHandlers(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	s.accept(createAlice)
	s.waitForUsers(s.history())

	s.commandService.kill()
	locations := make([]string, 10)
	for i := range locations {
		id := fmt.Sprint("later-", i)
		s.write("renameUser", "user/1", id, fmt.Sprintf(`{"id":1,"name":"Alice %d"}`, i))
		locations[i] = statusURL("1", id)
	}
	for range 2 {
		for _, location := range locations {
			if st, err := s.firstStatus(location); err != nil || st.Status != "accepted" {
				t.Errorf("%s: %+v, %v, want accepted", location, st, err)
			}
		}
	}

	s.commandService.start()
	s.wantOutcomes(locations)
}

// Another address of the read API needs no second setting.
func TestLocationFollowsTheAddress(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.shared["read_api.public_url"] = ""
	s.startBroker()
	all := s.service(settings{"roles": "command-service,query-service,read-api"})
	s.commandService, s.queryService, s.readAPI = all, all, all
	all.start()
	got := s.post(`{"type":"createUser","payload":{"id":1,"name":"Alice"}}`)
	if location := got.header.Get("Location"); !strings.HasPrefix(location, "http://"+strings.Replace(all.at.Queries, "127.0.0.1:", "localhost:", 1)+"/users/1/") {
		t.Errorf("Location %s, and the read API is at %s", location, all.at.Queries)
	}
}

// Only the status of commands without an outcome needs Kafka. The read API finds
// Kafka when Kafka comes.
func TestStatusWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startBroker()
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	s.queryService = s.service(nil, "--config", shipped(t, "query-service.yaml"))
	way := newProxy(t, s.brokers()[0])
	s.readAPI = s.service(settings{"kafka.brokers": way.address}, "--config", shipped(t, "read-api.yaml"))
	s.commandService.launch()
	s.queryService.start()
	s.readAPI.start()
	s.commandService.waitUntilReady(t)

	s.accept(`{"type":"createUser","payload":{"id":1,"name":"Alice"},"id":"first"}`)
	s.waitForUser(user{ID: "1", Name: "Alice", Version: 1, Active: true})
	s.waitForStatus(statusURL("1", "first"), "succeeded")
	got, err := s.get("/users/1/commands/second")
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, got, http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	way.open()
	eventually(t, "kafka is found", func() error {
		if got, err = s.get("/users/1/commands/second"); err == nil && got.status == http.StatusServiceUnavailable {
			err = errors.New(got.body)
		}
		return err
	})
	wantProblem(t, got, http.StatusNotFound, "command-not-found")
}
