// Package fence is the part of a stream's state that knows the repetitions among
// the commands of reactions. Package testing/protocol/fence is the model.
//
// A stream has a [Fence] for each reaction and each partition of topic events. A
// reaction sends the commands of one partition in the order of their causes, so
// a command whose cause is at or below the fence has come before. A reaction
// passes over causes that it can't answer yet: their streams are open, and each
// has a highest cause of its own.
package fence

import (
	"cmp"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/eventlog"
)

// Place is the place of a command among the commands of one reaction and one
// partition. The zero value is before all places.
type Place struct {
	Offset int64 // of the cause in topic events
	N      int   // the cause's n-th command, from 1
}

func placeOf(c eventlog.Cause) Place { return Place{c.Offset, c.N} }

func (p Place) before(other Place) bool {
	return cmp.Or(cmp.Compare(p.Offset, other.Offset), cmp.Compare(p.N, other.N)) < 0
}

// Fence is what a stream remembers of one reaction and one partition of topic
// events.
type Fence struct {
	Reaction, TopicID string
	Partition         int32
	// Highest is the highest place of a command.
	Highest Place
	// Open are the open cause streams, sorted by name.
	Open []Open
}

// Open is a cause stream that the reaction has passed over.
type Open struct {
	Stream string
	// Highest is the highest place of a command of this cause stream, or the
	// fence's highest place when the stream was opened.
	Highest Place
}

// Fences are the fences of a stream, sorted. Fences never change: copies of a
// stream share them.
type Fences []Fence

// Repeats reports whether a reaction's command was here before. A client's
// command has no origin, and never was.
func (f Fences) Repeats(o *eventlog.Origin) bool {
	if o == nil {
		return false
	}
	i, found := f.find(o)
	if !found {
		return false
	}
	highest := f[i].Highest
	if at, open := f[i].findOpen(o.Subject); open {
		highest = f[i].Open[at].Highest
	}
	return !highest.before(placeOf(o.Cause))
}

// Fold returns the fences behind a record that counts, of a reaction's command or
// a client's. The record ends the command, or lets the command wait.
func (f Fences) Fold(o *eventlog.Origin) Fences {
	if o == nil {
		return f
	}
	i, found := f.find(o)
	if f = slices.Clone(f); !found {
		f = slices.Insert(f, i, Fence{Reaction: o.Reaction, TopicID: o.Cause.TopicID, Partition: o.Cause.Partition})
	}
	f[i].fold(o)
	return f
}

// fold moves the fence. The fence gets a list of open streams of its own.
func (f *Fence) fold(o *eventlog.Origin) {
	place := placeOf(o.Cause)
	open := slices.Clone(f.Open)
	if f.Highest.before(place) { // a late command knows less of what is open
		open = open[:0]
		for _, stream := range o.Open {
			if at, was := f.findOpen(stream); was {
				open = append(open, f.Open[at])
			} else {
				open = append(open, Open{stream, f.Highest})
			}
		}
		f.Highest = place
	}
	f.Open = open
	if at, isOpen := f.findOpen(o.Subject); isOpen && f.Open[at].Highest.before(place) {
		f.Open[at].Highest = place
	}
}

// find returns the index of the fence of an origin, or where the fence would be.
func (f Fences) find(o *eventlog.Origin) (at int, found bool) {
	return slices.BinarySearchFunc(f, o, func(fence Fence, o *eventlog.Origin) int {
		return cmp.Or(strings.Compare(fence.Reaction, o.Reaction), strings.Compare(fence.TopicID, o.Cause.TopicID), cmp.Compare(fence.Partition, o.Cause.Partition))
	})
}

func (f *Fence) findOpen(stream string) (at int, found bool) {
	return slices.BinarySearchFunc(f.Open, stream, func(o Open, stream string) int { return strings.Compare(o.Stream, stream) })
}

// Size is an estimate of the bytes in memory.
func (f Fences) Size() int {
	size := 80 * len(f)
	for i := range f {
		for _, o := range f[i].Open {
			size += 40 + len(o.Stream)
		}
	}
	return size
}
