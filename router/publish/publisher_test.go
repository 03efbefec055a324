package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

func publisher(topic Topic, log *fakeLog, kafka *fakeKafka) *Publisher {
	return &Publisher{Topics: []Topic{topic}, EventsID: eventsID, Log: log, Kafka: kafka, States: log, Logger: slog.New(slog.DiscardHandler)}
}

// started runs a publisher until stop.
func started(t *testing.T, p *Publisher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx, 0) })
	return func() {
		cancel()
		running.Wait()
	}
}

// wantEvents fails unless the topic has each event, in order once repeats are
// dropped, and each with all earlier ones in front.
func wantEvents(t *testing.T, log *fakeLog, kafka *fakeKafka) {
	t.Helper()
	var want, got []string
	for _, r := range log.events("list") {
		want = append(want, r.ID)
	}
	for _, id := range kafka.ids() {
		if !slices.Contains(got, id) {
			got = append(got, id)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the events once repeats are dropped (-want +got):\n%s", diff)
	}
}

// grow adds a few random records.
func (l *fakeLog) grow(luck *rand.Rand) {
	for range luck.IntN(5) {
		stream := fmt.Sprint("list/", luck.IntN(3))
		switch luck.IntN(8) {
		case 0:
			l.add(stream, eventlog.TypeCommandRefused, `{}`)
		case 1:
			l.add("listing/1", "listMade", `{"id":"1","name":"of another aggregate"}`)
		case 2:
			if len(l.records) > 0 {
				l.append(l.records[luck.IntN(len(l.records))]) // a copy, which doesn't count
			}
		case 3:
			late := eventlog.Record{Stream: stream, Type: "listMade", Seq: 1, Version: 1, CommandID: fmt.Sprint("late", len(l.records)), Body: []byte(`{"id":"1","name":"too late"}`)}
			if late.Seal(); l.heads[stream].Seq > 0 {
				l.append(late)
			}
		case 4:
			l.append(eventlog.Record{Stream: stream, Malformed: errors.New("no record")})
		default:
			l.add(stream, "listMade", `{"id":"1","name":"a"}`)
		}
	}
}

// Whatever fails, lands late or crashes, with two publishers at once: the topic is
// complete and in order once repeats are dropped.
func TestCompleteWhateverHappens(t *testing.T) {
	topic := lists(t)
	repeats := 0
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			luck := rand.New(rand.NewPCG(seed, 1))
			log, kafka := newFakeLog(), newFakeKafka()
			kafka.luck = rand.New(rand.NewPCG(seed, 2))
			bad := fate(1 + seed%4)
			kafka.fate = func() fate {
				if kafka.luck.IntN(4) == 0 {
					return fate(kafka.luck.IntN(int(bad)))
				}
				return lands
			}
			stops := make([]func(), 2)
			for range 40 {
				log.grow(luck)
				i := luck.IntN(2)
				if stops[i] != nil {
					stops[i]()
					stops[i] = nil
				} else {
					stops[i] = started(t, publisher(topic, log, kafka))
				}
				time.Sleep(time.Duration(luck.IntN(300)) * time.Millisecond)
			}
			for _, stop := range stops {
				if stop != nil {
					stop()
				}
			}
			stop := started(t, publisher(topic, log, kafka))
			time.Sleep(time.Hour) // all tries
			stop()
			wantEvents(t, log, kafka)
			repeats += len(kafka.messages) - len(log.events("list"))
		})
	}
	if repeats == 0 {
		t.Error("nothing was ever repeated: the test breaks nothing")
	}
}

// A publisher that has stopped goes on without a repeat, and reads one message to
// know where; behind the last event it reads nothing again.
func TestTheTopicIsTheCheckpoint(t *testing.T) {
	topic := lists(t)
	synctest.Test(t, func(t *testing.T) {
		log, kafka := newFakeLog(), newFakeKafka()
		for n := range 20 {
			log.add("list/1", "listMade", fmt.Sprintf(`{"id":"1","name":"%d"}`, n))
			log.add("other/1", "made", `{}`)
			log.add("other/1", "made", `{}`)
			p := publisher(topic, log, kafka)
			stop := started(t, p)
			synctest.Wait()
			if s := p.Stats()[0]; s.Lag != 0 || s.Published != 1 || s.Topic != "lists" {
				t.Errorf("stats are %+v", s)
			}
			stop()
			if from := kafka.newest; from != n { // none at first
				t.Fatalf("read %d messages to know the place, want %d", from, n)
			}
		}
		wantEvents(t, log, kafka)
		if n := len(kafka.messages); n != 20 {
			t.Errorf("%d messages of 20 events", n)
		}
		p := publisher(topic, log, kafka)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		from := int64(-1)
		p.Log = followed{log, &from}
		go p.Run(ctx, 0)
		synctest.Wait()
		if from != int64(len(log.records)) {
			t.Errorf("reads the log from %d on, and the topic has all up to %d", from, len(log.records))
		}
	})
}

// followed notes where a reading begins.
type followed struct {
	*fakeLog
	from *int64
}

