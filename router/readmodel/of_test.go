package readmodel_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

// ofOrders is the read model names, of orders only. A record of another
// aggregate fails the test.
func ofOrders(t *testing.T) *projection.Projection {
	p := names(new(atomic.Bool))
	p.Of = []string{"order"}
	keys, apply := p.Keys, p.Apply
	p.Keys = func(e projection.Event) []projection.RowKey {
		if !strings.HasPrefix(e.Stream, "order/") {
			t.Errorf("Keys is handed %s of %s", e.Type, e.Stream)
		}
		return keys(e)
	}
	p.Apply = func(rows projection.Rows, e projection.Event) error {
		if !strings.HasPrefix(e.Stream, "order/") {
			t.Errorf("Apply is handed %s of %s", e.Type, e.Stream)
		}
		return apply(rows, e)
	}
	return p
}

// headsOf returns the streams with a head in a read model.
func headsOf(t *testing.T, store readmodel.Store, p *projection.Projection) (streams []string) {
	t.Helper()
	err := store.View(t.Context(), p, func(v readmodel.View) error {
		return v.EachHead(t.Context(), nil, func(stream string, head readmodel.StreamHead) error {
			if head.Parked != "" {
				stream += " parked"
			}
			streams = append(streams, stream)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return streams
}

// twoAggregates is a log of orders and parcels with the same ids, with an
// unreadable event of a parcel, and an event of an unknown aggregate.
func twoAggregates() *partitionedLog {
	l := newLog(3)
	for i := range 20 {
		id := fmt.Sprint(i)
		l.created(id, "a")
		l.write("parcelSent", orders.Parcels.Stream(id), fmt.Sprintf(`{"id":%q}`, id))
		l.renamed(id, "b")
	}
	l.write("parcelSent", "parcel/broken", `{"id":`)
	l.write("parcelSent", "parcel/broken", `{"id":"broken"}`)
	l.write("planetFound", "planet/1", `{"id":"1"}`)
	l.write("commandRefused", "parcel/1", `{}`)
	return l
}

// A read model of one aggregate sees no records of other aggregates: such
// records make no heads, and park nothing. The checkpoints move on.
func TestAReadModelOfOneAggregate(t *testing.T) {
	l, p, store := twoAggregates(), ofOrders(t), memory(t)
	var want []string
	wantRows := map[string]string{}
	for i := range 20 {
		want = append(want, order(fmt.Sprint(i)))
		wantRows[fmt.Sprint(i)] = "b 2"
	}
	check := func(step string) {
		t.Helper()
		if diff := cmp.Diff(wantRows, rows(t, store, p)); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", step, diff)
		}
		got := map[string]bool{}
		for _, stream := range headsOf(t, store, p) {
			got[stream] = true
		}
		for _, stream := range want {
			if !got[stream] {
				t.Errorf("%s: no head of %s", step, stream)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: heads of %v", step, got)
		}
		proof := verify(t, store, l, false, p)[0]
		if proof.Differ != 0 || proof.Records != 64 || proof.Accepted != 40 || proof.Others != 24 || proof.Ignored != 0 || proof.Deferred != 0 {
			t.Errorf("%s: %+v\n%s", step, proof, differences(proof))
		}
	}
	l.catchUp(t, store, p)
	check("folded")

	r := rebuildOf(store, l, p)
	r.Partitions = 3
	generation, _, err := r.Begin(t.Context())
	if err := errors.Join(err, r.Fill(t.Context(), generation), r.Swap(t.Context(), generation)); err != nil {
		t.Fatal(err)
	}
	check("rebuilt")
}

// A read model of all aggregates parks streams with unreadable events, and
// streams of unknown aggregates.
func TestAReadModelOfAllAggregates(t *testing.T) {
	l, p, store := twoAggregates(), names(new(atomic.Bool)), memory(t)
	l.catchUp(t, store, p)
	var parked []string
	for _, stream := range headsOf(t, store, p) {
		if strings.HasSuffix(stream, " parked") {
			parked = append(parked, stream)
		}
	}
	if diff := cmp.Diff([]string{"parcel/broken parked", "planet/1 parked"}, parked); diff != "" {
		t.Error(diff)
	}
	if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.Others != 0 || proof.Deferred != 3 || proof.Accepted != 61 {
		t.Errorf("%+v\n%s", proof, differences(proof))
	}
}

// Another Of makes other heads, so the read model must be rebuilt.
func TestAnotherOfIsAnotherDefinition(t *testing.T) {
	store := memory(t)
	if err := store.Prepare(t.Context(), names(new(atomic.Bool)), 1); err != nil {
		t.Fatal(err)
	}
	if err := store.Prepare(t.Context(), ofOrders(t), 1); !errors.Is(err, readmodel.ErrOtherDefinition) {
		t.Error(err)
	}
}

// Every fold sees old events in today's form.
func TestUpcastEvents(t *testing.T) {
	l, mended := newLog(1), new(atomic.Bool)
	p, store := names(mended), memory(t)
	named := func(id, title string) {
		l.write("orderNamed", order(id), fmt.Sprintf(`{"id":%q,"title":%q}`, id, title))
	}
	l.created("a", "first")
	named("a", "second")
	l.created("b", "first")
	named("b", "broken")
	named("b", "third")
	l.write("orderNamed", order("c"), `{"id":`)
	l.catchUp(t, store, p)
	if diff := cmp.Diff(map[string]string{"a": "second 2", "b": "first 1"}, rows(t, store, p)); diff != "" {
		t.Errorf("the engine's rows (-want +got):\n%s", diff)
	}
	if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.ParkedStreams != 2 {
		t.Errorf("%+v\n%s", proof, differences(proof))
	}

	mended.Store(true)
	want := map[string]string{"a": "second 2", "b": "third 3"}
	if now := retry(t, store, l, p, parked(t, store, l, p)); len(now) != 2 || now[0].Parked != "" || !strings.Contains(now[1].Parked, "upcast orderNamed to orderRenamed") {
		t.Errorf("%+v", now)
	}
	if diff := cmp.Diff(want, rows(t, store, p)); diff != "" {
		t.Errorf("rows after the retry (-want +got):\n%s", diff)
	}
	r := rebuildOf(store, l, p)
	generation, _, err := r.Begin(t.Context())
	if err := errors.Join(err, r.Fill(t.Context(), generation), r.Swap(t.Context(), generation)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rows(t, store, p)); diff != "" {
		t.Errorf("rebuilt rows (-want +got):\n%s", diff)
	}
	if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.ParkedStreams != 1 {
		t.Errorf("%+v\n%s", proof, differences(proof))
	}
}
