package transferlist

import (
	"strings"
	"testing"

	"example.com/bank/handlers/transfers"
	"example.com/bank/values"
	"github.com/millrace/millrace/router/projection/projectiontest"
)

// someTransfers is a log with a transfer for each way to end.
func someTransfers() *projectiontest.Log {
	log := new(projectiontest.Log)
	request := transfers.TransferRequested{From: "alice", To: "bob", Amount: 500, WithinSeconds: 60}
	for _, request.ID = range []values.ID{"rent", "gift", "late", "poor"} {
		log.Event(transfers.Aggregate, request)
	}
	log.Event(transfers.Aggregate, transfers.TransferReleased{ID: "rent", To: "bob", Amount: 500})
	log.Refused(transfers.Aggregate, "rent", "acceptTransfer", transfers.ErrNotOffered)
	log.Event(transfers.Aggregate, transfers.TransferCompleted{ID: "rent"})
	log.Event(transfers.Aggregate, transfers.TransferOffered{ID: "gift"})
	log.Event(transfers.Aggregate, transfers.TransferFailed{ID: "gift", From: "alice", Amount: 500, Reason: "not-accepted"})
	log.Event(transfers.Aggregate, transfers.TransferReturned{ID: "gift", Reason: "not-accepted"})
	log.Event(transfers.Aggregate, transfers.TransferExpired{ID: "late"})
	log.Event(transfers.Aggregate, transfers.TransferRefused{ID: "poor", Reason: "insufficient-funds"})
	return log
}

// The golden file has the log, and the rows that the log makes.
func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, someTransfers(), "testdata/projection.golden", transfers.Aggregate)
}

func TestTransfer(t *testing.T) {
	m := projectiontest.Open(t, Projection, transfers.Aggregate)
	c := m.Client(t, routes)
	log := someTransfers()
	m.Fold(log)
	c.Want("/transfers/rent", 200, `{"id":"rent","from":"alice","to":"bob","amount":500,"status":"completed",`+
		`"requestedAt":"2026-01-02T12:00:00.045Z","updatedAt":"2026-01-02T12:00:06.045Z","version":3}`)
	for id, want := range map[string]string{
		"gift": `"status":"returned","reason":"not-accepted"`, "late": `"status":"expired","reason":"expired"`, "poor": `"status":"refused","reason":"insufficient-funds"`,
	} {
		if got := c.Ask("GET", "/transfers/"+id); got.Status != 200 || !strings.Contains(got.Body, want) {
			t.Errorf("%s: %d %s, want %s", id, got.Status, got.Body, want)
		}
	}
	if got := c.Ask("GET", "/transfers/none"); got.Status != 404 || !strings.Contains(got.Body, "transfer-not-found") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	log.Add("transferBlessed", "transfer/rent", `{"id":"rent"}`)
	m.Fold(log)
	if got := c.Ask("GET", "/transfers/rent"); !strings.Contains(got.Body, `"stale":true`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}
