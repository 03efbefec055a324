package handlers

import "testing"

func TestWatchTellsOfOutcomes(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	w := s.ledger.Watch("user/u", "1")
	defer w.Close()
	s.take(tp.command("createUser", "u", "Ann", "1"))
	if o := <-w.C; o.Kind != Succeeded || o.Version != 1 {
		t.Errorf("told %+v", o)
	}
	known := s.ledger.Watch("user/u", "1")
	defer known.Close()
	if o := <-known.C; o.Version != 1 {
		t.Errorf("told %+v of what is known", o)
	}
}
