package statements

import (
	"net/http"
	"testing"

	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/query"
)

// someLines is a log with all kinds of lines.
func someLines() *projectiontest.Log {
	log := new(projectiontest.Log)
	log.Event(accounts.Aggregate, accounts.AccountOpened{ID: "alice", Number: "DE021203"})
	log.Event(accounts.Aggregate, accounts.MoneyDeposited{ID: "alice", Amount: 1000})
	log.Refused(accounts.Aggregate, "alice", "closeAccount", accounts.ErrNotEmpty)
	log.Event(accounts.Aggregate, accounts.MoneyWithdrawn{ID: "alice", Amount: 300, Transfer: "rent"})
	log.Again("account/alice")
	log.Event(accounts.Aggregate, accounts.MoneyPaidBack{ID: "alice", Amount: 300, Transfer: "rent"})
	log.Event(accounts.Aggregate, accounts.AccountOpened{ID: "bob", Number: "FR143000"})
	return log
}

// The golden file has the log, and the rows that the log makes.
func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, someLines(), "testdata/projection.golden", accounts.Aggregate)
}

func TestStatement(t *testing.T) {
	m := projectiontest.Open(t, Projection, accounts.Aggregate)
	c := m.Client(t, routes)
	m.Fold(someLines())
	const (
		first  = `{"version":2,"time":"2026-01-02T12:00:01.045Z","what":"deposit","amount":1000,"balance":1000}`
		second = `{"version":3,"time":"2026-01-02T12:00:03.045Z","what":"withdrawal","amount":-300,"balance":700,"transfer":"rent"}`
		third  = `{"version":4,"time":"2026-01-02T12:00:05.045Z","what":"paidBack","amount":300,"balance":1000,"transfer":"rent"}`
	)
	c.Want("/accounts/alice/statement", 200, `[`+first+`,`+second+`,`+third+`]`)
	c.Want("/accounts/bob/statement", 200, `[]`)
	link := c.Want("/accounts/alice/statement?limit=2", 200, `[`+first+`,`+second+`]`).Header.Get("Link")
	if want := `<` + projectiontest.PublicURL + `/accounts/alice/statement?after=` + query.EncodeCursor("3") + `&limit=2>; rel="next"`; link != want {
		t.Errorf("Link %s, want %s", link, want)
	}
	c.Want("/accounts/alice/statement?after="+query.EncodeCursor("3"), 200, `[`+third+`]`)
	for path, status := range map[string]int{
		"/accounts/carol/statement": 404, "/accounts/alice/statement?after=3": 400,
		"/accounts/alice/statement?after=" + query.EncodeCursor("x"): 400, "/accounts/alice/statement?limit=x": 400,
	} {
		if got := c.Ask(http.MethodGet, path); got.Status != status {
			t.Errorf("%s: %d %s, want %d", path, got.Status, got.Body, status)
		}
	}
}
