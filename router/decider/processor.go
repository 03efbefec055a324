package decider

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// processor is the partition processor. For the life of the state store, a
// processor is the fold of one partition of the log. While the
// partition is assigned to this process, the processor also decides the
// partition's commands, and the assignment's data are in the field assigned.
//
// One lock guards the fold and the assignment: a decision and the record that
// upsets the decision never pass each other.
type processor struct {
	registry *aggregate.Registry
	remember int // outcomes of a stream
	log      *slog.Logger
	// now is the clock that scheduled commands wait for.
	now func() time.Time
	// broken is told why the disk can't be trusted.
	broken func(error)
	// partition is the number of the partition.
	partition int32
	// folded is the offset of the first record that is not folded. Only a
	// holder of mu moves folded.
	folded eventlog.Progress

	mu    sync.Mutex
	last  eventlog.Digest // of the record before folded
	saved int64           // the end of the last batch
	cache
	// decided has for each topic commands the offset of the last command with an
	// outcome in this partition.
	// Every POST asks for the offset, so decided has a lock of its own, which is
	// taken last.
	decided   map[string]int64
	decidedMu sync.Mutex
	old       int64 // the end that the log had when the fold began
	ignored   int   // folded records that don't count
	notes     ignoredNotes
	events    map[string]int64 // by aggregate: the offset of the last event
	// eventsID is the id of the log, and causes has, for each partition of the log,
	// the offset of the last cause of a reaction's command that was folded.
	eventsID string
	causes   map[int32]int64
	tally    tally
	wants    []want // room for fold
	waiting  map[waitingFor][]*waiter
	assigned *assigned // nil while another process has the partition
}

func newProcessor(registry *aggregate.Registry, remember int, log *slog.Logger) *processor {
	return &processor{
		registry: registry, remember: remember, log: log, now: time.Now,
		cache: newCache(), waiting: map[waitingFor][]*waiter{}, events: map[string]int64{},
	}
}

// fold folds the next records of the partition. Records that are folded
// already are skipped. An error says that the disk can't be trusted.
func (p *processor) fold(records []eventlog.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.folded.Next()
	wants := p.wants[:0]
	for i := range records {
		r := &records[i]
		if r.Offset < next || r.Malformed != nil {
			continue
		}
		c := p.pin(r.Stream)
		wants = append(wants, want{c, rememberedID(r.CommandID, r.Origin)})
		if r.Type == eventlog.TypeParkedDropped {
			if body, err := decode[requeuedBody](r); err == nil {
				wants = append(wants, want{p.pin(r.Stream), body.CommandID})
			}
		}
	}
	err := p.require(wants)
	for i := range records {
		if r := &records[i]; err == nil && r.Offset >= next {
			next, p.last = r.Offset+1, r.Digest
			p.foldOne(r)
		}
	}
	for _, w := range wants {
		p.unpin(w.cached)
	}
	clear(wants)
	p.wants = wants[:0]
	p.folded.Set(next)
	if p.disk != nil && (len(p.changed) >= p.wakeAt || p.waits > p.budget/4) {
		p.wake()
	}
	return err
}

// foldOne folds a record, tells the waiters of the record's command, and lets
// the assignment's commands go on.
func (p *processor) foldOne(r *eventlog.Record) {
	if r.Malformed != nil {
		p.ignore(r)
		level := slog.LevelDebug // an old one: each start would tell of it again
		if r.Offset >= p.old {
			level = slog.LevelWarn
		}
		p.log.Log(context.Background(), level, "ignored a message that is no record", "partition", r.Partition, "offset", r.Offset, "reason", r.Malformed)
		return
	}
	c := p.streams[r.Stream]
	s := p.change(c)
	readable, before := s.unreadable == nil, p.tallyOf(c.stream)
	if !s.fold(p.registry, r, p.remember) {
		p.ignore(r)
		p.log.Debug("ignored a record whose sequence number another record has", "stream", r.Stream, "seq", r.Seq, "partition", r.Partition, "offset", r.Offset)
		return
	}
	c.stream = s
	p.hasChanged(c)
	if eventlog.IsEvent(r.Type) {
		of, _, _ := aggregate.SplitStream(r.Stream)
		p.events[of] = r.Offset
	}
	if r.Unreadable == nil {
		p.decidedUpTo(r.CommandPosition)
		p.noteCause(r.Origin)
	}
	p.tally.move(before, p.tallyOf(s))
	if eventlog.IsEvent(r.Type) {
		for _, f := range c.followers {
			f.tell(s.told())
		}
	}
	if readable && s.unreadable != nil {
		p.log.Error("stream stopped", "stream", r.Stream, "error", s.unreadable)
	}
	if r.Origin == nil { // nobody waits for a reaction's command
		if o, ok := s.outcome(r.CommandID); ok {
			p.tell(waitingFor{r.Stream, r.CommandID}, o)
		}
	}
	if p.assigned != nil {
		p.accepted(c, r)
	}
}

// decidedUpTo notes the position of a command with an outcome.
func (p *processor) decidedUpTo(at eventlog.CommandPosition) {
	p.decidedMu.Lock()
	defer p.decidedMu.Unlock()
	if p.decided == nil {
		p.decided = map[string]int64{}
	}
	if last, ok := p.decided[at.TopicID]; !ok || at.Offset > last {
		p.decided[at.TopicID] = at.Offset
	}
}

// LastDecided returns the offset of the last command of a partition that has an
// outcome, -1 for none; topicID is the id of topic commands.
func (ss *StateStore) LastDecided(partition int32, topicID string) int64 {
	p := ss.processors[partition]
	p.decidedMu.Lock()
	defer p.decidedMu.Unlock()
	if last, ok := p.decided[topicID]; ok {
		return last
	}
	return -1
}
