package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// oneByOne is the number of events with a transaction each.
const oneByOne = 2000

// database is a database for read models.
type database struct {
	name string
	// open opens an empty database. Deleting dir, or drop, deletes the database.
	open func(ctx context.Context, dir string) (store *sqlstore.Store, drop func() error, err error)
	// The goals of a rebuild, to a consumer that decodes, and to a
	// transaction an event.
	decoded, single goal
}

// databases are SQLite, and the PostgreSQL of $POSTGRES_URL.
func databases() []database {
	all := []database{{"SQLite", openSQLite, atLeast(0.36, 0.3), atLeast(10, 10)}}
	if os.Getenv("POSTGRES_URL") != "" {
		all = append(all, database{"PostgreSQL", openPostgres, goal{}, atLeast(5, 5)})
	}
	return all
}

func openSQLite(ctx context.Context, dir string) (*sqlstore.Store, func() error, error) {
	store, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "read.db"))
	return store, func() error { return nil }, err
}

// openPostgres opens a new schema.
func openPostgres(ctx context.Context, dir string) (*sqlstore.Store, func() error, error) {
	at, drop, err := newSchema(ctx, filepath.Base(dir))
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlstore.OpenPostgres(ctx, at)
	return store, drop, err
}

// newSchema makes a schema in the PostgreSQL of $POSTGRES_URL, and returns a URL with
// this schema.
func newSchema(ctx context.Context, name string) (at string, drop func() error, err error) {
	server, err := url.Parse(os.Getenv("POSTGRES_URL"))
	if err != nil {
		return "", nil, errors.New("can't read POSTGRES_URL")
	}
	schema := pgx.Identifier{name}.Sanitize()
	exec := func(statement string) error {
		conn, err := pgx.Connect(ctx, server.String())
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, statement)
		return errors.Join(err, conn.Close(ctx))
	}
	if err := exec("CREATE SCHEMA " + schema); err != nil {
		return "", nil, err
	}
	here := *server
	query := here.Query()
	query.Set("search_path", schema)
	here.RawQuery = query.Encode()
	return here.String(), func() error { return exec("DROP SCHEMA " + schema + " CASCADE") }, nil
}

// rebuild is the speed of a rebuild of the list of users from the log, up to the
// swap. A limit is a consumer that only decodes the same events; another limit is a
// transaction for each event.
func rebuild(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		log, err := newFoldLog(ctx, dir)
		if err != nil {
			return err
		}
		defer log.close()
		if err := log.fill(b.events, max(b.events/eventsAUser, 1)); err != nil {
			return err
		}
		for _, database := range databases() {
			var decoded, rebuilt, single rates
			for range b.runs {
				if err := decoded.time(b.events, log.decode); err != nil {
					return err
				}
				if err := inStore(ctx, database, log, b.events, &rebuilt, &single); err != nil {
					return fmt.Errorf("%s: %w", database.name, err)
				}
			}
			what := fmt.Sprintf("rebuild of %d events, %d users, into %s", b.events, b.events/eventsAUser, database.name)
			ours, limit := rebuilt.rate(), decoded.rate()
			rows = append(rows,
				row{what, perSecond(ours), named("decoding only", perSecond(limit)), ours / limit, database.decoded},
				row{what, perSecond(ours), named("a transaction an event", perSecond(single.rate())), ours / single.rate(), database.single},
				micros("processor time of an event rebuilt into "+database.name, &rebuilt, "decoding only", &decoded, goal{}),
				micros("processor time of an event rebuilt into "+database.name, &rebuilt, "a transaction an event", &single, goal{}))
		}
		return nil
	})
	return rows, err
}

// time calls do for n things in this process, and adds the rate and the processor
// time.
func (r *rates) time(n int, do func() error) error {
	began, used := time.Now(), processorTime()
	err := do()
	r.perSecond = append(r.perSecond, float64(n)/time.Since(began).Seconds())
	r.micros = append(r.micros, float64((processorTime()-used).Nanoseconds())/1000/float64(n))
	return err
}

// processorTime is the processor time of this process so far.
func processorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // can't fail with these arguments
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// inStore rebuilds once, and folds some events with a transaction each.
func inStore(ctx context.Context, database database, log *foldLog, events int, rebuilt, single *rates) error {
	return inFolder(func(dir string) error {
		store, drop, err := database.open(ctx, dir)
		if err != nil {
			return err
		}
		reader, err := log.LogReader()
		if err != nil {
			return err
		}
		defer func() { _ = errors.Join(reader.Close(), store.Close(), drop()) }() // all is measured
		p := userlist.Projection
		r := &readmodel.Rebuild{
			Projection: p, Store: store, Log: reader, Events: registry, Partitions: partitions, Logger: slog.New(slog.DiscardHandler),
		}
		generation, _, err := r.Begin(ctx)
		if err != nil {
			return err
		}
		if err := rebuilt.time(events, func() error { return r.Fill(ctx, generation) }); err != nil {
			return err
		}
		if err := store.Drop(ctx, p, generation); err != nil {
			return err
		}
		return oneAtATime(ctx, store, p, log, reader, single)
	})
}

// notBehind is a log with an end of 0, so the engine never catches up in bulk.
type notBehind struct{ *kafka.LogReader }

func (notBehind) End(context.Context, int32) (int64, error) { return 0, nil }

// oneAtATime folds some events of a partition, with a transaction each.
func oneAtATime(ctx context.Context, store readmodel.Store, p *projection.Projection, log *foldLog, reader *kafka.LogReader, single *rates) error {
	engine := &readmodel.Engine{
		Projection: p, Store: store, Log: notBehind{reader}, Events: registry, Partitions: partitions, BatchSize: 1, Logger: slog.New(slog.DiscardHandler),
	}
	assignment := kafka.NewAssignment(ctx, 0, func(int64) {})
	if _, err := engine.Setup(assignment); err != nil {
		return err
	}
	defer engine.Cleanup(assignment)
	n := min(oneByOne, log.ends[0])
	var records []eventlog.Record
	reading, stop := context.WithCancel(ctx)
	defer stop()
	err := reader.Follow(reading, 0, 0, func(some []eventlog.Record) error {
		if records = append(records, some...); int64(len(records)) >= n {
			stop()
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return single.time(int(n), func() error {
		for i := range records[:n] {
			engine.Take(records[i])
		}
		engine.Visible(ctx, 0, n-1)
		return ctx.Err()
	})
}
