package main

import (
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/history"
)

// roundTrip answers requests in place of a server.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A command may return after a read has looked for a position to read after. The
// read doesn't ask for the command, and so must have begun before.
func TestAReadBeginsBeforeItLooksWhatToAskAfter(t *testing.T) {
	h, err := newRecorder(filepath.Join(t.TempDir(), "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	answers := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"version":1}`))}, nil
	})
	c := &client{
		rng: rand.New(rand.NewPCG(1, 2)), recorder: h,
		Asker:   history.Asker{HTTP: &http.Client{Transport: answers}, Now: h.now},
		queries: []*process{{name: "read-api", url: "http://read-api"}},
	}
	var looked time.Duration
	c.read(&user{id: "u", told: eventlog.Position{}}, history.Read, func() string {
		looked = h.now()
		return ""
	})
	all, err := h.close()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d operations, %v", len(all), err)
	}
	if o := all[0]; o.Call > looked || o.Return < looked {
		t.Errorf("looked at %s, and the read is from %s to %s", looked, o.Call, o.Return)
	}
}
