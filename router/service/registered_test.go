package service

import (
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/reaction"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	if err := domain.Check(); err != nil {
		t.Error(err)
	}
	d, long := domain, strings.Repeat("long", 20)
	d.Models = append(d.Models[:2:2], query.Model{
		Projection: &projection.Projection{
			Name:   "names",
			Tables: []projection.Table{{Name: long, Columns: []projection.Column{{Name: "id", Key: true}}}},
			Apply:  func(projection.Rows, projection.Event) error { return nil },
		},
		Routes: func(*mux.Router, *query.Reader) {},
	})
	const want = `read model "names": table "longlong`
	if err := d.Check(); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "at most 63 are possible") {
		t.Errorf("%v, want %s…", err, want)
	}
	d = domain
	d.Reactions = []*reaction.Reaction{{Name: "greeting"}}
	if err := d.Check(); err == nil || err.Error() != `reaction "greeting": React is nil` {
		t.Error(err)
	}
}
