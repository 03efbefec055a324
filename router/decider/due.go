package decider

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/eventlog"
)

const (
	// lookEvery is the time between two looks for scheduled commands that are due.
	// The looks read the wall clock, and so see its jumps.
	lookEvery = 100 * time.Millisecond
	// maxDue bounds the due commands of one stream that are under way.
	maxDue = 64
	// dueAtOnce bounds the streams with due commands that a look takes under one
	// hold of the lock.
	dueAtOnce = 256
)

// dueStream is a stream whose first scheduled command is due.
type dueStream struct {
	name string
	due  int64 // milliseconds since 1970
}

// look goes on with all streams that have due commands, as far as the
// assignment has room. The next look finds the rest. An error says that the
// disk can't be trusted.
func (p *processor) look(c *assigned) error {
	p.mu.Lock()
	now := p.now().UnixMilli()
	if p.assigned != c || c.closing {
		p.mu.Unlock()
		return nil
	}
	for _, sp := range c.speculations {
		p.ring(sp)
	}
	if p.tally.Scheduled == 0 {
		c.late = 0
		p.mu.Unlock()
		return nil
	}
	c.dueFrom = min(c.dueFrom, now)
	from := c.dueFrom
	var soon []dueStream
	// Streams in memory first: what is not on disk yet is in memory until a batch
	// has it.
	for s := range p.notOnDisk() {
		if s.stream != nil && s.stream.schedule.due() <= now {
			soon = append(soon, dueStream{s.name, s.stream.schedule.due()})
		}
	}
	onDisk := p.disk != nil && p.opened
	p.mu.Unlock()

	oldest := now
	room, err := p.goOnWith(c, soon, now, &oldest)
	first := now
	if onDisk {
		for some, readErr := range p.dueOnDisk(from, now) {
			if err = errors.Join(err, readErr); err != nil || !room {
				break
			}
			first = min(first, some[0].due)
			room, err = p.goOnWith(c, some, now, &oldest)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.assigned == c {
		c.late = time.Duration(now-oldest) * time.Millisecond
		if err == nil && room && c.dueFrom == from { // the look has seen what the disk has, and no batch came
			c.dueFrom = first
		}
	}
	return err
}

// goOnWith goes on with streams that have due commands, and reports whether the
// assignment has room for more. oldest becomes the time of the oldest due
// command.
func (p *processor) goOnWith(c *assigned, due []dueStream, now int64, oldest *int64) (room bool, err error) {
	for some := range slices.Chunk(due, dueAtOnce) {
		p.mu.Lock()
		some = slices.DeleteFunc(some, func(d dueStream) bool { return p.isUnderWay(c, d.name, now, oldest) })
		p.mu.Unlock()
		for _, d := range some {
			s, err := p.hold(d.name, "")
			if err != nil {
				return false, err
			}
			room = p.assigned == c && !c.closing && c.due < MaxUnderWay
			if room && s.stream != nil && s.stream.schedule.due() <= now {
				*oldest = min(*oldest, max(s.stream.schedule.due(), 0))
				p.advance(p.speculationOf(s))
			}
			p.letGo(s)
			if !room {
				return false, nil
			}
		}
	}
	return true, nil
}

// isUnderWay reports whether a stream has no more due commands, or its speculation
// goes on with them. The disk has old due times until the next batch.
func (p *processor) isUnderWay(c *assigned, name string, now int64, oldest *int64) bool {
	s := p.streams[name]
	if s == nil || !s.loaded {
		return false
	}
	if s.stream == nil || s.stream.schedule.due() > now {
		return true
	}
	*oldest = min(*oldest, max(s.stream.schedule.due(), 0))
	sp := c.speculations[name]
	return p.assigned == c && sp != nil && sp.due > 0
}

// ring decides the due commands of a speculation, each on top of the command
// before.
func (p *processor) ring(sp *speculation) {
	c := p.assigned
	for !c.closing && sp.due < c.maxDue && p.hasDue(&sp.stream) {
		first := sp.stream.schedule.first()
		if !p.goOn(sp, &job{envelope: first.dueEnvelope(), at: first.At, from: fromTimer}) {
			return // the clock went back
		}
	}
}

// hasDue reports whether a scheduled command of a stream is due.
func (p *processor) hasDue(s *stream) bool {
	return s.schedule.len() > 0 && s.schedule.due() <= p.now().UnixMilli()
}

// isDue reports whether the command at a position is the next scheduled command
// of a stream to go on, and due.
func (p *processor) isDue(s *stream, at eventlog.CommandPosition) bool {
	return p.hasDue(s) && s.schedule.first().At == at
}

// decideDue makes the record of the outcome of the stream's first scheduled
// command. The record's time is notBefore, so that all deciders make the same
// record.
func decideDue(registry *aggregate.Registry, s *stream) eventlog.Record {
	first := s.schedule.first()
	envelope := first.dueEnvelope()
	return seal(s, &envelope, first.At, endScheduled(registry, s, first.Cancelled, &envelope))
}

// dueEnvelope is a scheduled command as if accepted at notBefore.
func (c *scheduledCommand) dueEnvelope() eventlog.Envelope {
	envelope := c.Envelope
	envelope.Time, envelope.NotBefore = c.NotBefore, time.Time{}
	return envelope
}

func endScheduled(registry *aggregate.Registry, s *stream, cancelled bool, envelope *eventlog.Envelope) outcome {
	if cancelled {
		return refused(envelope, errCancelled)
	}
	if reason := s.queues(registry, envelope.Type); reason != "" {
		return queued(envelope, reason)
	}
	command, err := readCommand(registry, envelope)
	if err != nil {
		return parked(envelope, err.Error(), "")
	}
	return decideNow(registry, s, envelope, command, nil)
}

// dueOnDisk are the streams with due commands on disk, some at a time, by due
// time. After an error, there are no others.
func (p *processor) dueOnDisk(from, now int64) iter.Seq2[[]dueStream, error] {
	return func(yield func([]dueStream, error) bool) {
		end := keys.OfDue(p.partition, now+1, "", 0)
		for next := keys.OfDue(p.partition, from, "", 0); next != nil; {
			var some []dueStream
			start := next
			next = nil
			err := p.disk.Scan(start, end, func(key, _ []byte) error {
				if len(some) == dueAtOnce {
					next = slices.Clone(key)
					return errEnough
				}
				due, name, ok := keys.Due(key)
				if !ok {
					return fmt.Errorf("%w: the key of a due time", errValue)
				}
				some = append(some, dueStream{name, due})
				return nil
			})
			if err != nil && !errors.Is(err, errEnough) {
				yield(nil, err)
				return
			}
			if len(some) == 0 || !yield(some, nil) {
				return
			}
		}
	}
}

// noteWritten lowers the time from which a look reads the disk, after a batch has
// written a stream. The lock is held.
func (p *processor) noteWritten(s *stream) {
	if c := p.assigned; c != nil {
		c.dueFrom = min(c.dueFrom, s.schedule.due())
	}
}

// addSchedule encodes what has changed in a stream's schedule.
func (b *batch) addSchedule(p *processor, f *frozenStream) {
	name := f.cached.name
	for _, seq := range slices.Sorted(maps.Keys(f.scheduled)) {
		c := f.scheduled[seq]
		key := keys.Numbered(nil, p.partition, keys.Scheduled, name, seq)
		if c.onDisk {
			b.remove(keys.OfDue(p.partition, c.due, name, seq))
		}
		if c.is == nil {
			b.remove(key)
			continue
		}
		b.changes = append(b.changes, change{key, EncodeBody(c.is)}, change{keys.OfDue(p.partition, c.is.due(), name, seq), []byte{}})
	}
}

// readSchedule reads the scheduled commands of a stream.
func (p *processor) readSchedule(name string, count uint64) (*schedule, error) {
	if count == 0 {
		return nil, nil
	}
	var all []*scheduledCommand
	prefix := keys.Numbered(nil, p.partition, keys.Scheduled, name, 0)
	prefix = prefix[:len(prefix)-8]
	err := p.disk.Scan(prefix, keys.Behind(prefix), func(_, value []byte) error {
		c := new(scheduledCommand)
		if err := json.Unmarshal(value, c); err != nil {
			return fmt.Errorf("%w: %w", errValue, err)
		}
		all = append(all, c)
		return nil
	})
	if err == nil && uint64(len(all)) != count {
		err = fmt.Errorf("%w: %d scheduled commands of %d", errValue, len(all), count)
	}
	return scheduleOf(all), err
}
