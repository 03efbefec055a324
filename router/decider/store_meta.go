package decider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// storeMeta says what a store on disk is made of. A store of another log, format
// or fold is removed, and folded anew.
type storeMeta struct {
	Format     int    `json:"format"`           // [storeFormat]
	Fold       string `json:"fold"`             // of the aggregates, see [aggregate.Registry.FoldVersion]
	EventsID   string `json:"eventsId"`         // of topic events
	Partitions int    `json:"partitions"`       // of topic events
	Remember   int    `json:"remember"`         // outcomes that each stream could keep
	Commands   string `json:"commands"`         // the types that the binary knew, for counts
	Build      string `json:"build"`            // of the binary
	Damage     string `json:"damage,omitempty"` // a value that was no value, found by an earlier process
}

// partitionMeta says how far a partition is folded.
type partitionMeta struct {
	Next    int64            `json:"next"` // the offset of the first record that is not folded
	Last    string           `json:"last"` // the digest of the record before
	Tally   tally            `json:"tally"`
	Decided map[string]int64 `json:"decided"` // by topic id
	Events  map[string]int64 `json:"events"`  // by aggregate: the offset of the last event
	// Causes has, for each partition of the log, the offset of the last cause of a
	// reaction's command that this partition has.
	Causes map[int32]int64 `json:"causes,omitempty"`
}

func (p *processor) metaNow(next int64) partitionMeta {
	p.decidedMu.Lock()
	defer p.decidedMu.Unlock()
	return partitionMeta{
		Next: next, Last: p.last.String(), Tally: p.tally,
		Decided: maps.Clone(p.decided), Events: maps.Clone(p.events), Causes: maps.Clone(p.causes),
	}
}

func (ss *StateStore) metaNow() storeMeta {
	m := storeMeta{
		Format: storeFormat, Fold: ss.registry.FoldVersion(), EventsID: ss.EventsID, Partitions: len(ss.processors), Remember: ss.remember,
		Commands: strings.Join(slices.Sorted(slices.Values(CommandTypes(ss.registry))), " "),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		m.Build = info.Main.Version
		for _, s := range info.Settings {
			if strings.HasPrefix(s.Key, "vcs.") {
				m.Build += " " + s.Value
			}
		}
	}
	return m
}

var (
	// errFoldsAnew is the reason why a store on disk is removed.
	errFoldsAnew = errors.New("it can't be used")
	// errOtherVersions is the usual reason after a release.
	errOtherVersions = fmt.Errorf("%w: it is of other versions of the aggregates", errFoldsAnew)
)

func foldsAnew(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errFoldsAnew, fmt.Errorf(format, args...))
}

// open takes over what is on disk, if that fits the log, and removes the rest.
// The error is [kafka.ErrShorter] if the store has more of the log than there
// is.
func (ss *StateStore) open(ctx context.Context) error {
	now := ss.metaNow()
	was, metas, err := ss.readMeta()
	if err == nil && was != nil {
		err = ss.check(ctx, was, &now, metas)
	}
	switch {
	case errors.Is(err, kafka.ErrShorter) && !ss.AcceptShorter:
		return fmt.Errorf("the state store on disk: %w", err)
	case errors.Is(err, errFoldsAnew), errors.Is(err, kafka.ErrShorter):
		level := slog.LevelWarn
		if errors.Is(err, errOtherVersions) {
			level = slog.LevelInfo // as after every release that folds otherwise
		}
		ss.logger.Log(ctx, level, "removed the state store on disk; folding the log anew", "reason", err)
		if err := ss.Disk.Clear(); err != nil {
			return fmt.Errorf("remove the state store on disk: %w", err)
		}
		was, metas = nil, make([]partitionMeta, len(ss.processors))
	case err != nil:
		return err
	}
	if was == nil || *was != now {
		if err := ss.writeMeta(ctx, now); err != nil {
			return err
		}
	}
	for i, p := range ss.processors {
		p.open(&metas[i])
	}
	if was != nil && was.Commands != now.Commands {
		return ss.countWaiting()
	}
	return nil
}

