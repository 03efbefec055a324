package service

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
)

// soon is within how long what can't be mended by waiting ends a process.
const soon = 15 * time.Second

// refuses starts the program, which must end with one line that has these
// texts, and with exit code 1.
func (s *stack) refuses(set settings, want []string, args ...string) {
	s.t.Helper()
	p := launch(s.t, s.shared.with(set), args...)
	code := p.exit(s.t, soon)
	var said []string // without what it logged by then
	for line := range strings.Lines(p.stderr.String()) {
		if !strings.HasPrefix(line, "{") {
			said = append(said, line)
		}
	}
	all := strings.Join(said, "")
	if code != exitFailed || len(said) != 1 || !strings.HasPrefix(all, "app: ") {
		s.t.Errorf("app %s %v: exit code %d, and it said:\n%s\nwant one line", strings.Join(args, " "), set, code, all)
	}
	for _, text := range want {
		if !strings.Contains(all, text) {
			s.t.Errorf("app %s %v: there is no %q in %s", strings.Join(args, " "), set, text, all)
		}
	}
}

// A log of before v0.1.0, whose streams have the users' bare ids as names, is
// refused by whoever reads it: in one line that says what to do.
func TestLogOfBefore(t *testing.T) {
	t.Parallel()
	for topic, headers := range map[string]map[string]string{
		eventlog.TopicCommands: {eventlog.HeaderType: "createUser"},
		eventlog.TopicEvents: {
			eventlog.HeaderType: "userCreated", eventlog.HeaderSeq: "1", eventlog.HeaderVersion: "1",
			eventlog.HeaderPrev: strings.Repeat("0", 64), eventlog.HeaderCommandPosition: "AAAAAAAAAAAAAAAAAAAAAA/0",
		},
	} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.startBroker()
			k := &kafka.Kafka{
				Brokers: s.brokers(), Partitions: 12, Replication: 1, Prefix: s.shared["kafka.topic_prefix"], Log: slog.New(slog.DiscardHandler),
			}
			if _, err := k.EnsureTopics(t.Context()); err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				eventlog.HeaderSource: "urn:millrace:command-service", eventlog.HeaderSpecVersion: "1.0", eventlog.HeaderID: "x", eventlog.HeaderSubject: "1",
				eventlog.HeaderTime: "2026-09-21T09:11:12.000Z", eventlog.HeaderCommandID: "c", eventlog.HeaderCommandHash: "x",
			} {
				headers[name] = value
			}
			s.produce(topic, "1", headers, `{"id":1,"name":"Alice"}`)
			want := []string{"topic " + s.topic(topic) + ": was written before v0.1.0", `(key "1")`, "delete the topics, or the data folder"}
			for _, role := range []string{"command-service", "query-service"} {
				s.refuses(settings{"roles": role}, want)
			}
			for _, line := range []string{"setup", "parked list", "verify", "projections rebuild users"} {
				s.refuses(nil, want, strings.Fields(line)...)
			}
			if s.onKafka() {
				return
			}
			s.broker.signal(t, syscall.SIGTERM)
			s.broker.exit(t, patience)
			s.refuses(nil, want) // the data folder
		})
	}
}

// So is a store of read models: its definitions don't say how streams are named.
func TestStoreOfBefore(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startTerminals()
	s.accept(createAlice)
	s.waitForUser(alice)
	for _, service := range []*service{s.queryService, s.readAPI} {
		service.signal(t, syscall.SIGTERM)
		service.exit(t, patience)
	}
	s.sql("UPDATE generations SET definition = substr(definition, length('streams named aggregate/id') + 2)")
	want := []string{"the store is from before v0.1.0", "delete the database"}
	for _, roles := range []string{"query-service", "read-api", "query-service,read-api"} {
		s.refuses(settings{"roles": roles}, want)
	}
	for _, line := range []string{"setup", "verify", "projections list", "projections rebuild users", "projections parked", "projections retry users"} {
		s.refuses(nil, want, strings.Fields(line)...)
	}
}

