package service

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// walBound is the most that SQLite's WAL has once no reader keeps its view, in
// bytes: docs/operating.md says so.
const walBound = 64 << 20

// A foreign reader keeps a view of SQLite's file while commands go on: with
// FULL=1 for five minutes and 200,000 commands, by default until the WAL is
// larger than its bound. Afterwards the WAL is within its bound, nothing is
// lost, and commands are visible as fast as before.
func TestAForeignReaderKeepsItsView(t *testing.T) {
	s := newStack(t)
	if s.shared["store.driver"] == "postgres" {
		t.Skip("about SQLite's file")
	}
	s.startOneProcess()
	commands, reads := size[int64](6_000, 200_000), size(0, 5*time.Minute)
	if testing.Short() {
		commands = 300
	}
	c := s.crowd(16)
	c.waitForMore(c.customers)
	before := s.visible("before", 50)
	var largest int64
	s.onSQLite(func(conn *sql.Conn) error {
		tx, err := conn.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing was written
		var rows, again int64
		count := "SELECT count(*) FROM heads"
		if err := tx.QueryRow(count).Scan(&rows); err != nil {
			return err
		}
		began, from := time.Now(), c.accepted()
		for c.accepted() < from+commands || time.Since(began) < reads {
			time.Sleep(20 * time.Millisecond)
		}
		c.waitForMore(c.customers)
		largest = s.walSize()
		if err := tx.QueryRow(count).Scan(&again); err != nil {
			return err
		}
		if rows != again {
			t.Errorf("the view had %d heads, and has %d", rows, again)
		}
		return nil
	})
	if largest <= walBound && !testing.Short() {
		t.Errorf("the WAL had %d bytes only: the test shows nothing", largest)
	}
	ended := time.Now()
	eventually(t, "the WAL shrinks under commands", func() error {
		if now := s.walSize(); now > walBound {
			return fmt.Errorf("it has %d bytes", now)
		}
		return nil
	})
	shrunk := time.Since(ended)
	after := s.visible("after", 50)
	t.Logf("%d commands; the WAL grew to %d MiB, and shrank within %v; a command was visible within %v before and %v after",
		c.accepted(), largest>>20, shrunk, before, after)
	if after > 5*before+50*time.Millisecond {
		t.Errorf("a command was visible within %v before, and is within %v", before, after)
	}
	c.proven()
}

// walSize is the size of the WAL of SQLite's file.
func (s *stack) walSize() int64 {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(s.shared["data_dir"], "read.db-wal"))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Size()
}

// visible is the median time until a new user is visible.
func (s *stack) visible(prefix string, users int) time.Duration {
	s.t.Helper()
	var took []time.Duration
	for i := range users {
		began := time.Now()
		command := fmt.Sprintf(`{"type":"createUser","payload":{"id":"%s%d","name":"A"}}`, prefix, i)
		posted := s.post(command)
		if posted.status != http.StatusAccepted {
			s.t.Fatalf("POST %s: %s", command, posted)
		}
		if _, err := s.getAfter(s.readAPI, fmt.Sprintf("/users/%s%d", prefix, i), posted.header.Get("Position"), new(user)); err != nil {
			s.t.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[users/2]
}
