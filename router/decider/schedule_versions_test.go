package decider

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// sortedSchedule is a schedule as a sorted slice, which is plainly right.
type sortedSchedule []*scheduledCommand

func (s sortedSchedule) with(c *scheduledCommand) sortedSchedule {
	all := append(slices.Clone(s), c)
	slices.SortFunc(all, func(a, b *scheduledCommand) int {
		return cmp.Or(cmp.Compare(a.due(), b.due()), cmp.Compare(a.Seq, b.Seq))
	})
	return all
}

func (s sortedSchedule) without(c *scheduledCommand) sortedSchedule {
	return slices.DeleteFunc(slices.Clone(s), func(e *scheduledCommand) bool { return e == c })
}

// which is the first command for which a condition holds, nil for none.
func (s sortedSchedule) which(holds func(*scheduledCommand) bool) *scheduledCommand {
	if i := slices.IndexFunc(s, holds); i >= 0 {
		return s[i]
	}
	return nil
}

// version is a version of a schedule, with the plain schedule, and what a disk
// has if each change was written.
type scheduleVersion struct {
	is    stream
	plain sortedSchedule
	disk  map[uint64]int64 // due times
}

func (v *scheduleVersion) copied() *scheduleVersion {
	v.write() // as before each copy that is written
	return &scheduleVersion{is: stream{schedule: v.is.schedule.copied()}, plain: slices.Clone(v.plain), disk: maps.Clone(v.disk)}
}

func (v *scheduleVersion) write() {
	for seq, c := range v.is.takeUnwritten() {
		if due, there := v.disk[seq]; there != c.onDisk || there && due != c.due {
			panic(fmt.Sprintf("the disk has record %d: %t, at %d; the change says %+v", seq, there, due, c))
		}
		delete(v.disk, seq)
		if c.is != nil {
			v.disk[seq] = c.is.due()
		}
	}
}

// A schedule is what a sorted slice is, and so are all versions of the schedule
// that were copied from others.
func TestScheduleIsSorted(t *testing.T) {
	for seed := range uint64(20) {
		luck := rand.New(rand.NewPCG(seed, 38))
		versions := []*scheduleVersion{{disk: map[uint64]int64{}}}
		var seq uint64
		for range 3000 {
			v := versions[luck.IntN(len(versions))]
			s := v.is.schedule
			var any *scheduledCommand
			if len(v.plain) > 0 {
				any = v.plain[luck.IntN(len(v.plain))]
			}
			switch deed := luck.IntN(20); {
			case deed == 0 && len(versions) < 6:
				versions = append(versions, v.copied())
			case deed == 0:
				versions[luck.IntN(len(versions))] = v.copied()
			case deed == 1:
				v.write()
			case deed < 4 && any != nil && !any.Cancelled: // cancel
				c := *any
				c.Cancelled = true
				s.remove(any)
				v.is.schedule, v.plain = s.with(&c), v.plain.without(any).with(&c)
			case deed < 10 && any != nil:
				if deed < 7 {
					any = v.plain[0] // the next
				}
				s.remove(any)
				v.plain = v.plain.without(any)
			default:
				seq++
				c := &scheduledCommand{Envelope: eventlog.Envelope{
					ID: fmt.Sprint("c", luck.IntN(500)), Type: fmt.Sprint("type", luck.IntN(3)), NotBefore: time.UnixMilli(int64(luck.IntN(300) - 10)), Body: make([]byte, luck.IntN(9)),
				}, At: eventlog.CommandPosition{TopicID: "t", Offset: int64(seq)}, Seq: seq}
				if luck.IntN(3) == 0 {
					c.Origin = &eventlog.Origin{Reaction: fmt.Sprint("reaction", luck.IntN(3))}
				}
				v.is.schedule, v.plain = s.with(c), v.plain.with(c)
			}
			wantSorted(t, v, luck)
		}
		for _, v := range versions { // a change of one version is none of another
			wantSorted(t, v, luck)
			v.write()
			want := map[uint64]int64{}
			for _, c := range v.plain {
				want[c.Seq] = c.due()
			}
			if !maps.Equal(v.disk, want) {
				t.Fatalf("seed %d: the disk has %v, want %v", seed, v.disk, want)
			}
		}
	}
}

func wantSorted(t *testing.T, v *scheduleVersion, luck *rand.Rand) {
	t.Helper()
	s, bytes := v.is.schedule, 0
	if s != nil {
		bytes = scheduleBytes + scheduleChangeBytes*len(s.unwritten)
	}
	for _, c := range v.plain {
		bytes += c.size()
	}
	if got := slices.Collect(s.all()); !slices.Equal(got, v.plain) || s.len() != len(v.plain) || s.size() != bytes {
		t.Fatalf("%d commands of %d bytes, want %d of %d", s.len(), s.size(), len(v.plain), bytes)
	}
	if s.len() == 0 != (s.first() == nil) || s.len() > 0 && (s.first() != v.plain[0] || s.due() != v.plain[0].due()) {
		t.Fatalf("the first is %+v", s.first())
	}
	id, offset := fmt.Sprint("c", luck.IntN(500)), int64(luck.IntN(1000))
	if len(v.plain) > 0 && luck.IntN(2) == 0 {
		c := v.plain[luck.IntN(len(v.plain))]
		id, offset = c.ID, c.At.Offset
	}
	if got, want := s.find(id), v.plain.which(func(c *scheduledCommand) bool { return c.ID == id }); got != want {
		t.Fatalf("the command %s is %+v, want %+v", id, got, want)
	}
	at := eventlog.CommandPosition{TopicID: "t", Offset: offset}
	if got, want := s.at(id, at), v.plain.which(func(c *scheduledCommand) bool { return c.ID == id && c.At == at }); got != want {
		t.Fatalf("the command %s at %v is %+v, want %+v", id, at, got, want)
	}
	reaction, of := fmt.Sprint("reaction", luck.IntN(3)), fmt.Sprint("type", luck.IntN(3))
	if got, want := s.sentBy(reaction, of), v.plain.which(func(c *scheduledCommand) bool {
		return c.Origin != nil && c.Origin.Reaction == reaction && c.Type == of && !c.Cancelled
	}); got != want {
		t.Fatalf("the %s of %s is %+v, want %+v", of, reaction, got, want)
	}
}

// While a batch reads a frozen schedule, copies are made of the schedule, and
// change. The race detector would see a change of what is shared.
func TestScheduleIsShared(t *testing.T) {
	var frozen *schedule
	command := func(i int) *scheduledCommand {
		return &scheduledCommand{Envelope: eventlog.Envelope{ID: fmt.Sprint("c", i*7919%10_007), NotBefore: time.UnixMilli(int64(i * 104_729 % 10_009))}, Seq: uint64(i)}
	}
	const n = 1000
	for i := range n {
		frozen = frozen.with(command(i))
	}
	want := slices.Collect(frozen.all())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for range 50 {
				if got := slices.Collect(frozen.all()); !slices.Equal(got, want) || frozen.len() != n || frozen.find(want[n/2].ID) != want[n/2] {
					t.Error("the frozen schedule has changed")
				}
			}
		})
	}
	for i := range 20 {
		c := frozen.copied()
		for _, e := range want[i*40:] {
			c.remove(e)
		}
		for k := range 500 {
			c = c.with(command(n + k))
		}
	}
	readers.Wait()
}
