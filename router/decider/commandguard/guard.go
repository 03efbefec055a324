package commandguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// guardEvery is the time between two looks at the end of a partition.
	guardEvery = time.Second
	// maxFill bounds the fillers of one partition.
	maxFill = 1_000_000
)

// States is the state store.
type States interface {
	// CatchUp returns once the state store has folded a partition up to the
	// partition's end at the time of the call.
	CatchUp(ctx context.Context, partition int32) error
	// LastDecided is the offset of a partition's last command with an outcome, -1
	// for none. topicID is the id of topic commands.
	LastDecided(partition int32, topicID string) int64
	// Refusal says why the state store takes no commands, nil if it does.
	Refusal() error
}

// CommandLog is topic commands.
type CommandLog interface {
	// Range returns the offset of a partition's first command, and the offset
	// after the last command.
	Range(ctx context.Context, partition int32) (first, end int64, err error)
}

// Guard stands between the gateway and topic commands. The guard sends a
// command only if the command gets an offset that no command had before in this
// topic: rule 5 takes a command at an offset that was used before for a decided
// command. A partition of topic commands may lose its end: by a power cut, or if
// an operator restores an older copy.
//
// The guard opens a partition once the state store has folded the partition's
// log, and topic commands ends behind the last decided command and behind the
// group's offset. If topic commands ends before, the guard appends fillers up
// to there. While the guard is open, the guard looks at the end every second,
// and at the offset of each sent command.
type Guard struct {
	States     States
	Partitions int32 // of topic commands
	// Margin is added to the offsets that fillers take: how many commands a
	// partition processor has under way. A processor may have sent records of
	// commands behind the last known position, and Kafka may take these records
	// late.
	Margin   int64
	TopicID  string // of topic commands
	Commands CommandLog
	// Send sends a command to topic commands, as [kafka.CommandBus.Post] does.
	Send func(*eventlog.Envelope, func(eventlog.CommandPlace, error))
	// Committed returns the offsets of the command services' group.
	Committed func(context.Context) (map[int32]int64, error)
	// Fill appends n fillers to a partition of topic commands.
	Fill func(ctx context.Context, partition int32, n int64) error
	Log  *slog.Logger

	partitions []guarded
	mu         sync.Mutex
	refused    error // why no partition takes commands, nil if the partitions decide
}

// guarded is the guard's knowledge of a partition of topic commands.
type guarded struct {
	mu   sync.Mutex
	shut error         // why the partition takes no commands, nil if open
	used int64         // all offsets below had a command, as far as this process saw
	look chan struct{} // asks for a look before the next is due
}

var errNotFolded = errors.New("topic events is not read to its end yet")

// Start makes all partitions shut, until Run opens the partitions.
func (g *Guard) Start() {
	g.partitions = make([]guarded, g.Partitions)
	for i := range g.partitions {
		g.partitions[i].shut, g.partitions[i].look = errNotFolded, make(chan struct{}, 1)
	}
}

// Run opens the partitions, and looks at their ends, until the context ends.
func (g *Guard) Run(ctx context.Context) {
	var looks sync.WaitGroup
	for partition := range g.partitions {
		looks.Go(func() { g.watch(ctx, int32(partition)) })
	}
	looks.Wait()
}

func (g *Guard) watch(ctx context.Context, partition int32) {
	p := &g.partitions[partition]
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for try := 0; ctx.Err() == nil; try++ {
		if err := g.check(ctx, partition); err != nil {
			if ctx.Err() == nil && try == 0 {
				g.Log.Warn("can't look at the end of topic commands; trying again", "partition", partition, "error", err)
			}
			_ = kafka.Backoff(ctx, try) // an error means stopped: the loop ends
			continue
		}
		try = -1
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-p.look:
		}
	}
}

// check looks at the end of a partition, and opens, shuts or fills the
// partition.
func (g *Guard) check(ctx context.Context, partition int32) error {
	p := &g.partitions[partition]
	open, need := p.state()
	committed := map[int32]int64{}
	if !open {
		if err := g.States.CatchUp(ctx, partition); err != nil {
			return err
		}
		var err error
		if committed, err = g.Committed(ctx); err != nil {
			return err
		}
	}
	if last := g.States.LastDecided(partition, g.TopicID); last >= 0 {
		// The group's offset is of this topic, for the topic has decided commands.
		need = max(need, last+1, committed[partition])
	}
	// The end is read last: a command is in the topic before its outcome is in
	// the log.
	_, end, err := g.Commands.Range(ctx, partition)
	if err != nil {
		return err
	}
	if end >= need {
		p.open(end)
		return nil
	}
	why := reused(partition, end, need)
	if need-end > maxFill {
		why = fmt.Errorf("%w: too many offsets to fill; delete topic commands once all commands in it are decided, and the topic is made anew", why)
		if p.close(need, why) {
			g.Log.Error("refusing commands", "error", why)
		}
		return nil
	}
	p.close(need, why)
	g.Log.Warn("topic commands has lost its end; filling the partition, so that no offset is used again", "partition", partition, "end", end, "used", need)
	if err := g.Fill(ctx, partition, need+g.Margin-end); err != nil {
		return err
	}
	p.again()
	return nil
}

// reused is the reason why a partition takes no commands.
func reused(partition int32, end, used int64) error {
	return fmt.Errorf("partition %d of topic commands has lost its end: the partition ends at offset %d, and offsets up to %d had commands before", partition, end, used-1)
}

// Post sends a command, if the command's partition is open; otherwise the callback
// gets an [eventlog.ErrNotTaken]. The callback gets an error too if Kafka gave the command an offset that was used before.
func (g *Guard) Post(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
	partition := eventlog.PartitionOf(c.Stream, g.Partitions)
	p := &g.partitions[partition]
	least, err := p.least()
	if err = errors.Join(g.refusal(), err); err != nil {
		sent(eventlog.CommandPlace{}, fmt.Errorf("%w: %w", err, eventlog.ErrNotTaken))
		return
	}
	least = max(least, g.States.LastDecided(partition, g.TopicID)+1)
	g.Send(c, func(place eventlog.CommandPlace, err error) {
		if err == nil {
			if place.Offset < least {
				err = reused(partition, place.Offset, least)
				p.close(least, err)
				p.again()
			} else {
				p.saw(place.Offset + 1)
			}
		}
		sent(place, err)
	})
}

// Refuse refuses all commands for a reason, until Refuse is called with nil.
func (g *Guard) Refuse(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if why != nil && g.refused == nil {
		g.Log.Error("refusing commands", "error", why)
	}
	g.refused = why
}

func (g *Guard) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.States.Refusal(), g.refused)
}

// Ready returns nil if all partitions take commands, and the reason otherwise.
func (g *Guard) Ready() error {
	if err := g.refusal(); err != nil {
		return err
	}
	for i := range g.partitions {
		if _, err := g.partitions[i].least(); err != nil {
			return err
		}
	}
	return nil
}

func (p *guarded) state() (open bool, used int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shut == nil, p.used
}

// least returns the least offset that the next command may get.
func (p *guarded) least() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.shut
}

func (p *guarded) open(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut, p.used = nil, max(p.used, end)
}

// close shuts the partition, and reports whether the reason is another than
// before.
func (p *guarded) close(used int64, why error) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = p.shut == nil || p.shut.Error() != why.Error()
	p.shut, p.used = why, max(p.used, used)
	return changed
}

func (p *guarded) saw(used int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = max(p.used, used)
}

// again asks for a look at once.
func (p *guarded) again() {
	select {
	case p.look <- struct{}{}:
	default:
	}
}