// A service whose parts don't fit together is refused at start, in one line that
// says which part, and why, whatever it is asked to do.
func TestWrongServicesAreRefused(t *testing.T) {
	t.Parallel()
	ordersBut := func(change func(*aggregate.Definition[order])) *aggregate.Type {
		of := orders
		change(&of)
		return aggregate.Of(of)
	}
	people := ordersBut(func(d *aggregate.Definition[order]) { d.Plural = "users" })
	adds := ordersBut(func(d *aggregate.Definition[order]) { d.Name, d.Plural = "cart", "carts" })
	upcast := ordersBut(func(d *aggregate.Definition[order]) {
		d.Upcasts = []aggregate.Upcast{{From: "itemPut", To: "itemLaid", Body: func(old []byte) ([]byte, error) { return old, nil }}}
	})
	type state struct {
		pieces int //nolint:unused // the field that would be lost
	}
	lossy := aggregate.Of(aggregate.Definition[state]{
		Name: "lossy", Plural: "lossies", Commands: []func() aggregate.Command[state]{func() aggregate.Command[state] { return new(lose[state]) }},
	})
	models := func(models ...query.Model) Domain {
		return Domain{Aggregates: []*aggregate.Type{users.Aggregate}, Models: models}
	}
	for name, test := range map[string]struct {
		domain Domain
		says   string
	}{
		"no aggregate":       {Domain{}, "no aggregate is registered"},
		"an aggregate twice": {Domain{Aggregates: []*aggregate.Type{users.Aggregate, users.Aggregate}}, `aggregate "user": the name is registered twice`},
		"a plural twice":     {Domain{Aggregates: []*aggregate.Type{users.Aggregate, people}}, `aggregate "order": the plural "users" is also that of aggregate "user"`},
		"two handlers of one command": {
			Domain{Aggregates: []*aggregate.Type{aggregate.Of(orders), adds}},
			`aggregate "cart": command "addItem" is also one of aggregate "order": one handler decides a command`,
		},
		"an event that nobody knows":         {Domain{Aggregates: []*aggregate.Type{upcast}}, `aggregate "order": event "itemPut" is upcast to "itemLaid", which no event of the aggregate is`},
		"a state that isn't encoded":         {Domain{Aggregates: []*aggregate.Type{lossy}}, "does not survive its encoding: field pieces is not exported"},
		"a read model twice":                 {models(userlist.Model, userlist.Model), `read model "users" is there twice`},
		"a read model of nothing":            {models(orderListOf(users.Aggregate)), `read model "orders": no aggregate "order" is registered, and Of names it`},
		"a read model without a projection":  {models(query.Model{}), "read model 1 of 1 has no projection"},
		"a read model of the router's name":  {models(query.Model{Projection: &projection.Projection{Name: "history"}}), `read model "history": the name is that of a read model of the router's own`},
		"a read model that nobody can query": {models(query.Model{Projection: userlist.Projection}), `read model "users": there are no Routes`},
	} {
		for _, line := range []string{"", "--help", "config check", "verify"} {
			var stdout, stderr bytes.Buffer
			code := command(t.Context(), test.domain, strings.Fields(line), nil, &stdout, &stderr)
			said := stderr.String()
			if code != exitFailed || stdout.Len() > 0 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "app: the service can't start: ") || !strings.Contains(said, test.says) {
				t.Errorf("%s: app %s: exit code %d, and it said %q, want %q", name, line, code, said, test.says)
			}
		}
	}
}

// lose is a command of any state.
type lose[S any] struct {
	ID string `json:"id"`
}

func (lose[S]) Type() string                         { return "lose" }
func (c lose[S]) AggregateID() string                { return c.ID }
func (lose[S]) Decide(S) (aggregate.Event[S], error) { return nil, nil }
