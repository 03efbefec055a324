package service

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// Each process is killed with -9 and started again under traffic. Accepted
// commands are in the log once, and in the read model.
func TestKillEach(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := terminals(t)
	ctx, stop := context.WithCancel(t.Context())
	clients := new(errgroup.Group)
	customers := make([]*customer, 4)
	for i := range customers {
		customers[i] = &customer{id: users.ID(fmt.Sprint(i + 1))}
		clients.Go(func() error { return customers[i].order(ctx, s) })
	}
	clients.Go(func() error { return watch(ctx, s) })
	s.waitForMore(customers)
	for _, victim := range s.services() {
		t.Logf("killing %s", victim)
		victim.kill()
		victim.start()
		s.waitForMore(customers)
	}
	stop()
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}

	history := s.history()
	for _, c := range customers {
		if want, got := int(c.accepted.Load()), len(history[userStream(c.id)]); got < want {
			t.Errorf("user %s: %d commands got a 202, and %d have an outcome", c.id, want, got)
		}
		for _, r := range history[userStream(c.id)] {
			if !eventlog.IsEvent(r.Type) {
				t.Errorf("user %s, command %s: %s %s", c.id, r.CommandID, r.Type, r.Body)
			}
		}
	}
	s.waitForUsers(history)
}

// Processes that are killed again and again, while they join their groups, are
// ready as soon as after a single kill.
func TestKilledManyTimes(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := terminals(t)
	victims := []*service{s.commandService, s.queryService}
	within := 6*time.Second + 9*time.Second // the session of a killed member, and some seconds
	if s.onKafka() {
		within += 6 * time.Second // members that are killed in the middle of joining have a session of their own
	}
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	for range 8 {
		for _, victim := range victims {
			victim.kill()
			victim.launch()
		}
		<-pace.C
	}
	for _, victim := range victims {
		victim.kill()
		victim.launch()
	}
	began := time.Now()
	for _, victim := range victims {
		victim.waitUntilReady(t)
		t.Logf("%s is ready after %s", victim, time.Since(began).Round(time.Millisecond))
	}
	if took := time.Since(began); took > within {
		t.Errorf("ready after %s, want %s at most", took, within)
	}
	s.accept(createAlice)
	s.waitForUser(alice)
}

// customer sends the commands of one user.
type customer struct {
	id       users.ID
	accepted atomic.Int64
}

// order sends one command after the other until the context ends. Number n makes
// version n, with a name that has the number. While the service is away the same
// command is sent again.
func (c *customer) order(ctx context.Context, s *stack) error {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 1; ; n++ {
		commandType := "renameUser"
		if n == 1 {
			commandType = "createUser"
		}
		command := fmt.Sprintf(`{"type":%q,"payload":{"id":%s,"name":"Name %d"},"id":"%s-%d"}`, commandType, c.id, n, c.id, n)
		var got answer
		err := retry(context.WithoutCancel(ctx), func() (err error) {
			got, err = s.tryPost(command)
			if err == nil && got.status == http.StatusServiceUnavailable {
				err = fmt.Errorf("%s", got)
			}
			return err
		})
		if err != nil || got.status != http.StatusAccepted {
			return fmt.Errorf("POST %s: %s %w", command, got, err)
		}
		c.accepted.Add(1)
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
	}
}

// watch reads until the context ends. A user never goes back to an earlier
// version, and always has the name of the version.
func watch(ctx context.Context, s *stack) error {
	seen := map[users.ID]uint64{}
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
		all, err := s.readUsers()
		if err != nil {
			continue // it is being killed
		}
		for id, u := range all {
			if u.Version < seen[id] || u.Name != fmt.Sprint("Name ", u.Version) {
				return fmt.Errorf("after version %d: %+v", seen[id], u)
			}
			seen[id] = u.Version
		}
		if len(all) < len(seen) {
			return fmt.Errorf("there were %d users, and now there are %d", len(seen), len(all))
		}
	}
}

// waitForMore waits until the read model shows a new command of each customer.
func (s *stack) waitForMore(customers []*customer) {
	s.t.Helper()
	began := time.Now()
	before := map[users.ID]uint64{}
	for _, c := range customers {
		before[c.id] = uint64(c.accepted.Load()) + 1 // one may be on its way
	}
	eventually(s.t, "new commands in the read model", func() error {
		all, err := s.readUsers()
		if err != nil {
			return err
		}
		for _, c := range customers {
			if all[c.id].Version <= before[c.id] {
				return fmt.Errorf("user %s has version %d, and %d of its commands were accepted before", c.id, all[c.id].Version, before[c.id])
			}
		}
		return nil
	})
	s.t.Logf("new commands show after %s", time.Since(began).Round(time.Millisecond))
}
