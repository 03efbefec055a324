package scaffold

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parcels is an aggregate with ids of a type of its own.
const parcels = `package parcels

import (
	"time"

	"github.com/millrace/millrace/router/aggregate"
)

var Parcel = aggregate.Of(aggregate.Definition[State]{
	Name: "parcel",
	Commands: []func() aggregate.Command[State]{func() aggregate.Command[State] { return new(SendParcel) }},
	Internal: []func() aggregate.Command[State]{func() aggregate.Command[State] { return new(DropParcel) }},
	Events: []func() aggregate.Event[State]{func() aggregate.Event[State] { return new(ParcelSent) }},
})

type (
	State struct{}
	ID    string
)

type SendParcel struct {
	Parcel ID        ` + "`json:\"parcel\"`" + `
	Number int32     ` + "`json:\"number\"`" + `
	At     time.Time ` + "`json:\"at\"`" + `
	hidden bool
}

func (SendParcel) Type() string { return "sendParcel" }

func (c SendParcel) AggregateID() string { return string(c.Parcel) }

type DropParcel struct {
	Parcel ID     ` + "`json:\"parcel\"`" + `
	Why    string ` + "`json:\"why\"`" + `
}

func (DropParcel) Type() string { return "dropParcel" }

func (c DropParcel) AggregateID() string { return string(c.Parcel) }

type ParcelSent struct {
	Parcel ID        ` + "`json:\"parcel\"`" + `
	Fast   bool      ` + "`json:\"fast\"`" + `
	To     string    ` + "`json:\"to\"`" + `
	At     time.Time ` + "`json:\"at\"`" + `
}

func (ParcelSent) Type() string { return "parcelSent" }

func (c ParcelSent) AggregateID() string { return string(c.Parcel) }
`

// shop is a service with two aggregates, in styles of their own.
func shop(t *testing.T, files map[string]string) string {
	t.Helper()
	all := map[string]string{
		"go.mod": goMod, "parcels/parcels.go": parcels,
		"lamps/lamps.go": lamps + "\ntype LampLit struct {\n\tNumber int `json:\"number\"`\n}\n\nfunc (LampLit) Type() string { return \"lampLit\" }\n\n" +
			"func (e LampLit) AggregateID() string { return strconv.Itoa(e.Number) }\n",
		"lamps/testdata/events.golden": "lampLit {\"number\":7}\n", "parcels/testdata/events.golden": "parcelSent {\"parcel\":5,\"fast\":true,\"at\":\"x\"}\n",
		"domain.go": domainFile,
	}
	for path, text := range files {
		all[path] = text
	}
	return tree(t, all)
}

// The members of the command are made of the event's members, converted where
// the types differ; what is missing is told.
func TestNewReaction(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		event, command string
		code, given    []string
		missing        []string
	}{
		"the id of the other aggregate, and a member of another type": {
			"lamp-lit", "sendParcel",
			[]string{"switch r.Event.(type) {", "case *lamps.LampLit:\n\t\t// lampLit has no Number", "reaction.Send(parcels.SendParcel{Parcel: parcels.ID(r.AggregateID)})", `Of:    []string{"lamp"},`},
			[]string{"command := parcels.SendParcel{Parcel: \"7\"}", "of.Given(lamps.LampLit{Number: 7}).Then(command)", "shipping.Reaction, lamps.Lamps, parcels.Parcel)"},
			[]string{"Number", "At"},
		},
		"members of the same package": {
			"ParcelSent", "send-parcel",
			[]string{"switch e := r.Event.(type) {", "parcels.SendParcel{Parcel: e.Parcel, At: e.At}"},
			[]string{"command := parcels.SendParcel{Parcel: \"5\"}", "of.Given(parcels.ParcelSent{Parcel: \"5\", Fast: true, To: \"First\"}).Then(command)", "shipping.Reaction, parcels.Parcel)"},
			[]string{"Number"},
		},
		"a command for reactions only": {
			"lampLit", "drop-parcel", []string{"reaction.Send(parcels.DropParcel{Parcel: parcels.ID(r.AggregateID)})"}, []string{"command := parcels.DropParcel{Parcel: \"7\"}"}, []string{"Why"},
		},
		"an id that is no text": {
			"parcelSent", "lightLamp", []string{"lamps.LightLamp{}", "switch r.Event.(type) {"}, []string{"command := lamps.LightLamp{}"}, []string{"Number"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shop(t, nil)
			w, err := NewReaction(dir, "Shipping", test.event, test.command)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.missing, w.Missing); diff != "" || w.Reaction != "shipping" || len(w.Created) != 2 {
				t.Errorf("%+v %s", w, diff)
			}
			for file, parts := range map[string][]string{"reactions/shipping/shipping.go": test.code, "reactions/shipping/shipping_test.go": test.given} {
				text := read(t, dir, file)
				for _, part := range parts {
					if !strings.Contains(text, part) {
						t.Errorf("%s has no %s:\n%s", file, part, text)
					}
				}
			}
		})
	}
}

