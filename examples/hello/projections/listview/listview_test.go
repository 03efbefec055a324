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
	log.Event(lists.Aggregate, lists.ListCreated{ID: "groceries", Title: "Groceries"})
	log.Event(lists.Aggregate, lists.ItemAdded{ID: "groceries", Item: "milk", Quantity: 2})
	log.Event(lists.Aggregate, lists.ItemAdded{ID: "groceries", Item: "bread", Quantity: 1})
	log.Again("list/groceries")
	log.Event(lists.Aggregate, lists.ItemAdded{ID: "groceries", Item: "apples", Quantity: 6})
	log.Event(lists.Aggregate, lists.ItemChecked{ID: "groceries", Item: "bread"})
	log.Refused(lists.Aggregate, "groceries", "addItem", lists.ErrItemThere)
	log.Event(lists.Aggregate, lists.ItemRemoved{ID: "groceries", Item: "milk"})
	log.Event(lists.Aggregate, lists.ListCreated{ID: "party", Title: "Party"})
	log.Event(lists.Aggregate, lists.ListClosed{ID: "party"})
	return log
}

// The golden file has the log, and the rows that the log makes.
func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, someLists(), "testdata/projection.golden", lists.Aggregate)
}

const (
	groceries = `{"id":"groceries","title":"Groceries","itemCount":2,"closed":false,"version":6,"createdAt":"2026-01-02T12:00:00.045Z","updatedAt":"2026-01-02T12:00:07.045Z"}`
	party     = `{"id":"party","title":"Party","itemCount":0,"closed":true,"version":2,"createdAt":"2026-01-02T12:00:08.045Z","updatedAt":"2026-01-02T12:00:09.045Z"}`
	notFound  = `{"type":"urn:millrace:problem:list-not-found","title":"List not found","status":404,"detail":"there is no such list"}`
)

func TestPages(t *testing.T) {
	m := projectiontest.Open(t, Projection, lists.Aggregate)
	c := m.Client(t, routes)
	m.Fold(new(projectiontest.Log))
	c.Want("/lists", 200, `[]`)
	m.Fold(someLists())
	c.Want("/lists", 200, `[`+groceries+`,`+party+`]`)
	link := c.Want("/lists?limit=1", 200, `[`+groceries+`]`).Header.Get("Link")
	if want := `<` + projectiontest.PublicURL + `/lists?after=` + query.EncodeCursor("groceries") + `&limit=1>; rel="next"`; link != want {
		t.Errorf("Link %s, want %s", link, want)
	}
	link = c.Want("/lists?limit=1&after="+query.EncodeCursor("groceries"), 200, `[`+party+`]`).Header.Get("Link")
	if link != "" {
		t.Errorf("Link %s on the last page", link)
	}
	for _, wrong := range []string{"?limit=0", "?after=", "?after=groceries", "?title=x", "?limit=1&limit=2"} {
		if got := c.Ask(http.MethodGet, "/lists"+wrong); got.Status != 400 {
			t.Errorf("GET /lists%s: %d %s", wrong, got.Status, got.Body)
		}
	}
}

func TestList(t *testing.T) {
	m := projectiontest.Open(t, Projection, lists.Aggregate)
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
	registry, err := aggregate.NewRegistry(lists.Aggregate)
	if err != nil {
		t.Fatal(err)
	}
	if err := query.Check([]query.Model{Model}, registry); err != nil {
		t.Error(err)
	}
}
