package readmodel

import (
	"testing"
	"time"
)

// Linger limits gathering in a store that is always slow.
func TestLingerIsLimited(t *testing.T) {
	p, began := new(Pace), time.Now()
	for range 20 {
		p.done(time.Second)
	}
	if got := p.due(began, 20*time.Millisecond).Sub(began); got != 20*time.Millisecond {
		t.Errorf("a batch gathers for %v", got)
	}
}

// Read models that may go on at nearly the same time go on together.
func TestReadModelsBeginTogether(t *testing.T) {
	p, began := new(Pace), time.Now()
	p.done(time.Millisecond)
	first := p.due(began, time.Second)
	if got := p.due(began.Add(300*time.Microsecond), time.Second); !got.Equal(first) || first.Sub(began) != time.Millisecond {
		t.Errorf("one begins at %v, the other at %v", first.Sub(began), got.Sub(began))
	}
	if got := p.due(began.Add(time.Second), time.Second).Sub(began); got != time.Second+time.Millisecond {
		t.Errorf("later one begins at %v", got)
	}
}
