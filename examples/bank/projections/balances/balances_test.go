package balances

import (
	"net/http"
	"strings"
	"testing"

	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/query"
)

// aTransfer is a log with deposits, a transfer, a transfer that is paid back, and
// a closed account.
func aTransfer() *projectiontest.Log {
	log := new(projectiontest.Log)
	log.Event(accounts.Aggregate, accounts.AccountOpened{ID: "alice", Number: "DE021203"})
	log.Event(accounts.Aggregate, accounts.AccountOpened{ID: "bob", Number: "FR143000"})
	log.Event(accounts.Aggregate, accounts.AccountOpened{ID: "carol", Number: "IT60X054"})
	log.Event(accounts.Aggregate, accounts.MoneyDeposited{ID: "alice", Amount: 1000})
	log.Event(accounts.Aggregate, accounts.MoneyWithdrawn{ID: "alice", Amount: 50})
	log.Refused(accounts.Aggregate, "alice", "withdraw", accounts.ErrNoMoney)
	log.Event(accounts.Aggregate, accounts.MoneyWithdrawn{ID: "alice", Amount: 300, Transfer: "rent"})
	log.Event(accounts.Aggregate, accounts.MoneyDeposited{ID: "bob", Amount: 300, Transfer: "rent"})
	log.Again("account/bob")
	log.Event(accounts.Aggregate, accounts.MoneyWithdrawn{ID: "alice", Amount: 200, Transfer: "gift"})
	log.Event(accounts.Aggregate, accounts.MoneyPaidBack{ID: "alice", Amount: 200, Transfer: "gift"})
	log.Event(accounts.Aggregate, accounts.AccountClosed{ID: "carol"})
	log.Event(accounts.Aggregate, accounts.MoneyWithdrawn{ID: "alice", Amount: 100, Transfer: "tax"})
	return log
}

// The golden file has the log, and the rows that the log makes.
func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, aTransfer(), "testdata/projection.golden", accounts.Aggregate)
}

const (
	alice = `{"id":"alice","number":"DE021203","balance":550,"closed":false,"version":7}`
	bob   = `{"id":"bob","number":"FR143000","balance":300,"closed":false,"version":2}`
	carol = `{"id":"carol","balance":0,"closed":true,"version":2}`
)

func TestAccounts(t *testing.T) {
	m := projectiontest.Open(t, Projection, accounts.Aggregate)
	c := m.Client(t, routes)
	m.Fold(new(projectiontest.Log))
	c.Want("/accounts", 200, `[]`)
	m.Fold(aTransfer())
	c.Want("/accounts", 200, `[`+alice+`,`+bob+`,`+carol+`]`)
	link := c.Want("/accounts?limit=1", 200, `[`+alice+`]`).Header.Get("Link")
	if want := `<` + projectiontest.PublicURL + `/accounts?after=` + query.EncodeCursor("alice") + `&limit=1>; rel="next"`; link != want {
		t.Errorf("Link %s, want %s", link, want)
	}
	c.Want("/accounts?after="+query.EncodeCursor("alice"), 200, `[`+bob+`,`+carol+`]`)
	c.Want("/accounts?number=fr14+3000", 200, `[`+bob+`]`)
	c.Want("/accounts?number=IT60X054", 200, `[]`) // closed
	for _, wrong := range []string{"?limit=0", "?after=", "?after=alice", "?owner=x", "?number=", "?number=%00"} {
		if got := c.Ask(http.MethodGet, "/accounts"+wrong); got.Status != 400 {
			t.Errorf("GET /accounts%s: %d %s", wrong, got.Status, got.Body)
		}
	}
}

func TestAccount(t *testing.T) {
	m := projectiontest.Open(t, Projection, accounts.Aggregate)
	c := m.Client(t, routes)
	log := aTransfer()
	m.Fold(log)
	etag := c.Want("/accounts/alice", 200, alice).Header.Get("ETag")
	if got := c.Ask(http.MethodGet, "/accounts/alice", "If-None-Match", etag); got.Status != 304 {
		t.Errorf("status %d, want 304", got.Status)
	}
	for _, none := range []string{"dave", "NO-ID"} {
		if got := c.Ask(http.MethodGet, "/accounts/"+none); got.Status != 404 || !strings.Contains(got.Body, "account-not-found") {
			t.Errorf("%s: %d %s", none, got.Status, got.Body)
		}
	}
	// A newer release has written an event that this release can't read.
	log.Add("accountFrozen", "account/alice", `{"id":"alice"}`)
	m.Fold(log)
	c.Want("/accounts/alice", 200, strings.TrimSuffix(alice, "}")+`,"stale":true}`)
}

// Money is counted on its way, too.
func TestMoney(t *testing.T) {
	m := projectiontest.Open(t, Projection, accounts.Aggregate)
	c := m.Client(t, routes)
	m.Fold(new(projectiontest.Log))
	c.Want("/stats/money", 200, `{"accounts":0,"balances":0,"inTransit":0,"deposited":0,"withdrawn":0}`)
	m.Fold(aTransfer())
	c.Want("/stats/money", 200, `{"accounts":3,"balances":850,"inTransit":100,"deposited":1000,"withdrawn":50}`)
}
