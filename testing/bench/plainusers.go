package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/gorilla/mux"
	_ "modernc.org/sqlite" // the driver
)

// plainUsers is the read model of plain Watermill, in a map. Queries wait until a user
// is visible, as queries with Read-After do.
type plainUsers struct {
	mu      sync.Mutex
	users   map[int]UserCreated
	waiting map[int]chan struct{} // closed when the user is visible
}

func newPlainUsers() *plainUsers {
	return &plainUsers{users: map[int]UserCreated{}, waiting: map[int]chan struct{}{}}
}

func (u *plainUsers) put(e *UserCreated) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.users[e.ID] = *e
	if waiting, ok := u.waiting[e.ID]; ok {
		close(waiting)
		delete(u.waiting, e.ID)
	}
}

// get returns a user, or a channel that is closed when the user is visible.
func (u *plainUsers) get(id int) (user UserCreated, visible <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if user, ok := u.users[id]; ok {
		return user, nil
	}
	if u.waiting[id] == nil {
		u.waiting[id] = make(chan struct{})
	}
	return UserCreated{}, u.waiting[id]
}

func (u *plainUsers) await(ctx context.Context, id int) (UserCreated, error) {
	for {
		user, visible := u.get(id)
		if visible == nil {
			return user, nil
		}
		select {
		case <-visible:
		case <-ctx.Done():
			return UserCreated{}, ctx.Err()
		}
	}
}

// has reports whether users 1 to last are visible. User 0 shows at the start that the
// groups have partitions.
func (u *plainUsers) has(last int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.users) > last
}

// readAfterTimeout is how long a query waits, as in Millrace.
const readAfterTimeout = 5 * time.Second

// plainHTTP takes commands, and answers queries of a user.
func plainHTTP(commands *cqrs.CommandBus, users *plainUsers) http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := commands.Send(r.Context(), &CreateUser{ID: c.Payload.ID, Name: c.Payload.Name}); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		accept(w)
	}).Methods(http.MethodPost)
	router.HandleFunc("/users/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(mux.Vars(r)["id"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, stop := context.WithTimeout(r.Context(), readAfterTimeout)
		defer stop()
		user, err := users.await(ctx, id)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(user) // an error means that the client is gone
	}).Methods(http.MethodGet)
	router.HandleFunc("/done", doneWhen(users.has)).Methods(http.MethodGet)
	router.HandleFunc("/metrics", serveAllocations).Methods(http.MethodGet)
	return router
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"accepted"}`) // an error means that the client is gone
}

// doneWhen says whether a read model has users 1 to last.
func doneWhen(has func(last int) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if last, err := strconv.Atoi(r.URL.Query().Get("last")); err != nil || !has(last) {
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// openPlain opens a database with Millrace's settings for writing, and the
// columns of its user list.
func openPlain(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)"+
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"+
		"&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(8192)&_pragma=journal_size_limit(67108864)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `CREATE TABLE users (
		sort_key TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
		active BOOLEAN NOT NULL, deleted BOOLEAN NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
	) WITHOUT ROWID;
	CREATE INDEX users_by_name ON users (name, deleted, active, sort_key)`)
	return db, err
}

// project writes a row in a transaction of its own.
func project(ctx context.Context, db *sql.DB, e *UserCreated) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err = tx.ExecContext(ctx, plainUpsert, plainRow(e)...); err != nil {
		return err
	}
	return tx.Commit()
}

const plainUpsert = `INSERT INTO users VALUES (?, ?, ?, 1, TRUE, FALSE, ?, ?)
	ON CONFLICT (sort_key) DO UPDATE SET name = excluded.name, version = version + 1, updated_at = excluded.updated_at`

func plainRow(e *UserCreated) []any {
	at := e.At.UTC().Format("2006-01-02T15:04:05.000Z")
	return []any{fmt.Sprintf("%020d", e.ID), strconv.Itoa(e.ID), e.Name, at, at}
}