// open takes over the offset and the counts on disk.
func (p *processor) open(m *partitionMeta) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened, p.saved, p.tally, p.causes = true, m.Next, m.Tally, m.Causes
	p.last, _ = eventlog.ParseDigest(m.Last) // readMeta has parsed it
	maps.Copy(p.events, m.Events)
	for topicID, offset := range m.Decided {
		p.decidedUpTo(eventlog.CommandPosition{TopicID: topicID, Offset: offset})
	}
	p.folded.Set(m.Next)
	p.notes.end = m.Next
}

// Fits returns how many records a store on disk has folded, or the error why this
// state store would not use the store on disk: [kafka.ErrShorter] if the store has
// more of the log than there is.
func (ss *StateStore) Fits(ctx context.Context, disk Disk) (folded int64, err error) {
	ss.Disk = disk
	was, metas, err := ss.readMeta()
	if err != nil {
		return 0, err
	}
	if was == nil {
		return 0, foldsAnew("it is empty")
	}
	now := ss.metaNow()
	if err := ss.check(ctx, was, &now, metas); err != nil {
		return 0, err
	}
	for _, m := range metas {
		folded += m.Next
	}
	return folded, nil
}

// readMeta reads what the store on disk says of itself, nil for an empty store.
func (ss *StateStore) readMeta() (*storeMeta, []partitionMeta, error) {
	metas := make([]partitionMeta, len(ss.processors))
	data, err := ss.Disk.Get(keys.Store)
	if err != nil || data == nil {
		return nil, metas, err
	}
	var m storeMeta
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, nil, foldsAnew("what it is made of: %w", err)
	}
	if m.Format != storeFormat {
		return nil, nil, foldsAnew("its format is %d, and this binary's %d", m.Format, storeFormat)
	}
	if m.Damage != "" {
		return nil, nil, foldsAnew("%s", m.Damage)
	}
	for i := range metas {
		data, err := ss.Disk.Get(keys.Prefix(nil, int32(i), keys.Meta))
		if err != nil {
			return nil, nil, err
		}
		if data == nil {
			continue // nothing was folded
		}
		if err := json.Unmarshal(data, &metas[i]); err != nil {
			return nil, nil, foldsAnew("the offset of partition %d: %w", i, err)
		}
		if _, err := eventlog.ParseDigest(metas[i].Last); err != nil {
			return nil, nil, foldsAnew("the last record of partition %d: %w", i, err)
		}
	}
	return &m, metas, nil
}

