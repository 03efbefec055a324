package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// The floor is the cost of the libraries themselves: a command's way through
// net/http and mux, a client of Kafka, the broker and SQLite, with nothing in
// between. No Watermill, no groups and offsets, no headers, rules, outcomes,
// positions, metrics: messages go from one topic to the other in bulk, and many rows
// share a transaction. No router with promises can be faster on these libraries.

// floorBatch is the largest number of events in a transaction, as in Millrace.
const floorBatch = 1000

// floorClient is a client of Kafka.
type floorClient interface {
	// send sends a message at once. A callback that is not nil gets the result.
	send(topic string, key, value []byte, sent func(error))
	// read calls fn for all messages of a topic, in the order of each partition, until
	// close. read returns at once.
	read(topic string, fn func(key, value []byte) error) error
	// close ends all. Messages under way may be lost.
	close() error
}

// floorPipeline is the floor, wired.
type floorPipeline struct {
	log       *kafka.Kafka
	client    floorClient
	events    chan UserCreated
	projected atomic.Int64
	stopped   <-chan struct{}
}

func serveFloor(open func(*kafka.Kafka) (floorClient, error)) func(ctx context.Context, dir string, out io.Writer) error {
	return func(ctx context.Context, dir string, out io.Writer) error {
		log, done, err := openLog(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { _ = done() }()
		db, err := openPlain(ctx, filepath.Join(dir, "floor.db"))
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		client, err := open(log)
		if err != nil {
			return err
		}
		running, ctx := errgroup.WithContext(ctx)
		f := &floorPipeline{log: log, client: client, events: make(chan UserCreated, floorBatch), stopped: ctx.Done()}
		running.Go(func() error { return f.project(ctx, db) })
		if err := errors.Join(client.read(log.Topic(eventlog.TopicCommands), f.handle), client.read(log.Topic(eventlog.TopicEvents), f.take)); err != nil {
			return errors.Join(err, client.close())
		}
		server := httptest.NewServer(f.http())
		defer server.Close()
		fmt.Fprintf(out, "commands %[1]s/commands\ndone %[1]s/done\nmetrics %[1]s/metrics\n\n", server.URL)
		<-ctx.Done()
		return errors.Join(running.Wait(), client.close())
	}
}

// handle turns a command into an event.
func (f *floorPipeline) handle(key, value []byte) error {
	var c CreateUser
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	body, err := json.Marshal(UserCreated{ID: c.ID, Name: c.Name, At: time.Now()})
	if err != nil {
		return err
	}
	f.client.send(f.log.Topic(eventlog.TopicEvents), key, body, nil)
	return nil
}

func (f *floorPipeline) take(_, value []byte) error {
	var e UserCreated
	err := json.Unmarshal(value, &e)
	select {
	case f.events <- e:
	case <-f.stopped: // nobody takes events
	}
	return err
}

// project folds events into rows. All waiting events share a transaction.
func (f *floorPipeline) project(ctx context.Context, db *sql.DB) error {
	insert, err := db.PrepareContext(ctx, plainUpsert)
	if err != nil {
		return err
	}
	for {
		var batch []UserCreated
		select {
		case e := <-f.events:
			batch = append(batch, e)
		case <-ctx.Done():
			return nil
		}
		for more := true; more && len(batch) < floorBatch; {
			select {
			case e := <-f.events:
				batch = append(batch, e)
			default:
				more = false
			}
		}
		if err := write(context.WithoutCancel(ctx), db, insert, batch); err != nil {
			return err
		}
		f.projected.Add(int64(len(batch)))
	}
}

// write writes a batch in a transaction.
func write(ctx context.Context, db *sql.DB, insert *sql.Stmt, batch []UserCreated) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	into := tx.StmtContext(ctx, insert)
	defer func() { _ = into.Close() }()
	for i := range batch {
		if _, err := into.ExecContext(ctx, plainRow(&batch[i])...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (f *floorPipeline) http() http.Handler {
	router := mux.NewRouter()
	topic := f.log.Topic(eventlog.TopicCommands)
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := json.Marshal(CreateUser{ID: c.Payload.ID, Name: c.Payload.Name})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sent := make(chan error, 1)
		f.client.send(topic, strconv.AppendInt(nil, int64(c.Payload.ID), 10), body, func(err error) { sent <- err })
		if err := <-sent; err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		accept(w)
	}).Methods(http.MethodPost)
	router.HandleFunc("/done", doneWhen(func(last int) bool { return f.projected.Load() >= int64(last) })).Methods(http.MethodGet)
	router.HandleFunc("/metrics", serveAllocations).Methods(http.MethodGet)
	return router
}
