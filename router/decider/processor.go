package decider

import (
	"context"
	"log/slog"
	"sync"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// processor is the partition processor. For the life of the state store, a
// processor is the fold of one partition of the log. While this process has
// claimed the partition, the processor also decides the partition's commands,
// and the claim's data are in the field claimed.
//
// One lock guards the fold and the claim: a decision and the record that
// upsets the decision never pass each other.
type processor struct {
	registry *aggregate.Registry
	remember int // outcomes of a stream
	log      *slog.Logger
	// folded is the offset of the first record that is not folded. Only a
	// holder of mu moves folded.
	folded eventlog.Progress

	mu      sync.Mutex
	last    eventlog.Digest // of the record before folded
	saved   int64           // the end of the last snapshot
	streams map[string]*stream
	// decided has for each topic commands the offset of the last command with an
	// outcome in this partition.
	// Every POST asks for the offset, so decided has a lock of its own, which is
	// taken last.
	decided   map[string]int64
	decidedMu sync.Mutex
	old       int64 // the end that the log had when the fold began
	ignored   int   // folded records that don't count
	tally     tally
	waiting   map[waitingFor][]*waiter
	claimed   *claimed // nil while another process has the partition
}

func newProcessor(registry *aggregate.Registry, remember int, log *slog.Logger) *processor {
	return &processor{
		registry: registry, remember: remember, log: log,
		streams: map[string]*stream{}, waiting: map[waitingFor][]*waiter{},
	}
}

// fold folds the next records of the partition. Records that are folded
// already are skipped.
func (p *processor) fold(records []eventlog.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.folded.Next()
	for i := range records {
		r := &records[i]
		if r.Offset < next {
			continue
		}
		next, p.last = r.Offset+1, r.Digest
		if r.Malformed != nil {
			p.ignored++
			level := slog.LevelDebug // an old one: each start would tell of it again
			if r.Offset >= p.old {
				level = slog.LevelWarn
			}
			p.log.Log(context.Background(), level, "ignored a message that is no record", "partition", r.Partition, "offset", r.Offset, "reason", r.Malformed)
			continue
		}
		p.foldOne(r)
	}
	p.folded.Set(next)
}

// foldOne folds a record, tells the waiters of the record's command, and lets
// the claim's commands go on.
func (p *processor) foldOne(r *eventlog.Record) {
	s := p.streams[r.Stream]
	if s == nil {
		s = new(stream)
	}
	readable, before := s.unreadable == nil, p.tallyOf(s)
	if !s.fold(p.registry, r, p.remember) {
		p.ignored++
		p.log.Debug("ignored a record whose sequence number another record has", "stream", r.Stream, "seq", r.Seq, "partition", r.Partition, "offset", r.Offset)
		return
	}
	p.streams[r.Stream] = s
	if r.Unreadable == nil {
		p.decidedUpTo(r.CommandPosition)
	}
	p.tally.move(before, p.tallyOf(s))
	if readable && s.unreadable != nil {
		p.log.Error("stream stopped", "stream", r.Stream, "error", s.unreadable)
	}
	if o, ok := s.outcome(r.CommandID); ok {
		p.tell(waitingFor{r.Stream, r.CommandID}, o)
	}
	if p.claimed != nil {
		p.accepted(s, r)
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
