package aggregate

import (
	"errors"
	"strings"
	"testing"
)

type (
	askText string // no struct
	doneMap map[string]int
	tagless struct{ ID string }
)

func (askText) Type() string                   { return "ask" }
func (askText) AggregateID() string            { return "" }
func (askText) Decide(jar) (Event[jar], error) { return nil, nil }
func (doneMap) Type() string                   { return "did" }
func (doneMap) AggregateID() string            { return "" }
func (doneMap) Apply(j jar) jar                { return j }
func (tagless) Type() string                   { return "tagless" }
func (tagless) AggregateID() string            { return "" }
func (tagless) Decide(jar) (Event[jar], error) { return nil, nil }
func (tagless) Apply(j jar) jar                { return j }

// lossy is an event that JSON does not keep.
type lossy struct {
	ID  string         `json:"id"`
	Any map[string]any `json:"any"`
}

func (lossy) Type() string        { return "lossy" }
func (lossy) AggregateID() string { return "" }
func (lossy) Apply(j jar) jar     { return j }

// A definition that can't work is refused in one line with the aggregate's
// name.
func TestRefusedDefinitions(t *testing.T) {
	t.Parallel()
	const lower = "a lower-case letter, then letters, digits and hyphens"
	for want, change := range map[string]func(d *Definition[jar]){
		`aggregate "": the name must be ` + lower + `, and is ""`:                                                                             func(d *Definition[jar]) { d.Name = "" },
		`aggregate "a/b": the name must be ` + lower + `, and is "a/b"`:                                                                       func(d *Definition[jar]) { d.Name = "a/b" },
		`aggregate "Jar": the name must be ` + lower + `, and is "Jar"`:                                                                       func(d *Definition[jar]) { d.Name = "Jar" },
		`aggregate "jar": the plural must be ` + lower + `, and is ""`:                                                                        func(d *Definition[jar]) { d.Plural = "" },
		`aggregate "jar": the plural must be ` + lower + `, and is "a jar"`:                                                                   func(d *Definition[jar]) { d.Plural = "a jar" },
		`aggregate "jar": there are no commands`:                                                                                              func(d *Definition[jar]) { d.Commands = nil },
		`aggregate "jar": Commands[1] is nil`:                                                                                                 func(d *Definition[jar]) { d.Commands[1] = nil },
		`aggregate "jar": Events[0] is nil`:                                                                                                   func(d *Definition[jar]) { d.Events[0] = nil },
		`aggregate "jar": command <nil> is no pointer to a struct`:                                                                            func(d *Definition[jar]) { d.Commands[0] = func() Command[jar] { return nil } },
		`aggregate "jar": command *aggregate.ask is no pointer to a struct`:                                                                   func(d *Definition[jar]) { d.Commands[0] = func() Command[jar] { return (*ask)(nil) } },
		`aggregate "jar": command aggregate.ask is no pointer to a struct`:                                                                    func(d *Definition[jar]) { d.Commands[0] = func() Command[jar] { return ask{As: "putCoins"} } },
		`aggregate "jar": command *aggregate.askText is no pointer to a struct`:                                                               func(d *Definition[jar]) { d.Commands[0] = func() Command[jar] { return new(askText) } },
		`aggregate "jar": event aggregate.put is no pointer to a struct`:                                                                      func(d *Definition[jar]) { d.Events[0] = func() Event[jar] { return put{As: "coinsPut"} } },
		`aggregate "jar": event *aggregate.doneMap is no pointer to a struct`:                                                                 func(d *Definition[jar]) { d.Events[0] = func() Event[jar] { return new(doneMap) } },
		`aggregate "jar": command *aggregate.ask has the type "", which must be a letter, then letters, digits, dots and hyphens`:             func(d *Definition[jar]) { d.Commands[0] = asking("") },
		`aggregate "jar": command *aggregate.ask has the type "put coins", which must be a letter, then letters, digits, dots and hyphens`:    func(d *Definition[jar]) { d.Commands[0] = asking("put coins") },
		`aggregate "jar": event *aggregate.put has the type "1", which must be a letter, then letters, digits, dots and hyphens`:              func(d *Definition[jar]) { d.Events[0] = putting("1") },
		`aggregate "jar": command tagless: field ID has no json name`:                                                                         func(d *Definition[jar]) { d.Commands[0] = func() Command[jar] { return new(tagless) } },
		`aggregate "jar": event tagless: field ID has no json name`:                                                                           func(d *Definition[jar]) { d.Events[0] = func() Event[jar] { return new(tagless) } },
		`aggregate "jar": event lossy: field Any: an interface is not read back as the type that was written`:                                 func(d *Definition[jar]) { d.Events[0] = func() Event[jar] { return new(lossy) } },
		`aggregate "jar": command "putCoins" is there twice`:                                                                                  func(d *Definition[jar]) { d.Commands[1] = asking("putCoins") },
		`aggregate "jar": command "sealJar" is there twice`:                                                                                   func(d *Definition[jar]) { d.Internal = []func() Command[jar]{asking("sealJar")} },
		`aggregate "jar": event "coinsPut" is there twice`:                                                                                    func(d *Definition[jar]) { d.Events[1] = putting("coinsPut") },
		`aggregate "jar": a refusal is nil`:                                                                                                   func(d *Definition[jar]) { d.Refusals[0] = nil },
		`aggregate "jar": the slug of a refusal must be a lower-case letter, then lower-case letters, digits and hyphens, and is "jarSealed"`: func(d *Definition[jar]) { d.Refusals[0] = &Refusal{Slug: "jarSealed", Detail: "-"} },
		`aggregate "jar": refusal "jar-missing" is there twice`:                                                                               func(d *Definition[jar]) { d.Refusals[0] = errMissing },
		`aggregate "jar": refusal "jar-full" has no detail`:                                                                                   func(d *Definition[jar]) { d.Refusals[0] = &Refusal{Slug: "jar-full"} },
		`aggregate "jar": refusal "jar-full": the kind must be Conflict, NotFound or Gone, and is PreconditionFailed`: func(d *Definition[jar]) {
			d.Refusals[0] = &Refusal{Slug: "jar-full", Detail: "-", Kind: PreconditionFailed}
		},
		`aggregate "jar": refusal "jar-full": the kind must be Conflict, NotFound or Gone, and is Kind(200)`: func(d *Definition[jar]) { d.Refusals[0] = &Refusal{Slug: "jar-full", Detail: "-", Kind: 200} },

		`aggregate "jar": an upcast lacks From, To or Body`:                                             func(d *Definition[jar]) { d.Upcasts[0].Body = nil },
		`aggregate "jar": event "jarSealed" is upcast, and is one of the events of today`:               func(d *Definition[jar]) { d.Upcasts[0].From = "jarSealed" },
		`aggregate "jar": event "coinPut" is upcast twice`:                                              func(d *Definition[jar]) { d.Upcasts = append(d.Upcasts, d.Upcasts[0]) },
		`aggregate "jar": event "coinPut" is upcast to "jarOpened", which no event of the aggregate is`: func(d *Definition[jar]) { d.Upcasts[0].To = "jarOpened" },
		`aggregate "jar": the upcasts of event "coinPut" go round in a circle`:                          func(d *Definition[jar]) { d.Upcasts[0].To = "coinPut" },
		`aggregate "jar": the upcasts of event "a" go round in a circle`: func(d *Definition[jar]) {
			d.Upcasts = []Upcast{{"a", "b", same}, {"b", "c", same}, {"c", "b", same}}
		},

		// names of the router's own
		`aggregate "reaction": the name "reaction" is the router's own`:  func(d *Definition[jar]) { d.Name = "reaction" },
		`aggregate "unique": the name "unique" is the router's own`:      func(d *Definition[jar]) { d.Name = "unique" },
		`aggregate "jar": the plural "stats" is the router's own`:        func(d *Definition[jar]) { d.Plural = "stats" },
		`aggregate "jar": the plural "changes" is the router's own`:      func(d *Definition[jar]) { d.Plural = "changes" },
		`aggregate "jar": the plural "commands" is the router's own`:     func(d *Definition[jar]) { d.Plural = "commands" },
		`aggregate "jar": command "requeueParked" is the router's own`:   func(d *Definition[jar]) { d.Commands[1] = asking("requeueParked") },
		`aggregate "jar": event "commandRefused" is the router's own`:    func(d *Definition[jar]) { d.Events[0] = putting("commandRefused"); d.Upcasts = nil },
		`aggregate "jar": event "parkedDropped" is the router's own`:     func(d *Definition[jar]) { d.Upcasts[0].From = "parkedDropped" },
		`aggregate "jar": refusal "invalid-request" is the router's own`: func(d *Definition[jar]) { d.Refusals[0] = &Refusal{Slug: "invalid-request", Detail: "-"} },
		`aggregate "jar": refusal "unauthorized" is the router's own`:    func(d *Definition[jar]) { d.Refusals[0] = &Refusal{Slug: "unauthorized", Detail: "-"} },

		// what another aggregate has
		`aggregate "pot": the name is registered twice`:                                                    func(d *Definition[jar]) { d.Name = "pot" },
		`aggregate "pot": the plural "pots" is also that of aggregate "jar"`:                               func(d *Definition[jar]) { d.Plural = "pots" },
		`aggregate "pot": command "fillPot" is also one of aggregate "jar": one handler decides a command`: func(d *Definition[jar]) { d.Commands[1] = asking("fillPot") },
		`aggregate "pot": event "potFilled" is also that of aggregate "jar"`:                               func(d *Definition[jar]) { d.Events[0], d.Upcasts = putting("potFilled"), nil },
		`aggregate "pot": event "potPoured" is also that of aggregate "jar"`:                               func(d *Definition[jar]) { d.Upcasts[0].From = "potPoured" },
		`aggregate "pot": refusal "pot-full" is also that of aggregate "jar"`:                              func(d *Definition[jar]) { d.Refusals[0] = &Refusal{Slug: "pot-full", Detail: "-"} },
	} {
		d := jars()
		change(&d)
		if r, err := NewRegistry(Of(d), Of(pots())); textOf(err) != want || r != nil {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := NewRegistry(); textOf(err) != "no aggregate is registered" {
		t.Error(err)
	}
	if _, err := NewRegistry(Of(jars()), nil); textOf(err) != "an aggregate is nil" {
		t.Error(err)
	}
	jarType := Of(jars())
	if _, err := NewRegistry(jarType, jarType); textOf(err) != `aggregate "jar": the name is registered twice` {
		t.Error(err)
	}
}

// Internal commands are commands, behind those of clients. An aggregate may have
// internal commands only.
func TestInternal(t *testing.T) {
	t.Parallel()
	d, only := jars(), pots()
	d.Internal = []func() Command[jar]{asking("breakJar")}
	only.Commands, only.Internal = nil, only.Commands
	r := registryOf(t, Of(d), Of(only))
	if got := strings.Join(r.CommandTypes(), " "); got != "putCoins sealJar breakJar fillPot" {
		t.Errorf("commands %s", got)
	}
	for name, want := range map[string]bool{"putCoins": false, "breakJar": true, "fillPot": true, "emptyPot": false, "requeueParked": false} {
		if got := r.IsInternal(name); got != want {
			t.Errorf("%s is internal: %v", name, got)
		}
	}
	if c, of := r.NewCommand("breakJar"); c == nil || of != r.Type("jar") {
		t.Errorf("got %v of %v", c, of)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	jarType, potType := Of(jars()), Of(pots())
	r := registryOf(t, jarType, potType)
	if types := r.Types(); len(types) != 2 || types[0] != jarType || types[1] != potType {
		t.Errorf("types %v", types)
	}
	if r.Type("jar") != jarType || r.Type("jars") != nil || r.ByPlural("pots") != potType || r.ByPlural("pot") != nil {
		t.Error("an aggregate is found by another name")
	}
	if got := strings.Join(r.CommandTypes(), " "); got != "putCoins sealJar fillPot" {
		t.Errorf("commands %s", got)
	}
	c, of := r.NewCommand("fillPot")
	if c.(*ask).As != "fillPot" || of != potType { //nolint:errcheck // another type panics, which fails the test
		t.Errorf("got %v of %v", c, of)
	}
	if c, of := r.NewCommand("emptyPot"); c != nil || of != nil {
		t.Errorf("got %v of %v", c, of)
	}
	for stream, want := range map[string]string{"jar/1": "1", "jar/a/b": "a/b", "jar//": "/"} {
		if of, id := r.OfStream(stream); of != jarType || id != want {
			t.Errorf("%q is %q of %v", stream, id, of)
		}
	}
	for _, stream := range []string{"", "jar", "jar/", "/1", "cup/1", "1"} {
		if of, _ := r.OfStream(stream); of != nil {
			t.Errorf("%q is of %s", stream, of.Name())
		}
	}
	for slug, want := range map[string]Kind{"jar-sealed": Conflict, "jar-missing": NotFound, "pot-full": Gone, "version-mismatch": PreconditionFailed, "from-a-newer-binary": Conflict} {
		if got := r.KindOf(slug); got != want {
			t.Errorf("%s is %s, want %s", slug, got, want)
		}
	}
}

func TestSplitStream(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string][2]string{"user/1": {"user", "1"}, "user/a/b": {"user", "a/b"}, "a/ ": {"a", " "}} { //nolint:gocritic // a blank is an id
		if name, id, ok := SplitStream(stream); !ok || name != want[0] || id != want[1] {
			t.Errorf("%q is %q and %q, %v", stream, name, id, ok)
		}
	}
	for _, stream := range []string{"", "/", "user", "user/", "/1"} {
		if name, id, ok := SplitStream(stream); ok {
			t.Errorf("%q is %q and %q", stream, name, id)
		}
	}
}

func TestRegistryDecodeEvent(t *testing.T) {
	t.Parallel()
	r := registryOf(t, Of(jars()), Of(pots()))
	if event, err := r.DecodeEvent("jar/1", "coinPut", []byte(`{"id":"1","coins":[2]}`)); err != nil || event.(*put).Coins[0] != 2 { //nolint:errcheck // another type panics, which fails the test
		t.Errorf("got %v, %v", event, err)
	}
	for _, test := range []struct {
		stream, eventType, body, want string
		unknown                       bool
	}{
		{"cup/1", "coinsPut", `{"id":"1","coins":[]}`, `unknown event type "coinsPut": this binary does not know the aggregate of stream "cup/1"`, true},
		{"jar", "coinsPut", `{"id":"1","coins":[]}`, `unknown event type "coinsPut": this binary does not know the aggregate of stream "jar"`, true},
		{"jar/1", "potFilled", `{"id":"1","coins":[]}`, `unknown event type "potFilled"`, true},
		{"jar/1", "coinsPut", `{"id":"2","coins":[]}`, `decode coinsPut: the body names jar "2" in stream "jar/1"`, false},
		{"jar/1", "coinsPut", `{"id":"1"}`, `decode coinsPut: the body has no coins`, false},
	} {
		event, err := r.DecodeEvent(test.stream, test.eventType, []byte(test.body))
		if textOf(err) != test.want || errors.Is(err, ErrUnknownEvent) != test.unknown || event != nil {
			t.Errorf("got %v, %v, want %s", event, err, test.want)
		}
	}
}

// The fold's version changes whenever states may change, and only then.
func TestFoldVersion(t *testing.T) {
	t.Parallel()
	first := registryOf(t, Of(jars()), Of(pots())).FoldVersion()
	if again := registryOf(t, Of(pots()), Of(jars())).FoldVersion(); again != first {
		t.Error("the order of registration makes another version")
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]func(d *Definition[jar]){
		"version":           func(d *Definition[jar]) { d.Version = 1 },
		"name":              func(d *Definition[jar]) { d.Name = "mug" },
		"an event more":     func(d *Definition[jar]) { d.Events = append(d.Events, putting("coinsFound")) },
		"an event less":     func(d *Definition[jar]) { d.Events = d.Events[:1] },
		"an upcast more":    func(d *Definition[jar]) { d.Upcasts = append(d.Upcasts, Upcast{"aCoin", "coinPut", same}) },
		"an upcast less":    func(d *Definition[jar]) { d.Upcasts = nil },
		"an upcast's aim":   func(d *Definition[jar]) { d.Upcasts[0].To = "jarSealed" },
		"an upcast's start": func(d *Definition[jar]) { d.Upcasts[0].From = "aCoin" },
	} {
		d := jars()
		change(&d)
		version := registryOf(t, Of(d), Of(pots())).FoldVersion()
		if other, twice := seen[version]; twice {
			t.Errorf("%s: the version is that of %s", name, other)
		}
		seen[version] = name
	}
	if _, twice := seen[registryOf(t, Of(jars())).FoldVersion()]; twice {
		t.Error("an aggregate less makes no other version")
	}
	d := jars()
	d.Plural, d.Events[0], d.Events[1] = "jarfuls", d.Events[1], d.Events[0]
	d.Commands, d.Refusals = d.Commands[:1], nil
	if registryOf(t, Of(d), Of(pots())).FoldVersion() != first {
		t.Error("what no fold sees makes another version")
	}
}

// The router's own aggregates stand beside the team's in a second registry, and
// the first doesn't change.
func TestWith(t *testing.T) {
	t.Parallel()
	team, err := NewRegistry(Of(jars()))
	if err != nil {
		t.Fatal(err)
	}
	own := pots()
	own.Name, own.Commands = "reaction", []func() Command[jar]{asking("parkCause")}
	both, err := team.With(Of(own))
	if err != nil {
		t.Fatal(err)
	}
	if _, of := both.NewCommand("parkCause"); of == nil || both.Type("reaction") != of || both.OfCommand("putCoins") == nil {
		t.Error("the second registry doesn't know all aggregates")
	}
	if _, of := team.NewCommand("parkCause"); of != nil || team.Type("reaction") != nil || len(team.Types()) != 1 {
		t.Error("the first registry knows the router's own aggregate")
	}
	if both.FoldVersion() == team.FoldVersion() {
		t.Error("both registries have the same fold version")
	}
	own.Commands = nil
	if _, err := team.With(Of(own)); err == nil || err.Error() != `aggregate "reaction": there are no commands` {
		t.Error(err)
	}
}
