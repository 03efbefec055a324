package userlist

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
)

// foldMany makes so many users. Every tenth user is inactive.
func (a *readAPI) foldMany(n int) {
	events := make([]projection.Event, 0, n)
	for i := range n {
		id := users.ID(fmt.Sprint(i))
		add := func(version uint64, data aggregate.AnyEvent) {
			r := eventlog.Record{Type: data.Type(), Stream: users.Aggregate.Stream(string(id)), Version: version, Time: time.UnixMilli(1e12)}
			events = append(events, projection.Event{Record: r, AggregateID: string(id), Data: data})
		}
		add(1, &users.UserCreated{ID: id, Name: users.Name(fmt.Sprint("user ", i))})
		if i%10 == 0 {
			add(2, &users.UserDeactivated{ID: id})
		}
	}
	a.fold(events)
}

// For every filter an index finds the rows of a page, in order.
func TestQueryPlans(t *testing.T) {
	onEach(t, func(t *testing.T, a *readAPI) {
		a.foldMany(20_000)
		active := true
		for name, f := range map[string]filter{
			"the first page":     {},
			"a later page":       {after: "500"},
			"active ones":        {active: &active},
			"by name":            {prefix: "user 77"},
			"by name and active": {prefix: "user 77", active: &active, after: "77"},
		} {
			f.limit = 101
			where, args := f.where()
			err := a.store.View(t.Context(), Projection, func(view query.View) error {
				explain := "EXPLAIN "
				if strings.HasPrefix(t.Name(), "TestQueryPlans/memory") {
					explain = "EXPLAIN QUERY PLAN "
				}
				rows, err := view.Query(t.Context(), explain+selectUsers+where, args...)
				if err != nil {
					return err
				}
				defer func() { _ = rows.Close() }()
				columns, err := rows.Columns()
				if err != nil {
					return err
				}
				var plan []string
				for rows.Next() {
					line, into := make([]any, len(columns)), make([]any, len(columns))
					for i := range line {
						into[i] = &line[i]
					}
					if err := rows.Scan(into...); err != nil {
						return err
					}
					plan = append(plan, fmt.Sprint(line[len(line)-1]))
				}
				text := strings.Join(plan, "\n")
				reads := !strings.Contains(text, "INDEX") && !strings.Contains(text, "Index") &&
					!strings.Contains(text, "PRIMARY KEY") && text != "SCAN users_users_1" // of a table that is its key's index
				sorts := f.prefix == "" && (strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "Sort"))
				if reads || sorts || strings.Contains(text, "Seq Scan") {
					t.Errorf("%s:\n%s", name, text)
				}
				return rows.Err()
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLongPagesAreCompressed(t *testing.T) {
	a := newReadAPI(t)
	a.foldMany(1000)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	get := func(path, accept string) (encoding, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if accept != "" {
			r.Header.Set("Accept-Encoding", accept)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if got := answer.Header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("%s with %q: Vary %q", path, accept, got)
		}
		encoding, in := answer.Header.Get("Content-Encoding"), io.Reader(answer.Body)
		switch encoding {
		case "gzip":
			in, err = gzip.NewReader(in)
		case "zstd":
			in, err = zstd.NewReader(in)
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		return encoding, string(text)
	}
	_, plain := get("/users?limit=1000", "")
	for accept, want := range map[string]string{"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "br": "", "gzip;q=0": "", "identity": ""} {
		if encoding, body := get("/users?limit=1000", accept); encoding != want || body != plain {
			t.Errorf("%q: got %q, %d bytes", accept, encoding, len(body))
		}
	}
	if encoding, _ := get("/users?limit=2", "gzip"); encoding != "" {
		t.Errorf("a short page: %q", encoding)
	}
}

func TestParkedUsersInLists(t *testing.T) {
	onEach(t, func(t *testing.T, a *readAPI) {
		a.foldMany(3)
		a.fold(nil, "1")
		got := a.ask(http.MethodGet, "/users")
		if n := strings.Count(got.body, `"stale":true`); n != 1 || !strings.Contains(got.body, `"stale":true},{"id":2`) {
			t.Errorf("got %s", got.body)
		}
		if got := a.ask(http.MethodGet, "/users", "Read-After", a.position); got.status != 503 {
			t.Errorf("under Read-After: %d %s", got.status, got.body)
		}
		if got := a.ask(http.MethodGet, "/users?after="+encodeCursor("1"), "Read-After", a.position); got.status != 200 {
			t.Errorf("a page without the parked user: %d %s", got.status, got.body)
		}
	})
}
