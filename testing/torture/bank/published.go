package bank

import (
	"bytes"
	"maps"
	"slices"

	"github.com/millrace/millrace/router/eventlog"
)

// checkPublished checks that each public topic, without repeats, is the events of
// the log: all of them, each stream in the order of its versions.
func (f *fold) checkPublished() (wrong []Violation) {
	for _, name := range slices.Sorted(maps.Keys(f.Published)) {
		seen, streams := map[string]bool{}, map[string][]Published{}
		for _, p := range f.Published[name] {
			if !seen[p.ID] {
				seen[p.ID], streams[p.Key] = true, append(streams[p.Key], p)
			}
		}
		for stream := range streams {
			if len(f.streams[stream]) == 0 {
				wrong = append(wrong, violation("published of nothing", "%s is in the public topic, and not in the log", stream))
			}
		}
		for _, stream := range f.of(f.registry.Type(name)) {
			wrong = append(wrong, f.checkStream(stream, streams[stream])...)
		}
	}
	return wrong
}

// checkStream compares a stream with its messages in the public topic.
func (f *fold) checkStream(stream string, published []Published) []Violation {
	var events []*entry
	for _, e := range f.streams[stream] {
		if eventlog.IsEvent(e.Type) {
			events = append(events, e)
		}
	}
	if len(events) != len(published) {
		return []Violation{violation("not published", "%s has %d events, and %d different messages in the public topic", stream, len(events), len(published))}
	}
	for i, e := range events {
		if p := published[i]; p.Type != e.Type || p.Version != e.Version || !bytes.Equal(p.Body, e.Body) {
			return []Violation{violation("published otherwise", "message %d of %s is %s version %d %s, and the event is %s version %d %s",
				i+1, stream, p.Type, p.Version, p.Body, e.Type, e.Version, e.Body)}
		}
	}
	return nil
}
