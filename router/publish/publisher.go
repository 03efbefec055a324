package publish

import (
	"context"
	"log/slog"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/logging"
)

// States says which records count. The state store of a command service may be far
// ahead of the publisher.
type States interface {
	// Counting returns the records that count, of some records of one partition in
	// the order of the log, and waits until the fold has passed the records.
	Counting(ctx context.Context, records []eventlog.Record) ([]eventlog.Record, error)
	// LastEvent returns the offset of the last event of an aggregate that counts, in
	// a partition up to the offset folded, or -1 for none.
	LastEvent(partition int32, aggregate string) (last, folded int64)
}

// Publisher keeps public topics up with the log.
type Publisher struct {
	Topics   []Topic
	EventsID string // of topic events
	Log      Log
	Kafka    Kafka
	States   States
	Logger   *slog.Logger

	lines logging.Sampler

	mu      sync.Mutex
	ensured map[string]bool // topics that are there
	flows   map[flowKey]*flow
}

type flowKey struct {
	topic     string
	partition int32
}

// flow is a partition of a public topic in this process.
type flow struct {
	topic     Topic
	partition int32
	turn      sync.Mutex // one run at a time: an assignment may come back before its last send has ended

	mu        sync.Mutex
	runs      bool
	next      int64 // the first offset of topic events that is not looked at
	published int64 // events, repeats included
}

func (f *flow) move(next, published int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
	f.published += published
}

func (f *flow) running(runs bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = runs
}

func (p *Publisher) flow(topic Topic, partition int32) *flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := flowKey{topic.Name, partition}
	if p.flows == nil {
		p.flows, p.ensured = map[flowKey]*flow{}, map[string]bool{}
	}
	if p.flows[key] == nil {
		p.flows[key] = &flow{topic: topic, partition: partition}
	}
	return p.flows[key]
}

// Run keeps a partition of all topics up with the log, until the context ends.
// While brokers are away, or a topic is wrong, Run tries again.
func (p *Publisher) Run(ctx context.Context, partition int32) {
	var running sync.WaitGroup
	for _, topic := range p.Topics {
		running.Go(func() { p.keep(ctx, p.flow(topic, partition)) })
	}
	running.Wait()
}

func (p *Publisher) keep(ctx context.Context, f *flow) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.running(true)
	defer f.running(false)
	for try := 0; ctx.Err() == nil; try++ {
		sent := false
		err := p.follow(ctx, f, &sent)
		if ctx.Err() != nil {
			return
		}
		if sent {
			try = 0
		}
		p.forget(f.topic.Name)
		p.lines.Warn(p.Logger, "can't publish; trying again", "topic", f.topic.Name, "partition", f.partition, "error", err)
		if kafka.Backoff(ctx, try) != nil {
			return
		}
	}
}

// follow publishes from the topic's place on, until the context ends or something
// fails.
func (p *Publisher) follow(ctx context.Context, f *flow, sent *bool) error {
	if err := p.ensure(ctx, f.topic.Name); err != nil {
		return err
	}
	next, err := placeIn(ctx, p.Kafka, p.Log, f.topic.Name, p.EventsID, f.partition)
	if err != nil {
		return err
	}
	if last, folded := p.States.LastEvent(f.partition, f.topic.Aggregate.Name()); last < next {
		next = max(next, folded) // the topic has all events up to there
	}
	f.move(next, 0)
	return p.Log.Follow(ctx, f.partition, next, func(records []eventlog.Record) error {
		*sent = true
		return p.publish(ctx, f, records)
	})
}

func (p *Publisher) publish(ctx context.Context, f *flow, records []eventlog.Record) error {
	var events []eventlog.Record
	for i := range records {
		if f.topic.has(&records[i]) {
			events = append(events, records[i])
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // the state store may be closed soon
	}
	events, err := p.States.Counting(ctx, events)
	if err != nil {
		return err
	}
	for i := range events {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := send(p.Kafka, p.Logger, f.topic, p.EventsID, &events[i]); err != nil {
			return err
		}
		f.move(events[i].Offset+1, 1)
	}
	f.move(records[len(records)-1].Offset+1, 0)
	return nil
}

// send sends an event, and returns once Kafka holds the event.
func send(public Kafka, log *slog.Logger, topic Topic, eventsID string, r *eventlog.Record) error {
	msg, err := topic.message(r, eventsID)
	if err != nil {
		log.Error("an event that can't be read", "topic", topic.Name, "stream", r.Stream, "type", r.Type, "partition", r.Partition, "offset", r.Offset, "error", err)
	}
	if msg == nil {
		return nil
	}
	return public.Publish(topic.Name, msg)
}

// ensure creates a missing topic, and checks the topic, once until forget.
func (p *Publisher) ensure(ctx context.Context, topic string) error {
	p.mu.Lock()
	known := p.ensured[topic]
	p.mu.Unlock()
	if known {
		return nil
	}
	if err := p.Kafka.Ensure(ctx, topic); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ensured[topic] = true
	return nil
}

func (p *Publisher) forget(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ensured, topic)
}

// Stats has the numbers of a public topic in this process.
type Stats struct {
	Topic string
	// Lag is the number of records of the log that the state store has folded and
	// the publisher has not looked at, in this process's partitions.
	Lag int64
	// Published is the number of events sent since the process began.
	Published int64
}

// Stats returns the numbers of all topics.
func (p *Publisher) Stats() []Stats {
	all := make([]Stats, 0, len(p.Topics))
	for _, topic := range p.Topics {
		s := Stats{Topic: topic.Name}
		for _, f := range p.flowsOf(topic) {
			_, folded := p.States.LastEvent(f.partition, topic.Aggregate.Name())
			f.mu.Lock()
			s.Published += f.published
			if f.runs {
				s.Lag += max(0, folded-f.next)
			}
			f.mu.Unlock()
		}
		all = append(all, s)
	}
	return all
}

func (p *Publisher) flowsOf(topic Topic) (flows []*flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, f := range p.flows {
		if key.topic == topic.Name {
			flows = append(flows, f)
		}
	}
	return flows
}
