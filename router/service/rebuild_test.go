package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// reads reads a user until the context ends, each time with the position of the
// last answer. Every read is answered, and neither position nor user go back.
func (s *stack) reads(ctx context.Context, id users.ID) error {
	var seen eventlog.Position
	var version uint64
	for ctx.Err() == nil {
		var u user
		got, err := s.getAfter(s.readAPI, "/users/"+string(id), eventlog.EncodePosition(seen), &u)
		if got.status == http.StatusNotFound && version == 0 {
			continue // it isn't created yet
		}
		if err != nil {
			return err
		}
		at, err := eventlog.ParsePosition(got.header.Get("Position"))
		if err != nil || !at.Covers(seen) || u.Version < version {
			return fmt.Errorf("after version %d at %v: version %d at %v; %w", version, seen, u.Version, at, err)
		}
		seen, version = at, u.Version
	}
	return nil
}

// A read model is rebuilt, swapped and rolled back while commands and queries
// go on: no query fails, and none goes back.
func TestRebuildUnderTraffic(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := terminals(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	clients := new(errgroup.Group)
	customers := make([]*customer, 4)
	for i := range customers {
		customers[i] = &customer{id: users.ID(fmt.Sprint(i + 1))}
		clients.Go(func() error { return customers[i].order(ctx, s) })
		clients.Go(func() error { return s.reads(ctx, customers[i].id) })
	}
	s.waitForMore(customers)
	for _, step := range []struct{ line, says string }{
		{"rebuild users", "generation 2 of users is live; generation 1 is kept"},
		{"rollback users", "generation 1 of users is live"},
		{"swap users 2", "generation 2 of users is live"},
		{"drop users 1", "generation 1 of users is dropped"},
		{"rebuild users --no-swap", "it is ready: app projections swap users 3"},
		{"swap users", "generation 3 of users is live"},
		{"rebuild history", "generation 2 of history is live"},
		{"rebuild stats", "generation 2 of stats is live"},
	} {
		s.wantApp(exitOK, []string{step.says}, append([]string{"projections"}, strings.Fields(step.line)...)...)
		s.waitForMore(customers)
		s.wantProven()
	}
	stop()
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
	s.waitForUsers(s.history())
	s.wantProven()
}

// The same for a rebuild that takes long.
func TestRebuildOfALongLogUnderTraffic(t *testing.T) {
	if !fullSize() {
		t.Skip("takes minutes: with FULL=1")
	}
	s := newStack(t)
	s.startBroker()
	began := time.Now()
	s.fill(longLog(t))
	t.Logf("%d events appended in %s", longLog(t), time.Since(began).Round(time.Second))
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	s.queryService = s.service(nil, "--config", shipped(t, "query-service.yaml"))
	s.readAPI = s.service(nil, "--config", shipped(t, "read-api.yaml"))
	for _, service := range []*service{s.commandService, s.queryService, s.readAPI} {
		service.launch()
	}
	began = time.Now()
	for _, service := range []*service{s.commandService, s.queryService, s.readAPI} {
		for service.ready() != nil && time.Since(began) < 20*time.Minute {
			service.mustRun(t)
			time.Sleep(100 * time.Millisecond)
		}
	}
	t.Logf("all read models are up with it after %s", time.Since(began).Round(time.Second))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	clients := new(errgroup.Group)
	customers := make([]*customer, 4)
	for i := range customers {
		customers[i] = &customer{id: users.ID(fmt.Sprint(i + 1))}
		clients.Go(func() error { return customers[i].order(ctx, s) })
		clients.Go(func() error { return s.reads(ctx, customers[i].id) })
	}
	for _, step := range []struct{ line, says string }{
		{"rebuild users", "generation 2 of users is live; generation 1 is kept"},
		{"rollback users", "generation 1 of users is live"},
		{"swap users 2", "generation 2 of users is live"},
	} {
		s.waitForMore(customers)
		began := time.Now()
		s.wantApp(exitOK, []string{step.says}, append([]string{"projections"}, strings.Fields(step.line)...)...)
		t.Logf("%s took %s", step.line, time.Since(began).Round(time.Millisecond))
	}
	s.waitForMore(customers)
	stop()
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
	s.wantApp(exitOK, []string{"users: proven"}, "verify", "users")
}

// openStore opens the stack's store in this process too.
func (s *stack) openStore() readmodel.Generations {
	s.t.Helper()
	var store *sqlstore.Store
	var err error
	if s.shared["store.driver"] == "postgres" {
		store, err = sqlstore.OpenPostgres(s.t.Context(), s.shared["store.postgres.url"])
	} else {
		store, err = sqlstore.OpenSQLite(s.t.Context(), filepath.Join(s.shared["data_dir"], "read.db"))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return store
}

// A killed rebuild leaves the live generation unchanged, and the next rebuild
// begins anew. A second rebuild at the same time is refused.
func TestKilledRebuild(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for id := 1; id <= 20; id++ {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Name %d"}}`, id, id))
	}
	s.waitForUsers(s.history())
	store := s.openStore()
	building := func() bool {
		all, err := store.Generations(t.Context(), userlist.Projection)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(g readmodel.Generation) bool { return g.State == readmodel.Building })
	}
	eventually(t, "a rebuild that is killed before it is done", func() error {
		p := launch(t, s.shared.with(settings{"kafka.brokers": strings.Join(s.brokers(), ",")}), "projections", "rebuild", "users")
		for !building() {
			select {
			case <-p.ended:
				return errors.New("it was done before")
			default:
			}
		}
		p.kill()
		if !building() {
			return errors.New("it was done before")
		}
		return nil
	})
	s.wantApp(exitOK, []string{"building"}, "projections", "list")
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Later"}}`)
	s.waitForUser(user{ID: "1", Name: "Later", Version: 2, Active: true})
	s.wantApp(exitFailed, []string{"is what an interrupted rebuild has left"}, "projections", "swap", "users", newest(t, store))

	done, err := store.Rebuilding(t.Context(), userlist.Projection)
	if err != nil {
		t.Fatal(err)
	}
	s.wantApp(exitFailed, []string{"read model users: it is being rebuilt already, by another process"}, "projections", "rebuild", "users")
	done()
	s.wantApp(exitOK, []string{"which an interrupted rebuild has left, is dropped", "is live"}, "projections", "rebuild", "users")
	s.wantApp(exitFailed, []string{"it is the live one"}, "projections", "drop", "users", newest(t, store))
	s.wantProven()
}

// newest is the number of the newest generation of the user list.
func newest(t *testing.T, store readmodel.Generations) string {
	t.Helper()
	all, err := store.Generations(t.Context(), userlist.Projection)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(all[len(all)-1].Number)
}

// widerUsers adds a column to the user list of the program.
const widerUsers = "TEST_WIDER_USERS"

func carryWiderUsers() {
	if os.Getenv(widerUsers) == "" {
		return
	}
	p := userlist.Projection
	p.Tables[0].Columns = append(slices.Clone(p.Tables[0].Columns), projection.Column{Name: "shout", Type: projection.Text})
	apply := p.Apply
	p.Apply = func(rows projection.Rows, e projection.Event) error { return apply(widerRows{rows}, e) }
}

type widerRows struct{ projection.Rows }

func (r widerRows) Get(table string, key ...any) projection.Row {
	row := r.Rows.Get(table, key...)
	if row == nil {
		return nil
	}
	return row[:len(row)-1]
}

func (r widerRows) Put(table string, row projection.Row) {
	r.Rows.Put(table, append(slices.Clone(row), fmt.Sprint(row[1], "!")))
}

// A binary with other columns leaves the live generation alone, and says what to
// do. Once the newer binary has rebuilt the read model, the older binary stops
// folding the read model; after a rollback the older binary goes on. Queries are
// answered all the time.
func TestAnotherBinarysColumns(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	rename := func(version uint64) {
		t.Helper()
		name := fmt.Sprint("Name ", version)
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":1,"name":%q}}`, name))
		s.waitForUser(user{ID: "1", Name: name, Version: version, Active: true})
	}
	says := func(of *service, want string) {
		t.Helper()
		eventually(t, "what /readyz says", func() error {
			got, err := send(s.client, http.MethodGet, "http://"+of.at.Admin+"/readyz", "", "")
			if err == nil && !strings.Contains(got.body, want) {
				err = fmt.Errorf("no %q in %s", want, got)
			}
			return err
		})
	}
	const foreign = "read model users: the live generation is another binary's; to make it this one's run: app projections rebuild users"
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"Name 1"}}`)
	rename(2)
	s.setenv(widerUsers, "yes")
	newer := s.service(nil, "--config", shipped(t, "query-service.yaml"))
	newer.launch()
	says(newer, foreign)
	rename(3)
	s.wantApp(exitOK, []string{"generation 2 of users is live"}, "projections", "rebuild", "users")
	says(s.queryService, foreign)
	newer.waitUntilReady(t)
	rename(4)
	s.wantApp(exitOK, []string{"users: proven"}, "verify", "users")

	s.wantApp(exitFailed, []string{"run this with the binary that made it"}, "projections", "rollback", "users")
	s.setenv(widerUsers, "")
	s.wantApp(exitOK, []string{"generation 1 of users is live"}, "projections", "rollback", "users")
	says(newer, foreign)
	s.queryService.waitUntilReady(t)
	rename(5)
	s.wantProven()
	newer.signal(t, syscall.SIGINT)
	if code := newer.exit(t, 10*time.Second); code != exitOK {
		t.Errorf("the newer one ends with %d", code)
	}
}