// A reaction goes into the list of the service, which is made if the service has
// no reaction yet, and by hand if there is no place.
func TestNewReactionInList(t *testing.T) {
	t.Parallel()
	first := strings.NewReplacer(
		"lamps\" // the light\n", "lamps\" // the light\n\t\"example.com/shop/reactions/shipping\"\n",
		"router/aggregate\"\n", "router/aggregate\"\n\t\"github.com/millrace/millrace/router/reaction\"\n",
		"Models: nil,\n", "Models:    nil,\n\tReactions: []*reaction.Reaction{shipping.Reaction},\n",
	).Replace(domainFile)
	second := strings.NewReplacer(
		"reactions/shipping\"\n", "reactions/shipping\"\n\t\"example.com/shop/reactions/tracking\"\n", "{shipping.Reaction}", "{shipping.Reaction, tracking.Reaction}",
	).Replace(first)
	dir := shop(t, nil)
	for _, step := range []struct{ name, want string }{{"shipping", first}, {"tracking", second}} {
		if w, err := NewReaction(dir, step.name, "lampLit", "sendParcel"); err != nil || len(w.ByHand) > 0 {
			t.Fatalf("%+v, %v", w, err)
		}
		if diff := cmp.Diff(step.want, read(t, dir, "domain.go")); diff != "" {
			t.Error(diff)
		}
	}

	for _, odd := range []string{
		strings.Replace(domainFile, "Models: nil,", "Reactions: all(),", 1), strings.Replace(domainFile, "service.Domain{", "service.Domain{\"Shop\", nil,", 1),
	} {
		dir := shop(t, map[string]string{"domain.go": odd})
		w, err := NewReaction(dir, "shipping", "lampLit", "sendParcel")
		want := []ByHand{{File: "domain.go", Where: "in the service.Domain of the service", Lines: []string{
			`"example.com/shop/reactions/shipping" // among the imports`, "shipping.Reaction, // in the list Reactions",
		}}}
		if diff := cmp.Diff(want, w.ByHand); err != nil || diff != "" || read(t, dir, "domain.go") != odd {
			t.Errorf("%v %s", err, diff)
		}
	}
}

func TestNewReactionRefused(t *testing.T) {
	t.Parallel()
	there := map[string]string{"old/old.go": "package old\n\nimport \"github.com/millrace/millrace/router/reaction\"\n\nvar R = &reaction.Reaction{Name: \"shipping\"}\n"}
	for given, want := range map[string]string{
		"shipping//":                            `there is a reaction "shipping" already, in old/old.go`,
		"unique//":                              `the reaction can't be called "unique": the name is the router's own`,
		"func//":                                `the reaction can't be called "func": Go uses the word func`,
		"testing//":                             `the reaction can't be called "testing": Millrace uses the name testing already`,
		"lamps//":                               `the reaction can't be called "lamps": there is a package lamps already, in lamps`,
		"a-b-" + strings.Repeat("c", 30) + "//": `at most 31 lower-case letters`,
		"1st//":                                 `the reaction's name "1st" begins with a digit`,
		"other/lampOut/":                        `there is no event "lampOut" in example.com/shop; there are lampLit, parcelSent`,
		"other/lampLit/lampLit":                 `there is no command "lampLit" in example.com/shop; there are dropParcel, lightLamp, sendParcel`,
		"other/lampLit/":                        `name the command with --command; there are dropParcel, lightLamp, sendParcel`,
	} {
		parts := strings.Split(given, "/")
		dir := shop(t, there)
		if _, err := NewReaction(dir, parts[0], parts[1], parts[2]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", given, err, want)
		}
		if got := read(t, dir, "domain.go"); got != domainFile {
			t.Errorf("%s: the file is\n%s", given, got)
		}
	}
	if _, err := NewReaction(tree(t, map[string]string{"go.mod": goMod}), "other", "", ""); err == nil || err.Error() != "there is no event in example.com/shop: no aggregate.Definition lists one" {
		t.Error(err)
	}
}

// Without a golden file the test has values that most rules of texts take.
func TestNewReactionWithoutGolden(t *testing.T) {
	t.Parallel()
	dir := shop(t, map[string]string{"parcels/testdata/events.golden": "# none yet\n"})
	if _, err := NewReaction(dir, "shipping", "parcelSent", "sendParcel"); err != nil {
		t.Fatal(err)
	}
	if text := read(t, dir, "reactions/shipping/shipping_test.go"); !strings.Contains(text, `parcels.ParcelSent{Parcel: "1", To: "First"}`) {
		t.Errorf("the test is\n%s", text)
	}
}
