package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/handlers/users"
)

// crowd is customers at work.
type crowd struct {
	*stack
	customers []*customer
	working   *errgroup.Group
	stop      context.CancelFunc
}

// crowd starts customers who order until somebody stops the crowd.
func (s *stack) crowd(n int) *crowd {
	ctx, stop := context.WithCancel(s.t.Context())
	c := &crowd{s, make([]*customer, n), new(errgroup.Group), stop}
	for i := range c.customers {
		c.customers[i] = &customer{id: users.ID(fmt.Sprint(i + 1))}
		c.working.Go(func() error { return c.customers[i].order(ctx, s) })
	}
	return c
}

// proven stops the customers, waits until the read models have everything, and
// checks that every row is as the log makes the row.
func (c *crowd) proven() {
	c.t.Helper()
	c.stop()
	if err := c.working.Wait(); err != nil {
		c.t.Fatal(err)
	}
	c.waitForUsers(c.history())
	c.wantProven()
}

// A query service that is killed again and again, at any moment, folds every
// record once.
func TestQueryServiceKilledAgainAndAgain(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := terminals(t)
	kills := size(3, 20)
	if s.onKafka() {
		kills = 20
	}
	c := s.crowd(8)
	for range kills {
		c.waitForMore(c.customers)
		time.Sleep(rand.N(100 * time.Millisecond)) // anywhere in a batch
		s.queryService.kill()
		s.queryService.start()
	}
	c.waitForMore(c.customers)
	c.proven()
	t.Logf("killed %d times, %d commands", kills, c.accepted())
}

// A query service that was frozen past the session, and comes back while another
// has the partitions, changes nothing.
func TestFrozenQueryServiceComesBack(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	other := s.service(nil, "--config", shipped(t, "query-service.yaml"))
	other.start()
	c := s.crowd(8)
	two := []*service{s.queryService, other}
	for i := range size(2, 5) {
		frozen := two[i%2]
		c.waitForMore(c.customers)
		s.freeze(frozen)
		c.waitForMore(c.customers) // only a take-over shows every user's
		frozen.signal(t, syscall.SIGCONT)
		c.waitForMore(c.customers)
	}
	c.proven()
}

// freeze stops a process. With SQLite the process is not in a transaction, or
// nobody else could write.
func (s *stack) freeze(p *service) {
	s.t.Helper()
	if s.shared["store.driver"] == "postgres" {
		p.freeze(s.t)
		return
	}
	s.onSQLite(func(conn *sql.Conn) error {
		ctx := s.t.Context()
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		p.freeze(s.t)
		_, err := conn.ExecContext(ctx, "ROLLBACK")
		return err
	})
}

// While the store is away, reads answer 503 and commands are accepted. Soon
// after the store is back, reads show everything.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if s.shared["store.driver"] != "postgres" {
		t.Skip("needs a PostgreSQL that can be cut off: $POSTGRES_URL")
	}
	direct := s.shared["store.postgres.url"]
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal("POSTGRES_URL is not a URL")
	}
	way := newProxy(t, u.Host)
	way.open()
	u.Host = way.address
	s.shared["store.postgres.url"] = u.String()
	s.startBroker()
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	s.queryService = s.service(nil, "--config", shipped(t, "query-service.yaml"))
	s.readAPI = s.service(nil, "--config", shipped(t, "read-api.yaml"))
	for _, service := range []*service{s.commandService, s.queryService, s.readAPI} {
		service.start()
	}
	c := s.crowd(8)
	c.waitForMore(c.customers)

	way.cut()
	away := time.Now()
	before := c.accepted()
	eventually(t, "reads fail, and say so", func() error {
		got, err := s.get("/users/1")
		if err != nil {
			return err
		}
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			return errors.New(got.String())
		}
		return nil
	})
	eventually(t, "the processes say so", func() error {
		if s.queryService.ready() == nil || s.readAPI.ready() == nil {
			return errors.New("they are ready")
		}
		return nil
	})
	eventually(t, "commands are accepted", func() error {
		if n := c.accepted(); n < before+500 {
			return fmt.Errorf("%d, and %d before", n, before)
		}
		return nil
	})
	eventually(t, "the command service says that it is ready", s.commandService.ready)
	for time.Since(away) < size(0, time.Minute) {
		if got, err := s.get("/users/1"); err != nil || got.status != http.StatusServiceUnavailable {
			t.Fatalf("a read while the store is away: %s %v", got, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("away for %s: %d commands accepted", time.Since(away).Round(time.Second), c.accepted()-before)
	way.open()
	began := time.Now()
	c.waitForMore(c.customers)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("all is caught up after %s", took)
	}
	s.queryService.waitUntilReady(t)
	s.readAPI.waitUntilReady(t)
	s.shared["store.postgres.url"] = direct
	c.proven()
}

// accepted is how many commands were.
func (c *crowd) accepted() (n int64) {
	for _, customer := range c.customers {
		n += customer.accepted.Load()
	}
	return n
}