func (f followed) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	*f.from = from
	return f.fakeLog.Follow(ctx, partition, from, fn)
}

// Messages of other programs at a topic's end don't hide the place.
func TestForeignMessages(t *testing.T) {
	topic := lists(t)
	synctest.Test(t, func(t *testing.T) {
		log, kafka := newFakeLog(), newFakeKafka()
		log.add("list/1", "listMade", `{"id":"1","name":"a"}`)
		stop := started(t, publisher(topic, log, kafka))
		synctest.Wait()
		stop()
		foreign := kafka.messages[0].Copy()
		delete(foreign.Metadata, eventlog.HeaderPosition)
		kafka.messages = append(kafka.messages, foreign, foreign.Copy())
		stop = started(t, publisher(topic, log, kafka))
		synctest.Wait()
		stop()
		if n := len(kafka.messages); n != 3 {
			t.Errorf("%d messages", n)
		}
	})
}

// A topic with events that the log doesn't have gets no more: versions would come
// twice.
func TestTopicOfAnotherLog(t *testing.T) {
	topic := lists(t)
	for name, spoil := range map[string]func(*fakeLog, *Publisher){
		"another topic events": func(_ *fakeLog, p *Publisher) { p.EventsID = "BAAAAAAAAAAAAAAAAAAAAA" },
		"the log is shorter":   func(l *fakeLog, _ *Publisher) { l.records, l.counts = l.records[:1], l.counts[:1] },
		"the log was cut and has grown": func(l *fakeLog, _ *Publisher) {
			l.records, l.counts, l.heads = nil, nil, map[string]eventlog.Head{}
			for range 3 {
				l.add("list/2", "listMade", `{"id":"2","name":"b"}`)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, kafka := newFakeLog(), newFakeKafka()
				for range 2 {
					log.add("list/1", "listMade", `{"id":"1","name":"a"}`)
				}
				stop := started(t, publisher(topic, log, kafka))
				synctest.Wait()
				stop()
				var lines bytes.Buffer
				p := publisher(topic, log, kafka)
				p.Logger = slog.New(slog.NewTextHandler(&lines, nil))
				spoil(log, p)
				stop = started(t, p)
				time.Sleep(time.Minute)
				stop()
				if n := len(kafka.messages); n != 2 {
					t.Errorf("%d messages", n)
				}
				if !strings.Contains(lines.String(), "name another topic in publish") {
					t.Errorf("the lines are\n%s", &lines)
				}
			})
		})
	}
}

// Events are in today's form. What this binary can't read goes out as in the log.
func TestTodaysForm(t *testing.T) {
	topic := lists(t)
	synctest.Test(t, func(t *testing.T) {
		log, kafka := newFakeLog(), newFakeKafka()
		log.add("list/1", "listBegun", `{"id":"1","title":"a"}`)
		log.add("list/1", "listMade", `{"id":"1","name":"b","newer":true}`)
		log.add("list/1", "listBegun", `[]`)
		log.add("list/1", "listShared", `{"with":"us"}`)
		log.append(eventlog.Record{Stream: "list/1", Type: "listMade", Seq: 5, Prev: log.heads["list/1"].Digest, Version: 5, Unreadable: errors.New("no ce_id")})
		var lines bytes.Buffer
		p := publisher(topic, log, kafka)
		p.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		stop := started(t, p)
		synctest.Wait()
		stop()
		var got []string
		for _, msg := range kafka.messages {
			got = append(got, msg.Metadata["ce_type"]+" "+msg.Metadata["ce_version"]+" "+string(msg.Payload))
		}
		if diff := cmp.Diff([]string{`listMade 1 {"id":"1","name":"a"}`, `listMade 2 {"id":"1","name":"b","newer":true}`, `listBegun 3 []`, `listShared 4 {"with":"us"}`}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, line := range []string{"sent as in the log", "left out: no ce_id"} {
			if !strings.Contains(lines.String(), line) {
				t.Errorf("no line says %q:\n%s", line, &lines)
			}
		}
	})
}

// A rebuild writes the same as a publisher, and goes on after a failure.
func TestRebuild(t *testing.T) {
	topic := lists(t)
	for seed := range uint64(50) {
		luck := rand.New(rand.NewPCG(seed, 3))
		log, kafka := newFakeLog(), newFakeKafka()
		for range 20 {
			log.grow(luck)
		}
		left := luck.IntN(20)
		kafka.fate = func() fate {
			if left--; left == 0 {
				return fails
			}
			return lands
		}
		r := &Rebuilder{Topic: topic, Partitions: 1, EventsID: eventsID, Log: log, Kafka: kafka, Logger: slog.New(slog.DiscardHandler)}
		var written, read, all int64
		for range 2 {
			n, err := r.Rebuild(t.Context(), func(done, of int64) { read, all = done, of })
			written += n
			if err == nil {
				break
			}
		}
		wantEvents(t, log, kafka)
		if events := len(log.events("list")); int(written) != events || len(kafka.messages) != events || read != all {
			t.Errorf("wrote %d, %d messages, %d events; read %d of %d records", written, len(kafka.messages), events, read, all)
		}
	}
}
