package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// races is how many times clients race for an email: $RACES, or 6.
func races(t *testing.T) int {
	t.Helper()
	text := os.Getenv("RACES")
	if text == "" {
		return 6
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("RACES is not a number:", err)
	}
	return n
}

// withClaims lets emails be unique, as in the shipped service.
const withClaims = "TEST_CLAIMS"

// Values that were in the log before their claims are refused at the start.
func TestClaimsOnValuesThatAreThere(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startBroker()
	set := settings{"data_dir": s.shared["data_dir"] + "-own"}
	before := s.service(set, "--config", shipped(t, "command-service.yaml"))
	before.start()
	s.commandService = before
	for user := range 3 {
		for _, command := range []string{`{"type":"createUser","payload":{"id":%d,"name":"Ann"}}`, `{"type":"changeEmail","payload":{"id":%d,"email":"ann@example.org"}}`} {
			if got := s.wait(fmt.Sprintf(command, user)); got.status != http.StatusOK {
				t.Fatal(got)
			}
		}
	}
	before.kill()
	s.refuses(set.with(settings{withClaims: "yes"}), []string{"values that must be unique are in the log already", "3 streams"}, "--config", shipped(t, "command-service.yaml"))
}

// longRace is how often a service is frozen for longer than its session: other
// freezes are short.
const longRace = 6

// 16 clients race for one email over two command services, one of which is frozen
// and thawed meanwhile. One user has the email, each time, and nothing is claimed
// for ever.
func TestOneRacerHasTheEmail(t *testing.T) {
	t.Parallel()
	const racers = 16
	s, both := twoCommandServices(t, settings{withClaims: "yes"})
	s.client.Timeout = 2 * time.Second // a frozen service doesn't answer
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(2+races(t)/5)*time.Minute)
	defer cancel()
	for user := range racers {
		if got, err := ask(ctx, s, both, 0, "create", fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Racer"}}`, user)); err != nil || got.status != http.StatusOK {
			t.Fatal(got, err)
		}
	}
	luck := rand.New(rand.NewPCG(1, 2))
	for race := range races(t) {
		won := make([]bool, racers)
		var racing sync.WaitGroup
		for user := range racers {
			// Each in a form of its own: the comparison ignores case.
			email := []byte(fmt.Sprintf("winner-of-%d@example.org", race))
			email[user%6] -= 'a' - 'A'
			racing.Go(func() {
				got, err := ask(ctx, s, both, user, fmt.Sprint("race-", race), fmt.Sprintf(`{"type":"changeEmail","payload":{"id":%d,"email":%q}}`, user, email))
				if err != nil || got.status != http.StatusOK && got.status != http.StatusConflict {
					t.Errorf("race %d, user %d: %+v, %v", race, user, got, err)
				}
				won[user] = got.status == http.StatusOK
			})
		}
		frozen, pause := both[luck.IntN(2)], time.Duration(luck.IntN(300))*time.Millisecond
		if race%longRace == longRace-1 {
			pause = 8 * time.Second // the other service takes over
		}
		time.Sleep(time.Duration(luck.IntN(30)) * time.Millisecond) // any moment of the race
		frozen.freeze(t)
		time.Sleep(pause)
		frozen.signal(t, syscall.SIGCONT)
		racing.Wait()
		winners := 0
		for _, one := range won {
			if one {
				winners++
			}
		}
		if winners != 1 {
			t.Fatalf("race %d has %d winners: %v", race, winners, won)
		}
	}
	for _, service := range both {
		service.waitUntilReady(t)
	}
	eventually(t, "each email belongs to the user who has it, and no other email to anybody", func() error { return ownersOf(s.readLog()) })
}

// ownersOf compares the claims of all users with the owners of all values.
func ownersOf(log map[string][]eventlog.Record) error {
	var wrong []error
	owners, held := map[string]string{}, map[string]string{}
	for stream, records := range log {
		if strings.HasPrefix(stream, "unique/") {
			for _, r := range records {
				var body struct{ Stream string }
				switch r.Type {
				case "valueTaken":
					if err := json.Unmarshal(r.Body, &body); err != nil {
						return err
					}
					if owner := owners[stream]; owner != "" {
						wrong = append(wrong, fmt.Errorf("%s takes %s from %s", body.Stream, stream, owner))
					}
					owners[stream] = body.Stream
				case "valueReleased":
					delete(owners, stream)
				}
			}
		}
		if t := users.Aggregate; strings.HasPrefix(stream, t.Name()+"/") {
			var state any
			for _, r := range records {
				if !eventlog.IsEvent(r.Type) {
					continue
				}
				event, err := t.DecodeEvent(r.Type, r.Body)
				if err != nil {
					return err
				}
				state = t.Apply(state, event)
			}
			claims, err := t.Claims(state)
			if err != nil {
				return err
			}
			for _, c := range claims {
				held[c.Stream()] = stream
			}
			if last := records[len(records)-1].Type; slices.Contains([]string{eventlog.TypeCommandClaiming, eventlog.TypeCommandQueued, eventlog.TypeClaimAnswered}, last) {
				wrong = append(wrong, fmt.Errorf("%s waits: its last record is a %s", stream, last))
			}
		}
	}
	for claim, owner := range owners {
		if held[claim] != owner {
			wrong = append(wrong, fmt.Errorf("%s is claimed by %s, and belongs to %q", claim, owner, held[claim]))
		}
	}
	for claim, holder := range held {
		if owners[claim] != holder {
			wrong = append(wrong, fmt.Errorf("%s belongs to %s, and is claimed by %q", claim, holder, owners[claim]))
		}
	}
	return errors.Join(wrong...)
}
