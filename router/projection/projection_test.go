package projection

import (
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

func TestRow(t *testing.T) {
	row := Row{"a", int64(2), true}
	for i, want := range []Row{{"a", int64(0), false}, {"", int64(2), false}, {"", int64(0), true}} {
		if got := (Row{row.Text(i), row.Integer(i), row.Boolean(i)}); got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("column %d has the values %v, want %v", i, got, want)
		}
	}
	if none := Row(nil); none.Text(7) != "" || none.Integer(7) != 0 || none.Boolean(7) {
		t.Error("a nil row has values")
	}
}

func TestTimeText(t *testing.T) {
	e := Event{Record: eventlog.Record{Time: time.Date(2026, 1, 2, 1, 0, 0, 45_999_999, time.FixedZone("", 2*60*60))}}
	if got := e.TimeText(); got != "2026-01-01T23:00:00.045Z" {
		t.Error(got)
	}
}
