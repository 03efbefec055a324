package listview

import (
	"net/http"
	"strings"
	"testing"

	"example.com/hello/handlers/lists"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/query"
)

// someLists is a log with a list of two items, a closed list, and a refusal.
func someLists() *projectiontest.Log {
	log := new(projectiontest.Log)
	log.Add("listCreated", "list/groceries", `{"id":"groceries","title":"Groceries"}`)
	log.Add("itemAdded", "list/groceries", `{"id":"groceries","item":"milk","quantity":2}`)
	log.Add("itemAdded", "list/groceries", `{"id":"groceries","item":"bread","quantity":1}`)
	log.Again("list/groceries")
	log.Add("itemAdded", "list/groceries", `{"id":"groceries","item":"apples","quantity":6}`)
	log.Add("itemChecked", "list/groceries", `{"id":"groceries","item":"bread"}`)
	log.Add("commandRefused", "list/groceries", `{"commandType":"addItem","problem":"item-already-there","detail":""}`)
	log.Add("itemRemoved", "list/groceries", `{"id":"groceries","item":"milk"}`)
	log.Add("listCreated", "list/party", `{"id":"party","title":"Party"}`)
	log.Add("listClosed", "list/party", `{"id":"party"}`)
	return log
}

func registry(t *testing.T) *aggregate.Registry {
	t.Helper()
	r, err := aggregate.NewRegistry(lists.Aggregate)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The golden file has the log, and the rows that the log makes.
func TestProjection(t *testing.T) {
	projectiontest.Golden(t, registry(t), Projection, someLists(), "testdata/projection.golden")
}

const (
	groceries = `{"id":"groceries","title":"Groceries","itemCount":2,"closed":false,"version":6,"createdAt":"2026-01-02T12:00:00.045Z","updatedAt":"2026-01-02T12:00:07.045Z"}`
	party     = `{"id":"party","title":"Party","itemCount":0,"closed":true,"version":2,"createdAt":"2026-01-02T12:00:08.045Z","updatedAt":"2026-01-02T12:00:09.045Z"}`
	notFound  = `{"type":"urn:millrace:problem:list-not-found","title":"List not found","status":404,"detail":"there is no such list"}`
)

func TestPages(t *testing.T) {
	m := projectiontest.Open(t, registry(t), Projection)
	c := m.Client(t, routes)
	m.Fold(new(projectiontest.Log))
	c.Want("/lists", 200, `[]`)
	m.Fold(someLists())
	c.Want("/lists", 200, `[`+groceries+`,`+party+`]`)
	link := c.Want("/lists?limit=1", 200, `[`+groceries+`]`).Header.Get("Link")
	if want := `<` + projectiontest.PublicURL + `/lists?after=groceries&limit=1>; rel="next"`; link != want {
		t.Errorf("Link %s, want %s", link, want)
	}
	link = c.Want("/lists?after=groceries&limit=1", 200, `[`+party+`]`).Header.Get("Link")
	if link != "" {
		t.Errorf("Link %s on the last page", link)
	}
	for _, wrong := range []string{"?limit=0", "?after=", "?after=A", "?title=x", "?limit=1&limit=2"} {
		if got := c.Ask(http.MethodGet, "/lists"+wrong); got.Status != 400 {
			t.Errorf("GET /lists%s: %d %s", wrong, got.Status, got.Body)
		}
	}
}

func TestList(t *testing.T) {
	m := projectiontest.Open(t, registry(t), Projection)
	c := m.Client(t, routes)
	log := someLists()
	m.Fold(log)
	etag := c.Want("/lists/groceries", 200, strings.TrimSuffix(groceries, "}")+
		`,"items":[{"item":"bread","quantity":1,"checked":true},{"item":"apples","quantity":6,"checked":false}]}`).Header.Get("ETag")
	if got := c.Ask(http.MethodGet, "/lists/groceries", "If-None-Match", etag); got.Status != 304 {
		t.Errorf("status %d, want 304", got.Status)
	}
	c.Want("/lists/party", 200, strings.TrimSuffix(party, "}")+`,"items":[]}`)
	c.Want("/lists/other", 404, notFound)
	c.Want("/lists/NO-ID", 404, notFound)
	if got := c.Ask(http.MethodGet, "/lists/party?limit=1"); got.Status != 400 {
		t.Errorf("status %d, want 400", got.Status)
	}

	// A newer release has written an event that this release can't read.
	log.Add("itemMoved", "list/groceries", `{"id":"groceries","item":"bread","to":2}`)
	m.Fold(log)
	got := c.Ask(http.MethodGet, "/lists/groceries", "If-None-Match", etag)
	if got.Status != 200 || !strings.Contains(got.Body, `"stale":true`) {
		t.Errorf("%d %s, want the list, stale", got.Status, got.Body)
	}
}

func TestModel(t *testing.T) {
	if err := query.Check([]query.Model{Model}, registry(t)); err != nil {
		t.Error(err)
	}
}
