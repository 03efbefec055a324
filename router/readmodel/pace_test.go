package readmodel

import (
	"testing"
	"time"
)

// Linger limits gathering in a store that is always slow.
func TestLingerIsLimited(t *testing.T) {
	p, began := new(Pace), time.Now()
	for range 20 {
		p.done(time.Second, 1)
	}
	if got := p.due(began, 20*time.Millisecond).Sub(began); got != 20*time.Millisecond {
		t.Errorf("a batch gathers for %v", got)
	}
}

// Under full load a batch gathers longer; a few records more change nothing.
func TestManyRecordsGatherLonger(t *testing.T) {
	for records, want := range map[int]int{1: 1, 15: 1, 16: 2, 31: 2, 32: 3, 1000: 3} {
		p, began := new(Pace), time.Now()
		for range 9 {
			p.done(time.Millisecond, records)
		}
		p.done(time.Millisecond, 1) // the usual number counts
		if got := p.due(began, time.Second).Sub(began); got != time.Duration(want)*time.Millisecond {
			t.Errorf("behind batches of %d records a batch gathers for %v", records, got)
		}
		if got, want := p.soon(began, time.Second).Sub(began), time.Duration(min(want-1+records/1000, 3))*time.Millisecond; got != want {
			t.Errorf("behind batches of %d records a batch that somebody waits for gathers for %v", records, got)
		}
	}
}

// Read models that may go on at nearly the same time go on together.
func TestReadModelsBeginTogether(t *testing.T) {
	p, began := new(Pace), time.Now()
	p.done(time.Millisecond, 1)
	first := p.due(began, time.Second)
	if got := p.due(began.Add(300*time.Microsecond), time.Second); !got.Equal(first) || first.Sub(began) != time.Millisecond {
		t.Errorf("one begins at %v, the other at %v", first.Sub(began), got.Sub(began))
	}
	if got := p.due(began.Add(time.Second), time.Second).Sub(began); got != time.Second+time.Millisecond {
		t.Errorf("later one begins at %v", got)
	}
}
