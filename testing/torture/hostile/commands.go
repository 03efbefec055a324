package hostile

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// command makes a record for topic commands.
func (g *Generator) command() *kgo.Record {
	switch g.rng.IntN(12) {
	case 0, 1:
		return g.stranger()
	case 2, 3, 4:
		return g.wrongHeader()
	case 5, 6:
		return g.wrongBody()
	case 7:
		return mark(g.elsewhere(g.rename(g.Victim(g.rng))), Dead, "elsewhere")
	case 8:
		r := g.rename(g.Victim(g.rng))
		r.Key = []byte(g.some("", "user/", "user/other", "other", "\xff", strings.Repeat("k", 5000)))
		return mark(r, Dead, "wrong key")
	case 9:
		return g.hugeCommand()
	case 10:
		return g.empty()
	default:
		return mark(g.rename(fmt.Sprintf("%s%d", name, g.rng.IntN(2*strangers))), Decided, "known type")
	}
}

// envelope is a command as a gateway writes the command.
func (g *Generator) envelope(commandType, stream, body string) *kgo.Record {
	e := eventlog.Envelope{ID: g.id(), Type: commandType, Stream: stream, Time: time.Now(), Hash: "hash", Body: []byte(body)}
	return g.record(eventlog.TopicCommands, stream, e.Headers(), e.Body)
}

// rename renames a user.
func (g *Generator) rename(user string) *kgo.Record {
	return g.envelope("renameUser", users.Aggregate.Stream(user), fmt.Sprintf(`{"id":%q,"name":"Mallory"}`, user))
}

// stranger is a command of an unknown type, of an unknown aggregate, or behind
// an event of an unknown type. Other commands queue behind.
func (g *Generator) stranger() *kgo.Record {
	user := fmt.Sprintf("%s%d", name, g.rng.IntN(strangers))
	if !g.within("stranger", maxStrange) {
		return mark(g.rename(user), Decided, "known type") // perhaps behind an unknown type
	}
	user = fmt.Sprintf("%s%d", name, g.count["stranger"]%strangers)
	stream := users.Aggregate.Stream(user)
	commandType := g.some("promoteUser", "fooCommand", "x", strings.Repeat("long", 10), "createuser")
	switch n := g.count["unknown event"]; {
	case g.rng.IntN(4) == 0:
		stream = "order/" + user
	case g.within("behind an unknown event", n): // one of each stream: somebody drops each
		return mark(g.rename(fmt.Sprintf("%sevent-%d", name, g.count["behind an unknown event"])), Decided, "behind an unknown event")
	}
	return mark(g.envelope(commandType, stream, g.some(`{}`, `{"any":[1,null]}`, `{"id":"other","name":"\u2028"}`)), Waiting, "unknown type")
}

// wrongHeaders are values that a header may not have.
var wrongHeaders = map[string][]string{
	eventlog.HeaderSpecVersion:     {"", "0.3", "1.0 ", "\xff"},
	eventlog.HeaderType:            {"", "foo Command", "1foo", "foo\n", "\xff", strings.Repeat("x", 5000)},
	eventlog.HeaderSubject:         {"", "user/other", "other", "user/", "\xff"},
	eventlog.HeaderCommandID:       {"", "a b", "a\n", "\xff", strings.Repeat("x", 5000)},
	eventlog.HeaderCommandHash:     {"", "\xff"},
	eventlog.HeaderTime:            {"", "yesterday", "2026-01-01T00:00:00Z", "2026-13-01T00:00:00.000Z", "\xff"},
	eventlog.HeaderExpectedVersion: {"", "-1", "01", "x", "1.0", "9223372036854775807", "\xff"},
}

// wrongHeader is a command of the traffic's stream with a header that is
// missing, repeated or wrong.
func (g *Generator) wrongHeader() *kgo.Record {
	r := g.rename(g.Victim(g.rng))
	key := g.some(eventlog.HeaderSpecVersion, eventlog.HeaderType, eventlog.HeaderSubject, eventlog.HeaderCommandID,
		eventlog.HeaderCommandHash, eventlog.HeaderTime, eventlog.HeaderExpectedVersion)
	roll := g.rng.IntN(4)
	switch {
	case roll == 0 && key != eventlog.HeaderExpectedVersion:
		return mark(without(r, key), Dead, "without "+key)
	case roll == 1 && key != eventlog.HeaderExpectedVersion:
		return mark(twice(r, key), Dead, "twice "+key)
	default:
		value := g.some(wrongHeaders[key]...)
		return mark(set(r, key, value), Dead, fmt.Sprintf("%s %.20q", key, value))
	}
}

// wrongBody is a command of the traffic's stream with a payload that a gateway
// refuses.
func (g *Generator) wrongBody() *kgo.Record {
	user := g.Victim(g.rng)
	body := g.some(
		`{"id":%q}`, `{"id":%q,"name":""}`, `{"id":%q,"name":7}`, `{"id":%q,"name":null}`, `{"id":%q,"Name":"Mallory"}`,
		`{"id":%q,"name":"Mallory","nick":"M"}`, `{"id":%q,"name":"M","name":"N"}`, `{"id":%q,"name":"Mallory"}{}`, `{"id":%q,"name":"Mallory"`,
		`[{"id":%q}]`, `{"id":[%q]}`, `%q`, "{\"id\":%q,\"name\":\"\xff\"}",
	)
	text := fmt.Sprintf(body, user)
	switch g.rng.IntN(10) {
	case 0:
		text = g.some("", "null", "0", strings.Repeat("[", 3000), `{"id":"other","name":"Mallory"}`, `{"name":"Mallory"}`)
	case 1:
		text = string(g.noise())
	}
	commandType := "renameUser"
	switch g.rng.IntN(8) {
	case 0: // an operator's command, which has other members
		commandType = g.some("requeueParked", "dropParked")
	case 1: // an unknown type has an object too
		commandType, text = "promoteUser", g.some("[]", "", `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", "x")
	}
	r := mark(g.envelope(commandType, users.Aggregate.Stream(user), text), Dead, fmt.Sprintf("%s %.30q", commandType, text))
	if g.rng.IntN(10) == 0 { // as brought back from the dead letters
		set(r, "reason_poisoned", "once")
	}
	return r
}

// hugeCommand is a command that is too large for the dead letters.
func (g *Generator) hugeCommand() *kgo.Record {
	if !g.within("huge command", maxHuge) {
		return mark(&kgo.Record{Topic: eventlog.TopicCommands, Partition: g.rng.Int32N(g.Partitions), Key: g.noise(), Value: g.noise()}, Dead, "garbage")
	}
	r := g.rename(g.Victim(g.rng))
	r.Value = g.huge()
	return mark(r, Dead, "huge")
}

// empty is a record without a key, or without a value, or a filler.
func (g *Generator) empty() *kgo.Record {
	r := g.rename(g.Victim(g.rng))
	switch g.rng.IntN(5) {
	case 0:
		return mark(&kgo.Record{Topic: r.Topic, Partition: r.Partition}, Dead, "nothing")
	case 1:
		return mark(&kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key}, Dead, "tombstone")
	case 2:
		r.Value = nil
		return mark(r, Dead, "without a value")
	case 3:
		r.Key = nil
		return mark(r, Dead, "without a key")
	default:
		filler := []kgo.RecordHeader{{Key: eventlog.HeaderType, Value: []byte(eventlog.FillerType)}}
		return mark(&kgo.Record{Topic: r.Topic, Partition: r.Partition, Headers: filler}, Skipped, "filler")
	}
}