// check compares a store on disk with this binary and with the log.
func (ss *StateStore) check(ctx context.Context, was, now *storeMeta, metas []partitionMeta) error {
	switch {
	case was.EventsID != now.EventsID || was.Partitions != now.Partitions:
		return foldsAnew("it is of another log")
	case was.Fold != now.Fold:
		return errOtherVersions
	case was.Remember < now.Remember:
		return foldsAnew("it keeps %d outcomes a stream, and handlers.outcomes_per_stream is %d", was.Remember, now.Remember)
	}
	for i, m := range metas {
		if m.Tally.Broken > 0 && was.Build != now.Build {
			return foldsAnew("%d streams have a record that could not be read, and perhaps can be now", m.Tally.Broken)
		}
		for try := 0; ; try++ {
			err := ss.checkEnd(ctx, int32(i), m)
			if err == nil {
				break
			}
			if errors.Is(err, kafka.ErrShorter) {
				return err
			}
			if ctx.Err() == nil {
				ss.logger.Warn("can't compare the state store with the log; trying again", "partition", i, "error", err)
			}
			if err := kafka.Backoff(ctx, try); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkEnd compares the last folded record with the log's.
func (ss *StateStore) checkEnd(ctx context.Context, partition int32, m partitionMeta) error {
	if m.Next == 0 {
		return nil
	}
	end, err := ss.log.End(ctx, partition)
	if err != nil {
		return err
	}
	if m.Next > end {
		return fmt.Errorf("%w: it is ahead of the log, which ends at offset %d of partition %d", kafka.ErrShorter, end, partition)
	}
	record, err := ss.log.At(ctx, partition, m.Next-1)
	if errors.Is(err, kafka.ErrOffsetGone) {
		return fmt.Errorf("%w: %w", kafka.ErrShorter, err)
	}
	if err != nil {
		return err
	}
	if record.Digest.String() != m.Last {
		return fmt.Errorf("%w: the log has another record at its end, offset %d of partition %d", kafka.ErrShorter, m.Next-1, partition)
	}
	return nil
}

// noteCause notes the cause of a reaction's command, in this log.
func (p *processor) noteCause(o *eventlog.Origin) {
	if o == nil || o.Cause.TopicID != p.eventsID {
		return
	}
	if last, ok := p.causes[o.Cause.Partition]; ok && o.Cause.Offset <= last {
		return
	}
	if p.causes == nil {
		p.causes = map[int32]int64{}
	}
	p.causes[o.Cause.Partition] = o.Cause.Offset
}

// checkCauses returns a [kafka.ErrShorter] if the log ends below a cause that a
// stream of a partition remembers. The log has lost the cause, and other records
// take its offset: what reactions send because of those would be repetitions.
func (ss *StateStore) checkCauses(ctx context.Context, partition int32) error {
	if ss.AcceptShorter {
		return nil
	}
	p := ss.processors[partition]
	p.mu.Lock()
	causes := maps.Clone(p.causes)
	p.mu.Unlock()
	for of, offset := range causes {
		end, err := ss.log.End(ctx, of)
		if err != nil {
			return err
		}
		if offset >= end {
			return fmt.Errorf("%w: partition %d ends at offset %d, and partition %d has a command of a reaction whose cause was at offset %d there", kafka.ErrShorter, of, end, partition, offset)
		}
	}
	return nil
}

// checkAllCauses is checkCauses for all partitions that Run folds, once they are
// folded. The error is nil, or a [kafka.ErrShorter].
func (ss *StateStore) checkAllCauses(ctx context.Context) error {
	for try := 0; ; try++ {
		err := ss.CatchUpAll(ctx)
		if err == nil || errors.Is(err, kafka.ErrShorter) {
			return err
		}
		if kafka.Backoff(ctx, try) != nil {
			return nil //nolint:nilerr // the context has ended
		}
	}
}

// writeMeta writes what the store is made of, before anything else is written.
func (ss *StateStore) writeMeta(ctx context.Context, m storeMeta) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode what the state store is made of: %w", err)
	}
	b := batch{changes: []change{{keys.Store, data}}}
	if err := ss.insist(ctx, func() error { return ss.Disk.Write(b.all()) }); err != nil {
		return err
	}
	return ss.insist(ctx, ss.Disk.Flush)
}

// noteDamage lets the next start remove the store, because a value on disk can't
// be read.
func (ss *StateStore) noteDamage(why error) {
	m := ss.metaNow()
	m.Damage = why.Error()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ss.writeMeta(ended, m); err != nil {
		ss.logger.Error("can't note that the state store is damaged; delete its folder", "error", err)
	}
}

// countWaiting counts again which streams wait for another binary: this binary
// knows other commands than the binary that wrote the store.
func (ss *StateStore) countWaiting() error {
	for _, p := range ss.processors {
		n := 0
		if err := p.eachDeferring(false, func(c *cachedStream) { n += p.tallyOf(c.stream).Waiting }); err != nil {
			return err
		}
		p.mu.Lock()
		p.tally.Waiting = n
		p.mu.Unlock()
	}
	return nil
}
