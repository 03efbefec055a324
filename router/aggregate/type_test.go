package aggregate

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	jarType := Of(jars())
	var noEvent *put
	var noRefusal *Refusal
	broken := errors.New("broken")
	closer := &Refusal{Slug: "jar-sealed", Detail: "the jar is sealed since May"}
	tests := map[string]struct {
		event Event[jar]
		err   error
		want  string // the error
	}{
		"an event":             {event: put{As: "coinsPut", ID: "1"}},
		"a pointer":            {event: &put{As: "coinsPut", ID: "1"}},
		"nothing":              {},
		"a refusal":            {err: errSealed, want: "the jar is sealed"},
		"a closer refusal":     {err: closer, want: "the jar is sealed since May"},
		"an error":             {err: broken, want: "broken"},
		"an event and a no":    {event: put{As: "coinsPut", ID: "1"}, err: errSealed, want: "the jar is sealed"},
		"a nil pointer":        {event: noEvent, want: "command putCoins makes a nil *aggregate.put: an event of no type says that nothing changes"},
		"a nil refusal":        {err: noRefusal, want: "command putCoins returns a nil *aggregate.Refusal as its error: an error of no type says that nothing is wrong"},
		"an unlisted event":    {event: put{As: "coinsTaken", ID: "1"}, want: "command putCoins makes event coinsTaken, which is not among the events of aggregate jar"},
		"an old event":         {event: put{As: "coinPut", ID: "1"}, want: "command putCoins makes event coinPut, which is not among the events of aggregate jar"},
		"another's event":      {event: put{As: "coinsPut", ID: "2"}, want: `command putCoins of jar "1" makes an event of "2"`},
		"an unlisted refusal":  {err: &Refusal{Slug: "jar-lost", Detail: "lost"}, want: `command putCoins refuses with "jar-lost" (Conflict), which is not among the refusals of aggregate jar`},
		"another kind of no":   {err: &Refusal{Slug: "jar-sealed", Kind: Gone}, want: `command putCoins refuses with "jar-sealed" (Gone), which is not among the refusals of aggregate jar`},
		"the router's refusal": {err: &Refusal{Slug: SlugVersionMismatch, Kind: PreconditionFailed}, want: `command putCoins refuses with "version-mismatch" (PreconditionFailed), which is not among the refusals of aggregate jar`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, err := jarType.Decide(nil, &ask{As: "putCoins", ID: "1", Answer: func() (Event[jar], error) { return test.event, test.err }})
			if got := textOf(err); got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
			if err == nil && !reflect.DeepEqual(any(event), any(test.event)) || err != nil && event != nil {
				t.Errorf("event %v, want %v", event, test.event)
			}
			var no *Refusal
			if wantNo := errors.Is(test.err, errSealed) || errors.Is(test.err, closer); errors.As(err, &no) != wantNo {
				t.Errorf("%v is a refusal: %v", err, !wantNo)
			}
		})
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A message or a state of another aggregate is a fault of the router.
func TestAnotherAggregatesMessages(t *testing.T) {
	t.Parallel()
	jarType := Of(jars())
	if _, err := jarType.Decide(nil, askFor[int]{}); textOf(err) != "aggregate.askFor[int] is no command of aggregate jar" {
		t.Error(err)
	}
	for want, apply := range map[string]func(){
		"aggregate.didTo[int] is no event of aggregate jar": func() { jarType.Apply(nil, didTo[int]{}) },
		"int is no state of aggregate jar":                  func() { jarType.Apply(7, put{As: "coinsPut"}) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panicked with %v, want %s", got, want)
				}
			}()
			apply()
		}()
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	own := jars()
	own.ParseID = func(text string) (string, error) {
		if text == "refused" {
			return "", errors.New("must be another one")
		}
		return strings.TrimPrefix(text, "jar-"), nil
	}
	ownType, anyType := Of(own), Of(jars())
	for text, want := range map[string]string{"1": "1", "a/b c": "a/b c", "...": "...", strings.Repeat("é", 128): strings.Repeat("é", 128)} {
		if id, err := anyType.ParseID(text); err != nil || id != want {
			t.Errorf("%q is %q, %v", text, id, err)
		}
	}
	if id, err := ownType.ParseID("jar-7"); err != nil || id != "7" {
		t.Errorf("got %q, %v", id, err)
	}
	if id, err := ownType.ParseID("refused"); id != "" || textOf(err) != "must be another one" {
		t.Errorf("got %q, %v", id, err)
	}
	// What no aggregate may take, an own ParseID can't let through.
	for _, text := range []string{"", ".", "..", "a\x00", "a\tb", "\u0085", "\xff", strings.Repeat("é", 129)} {
		for _, of := range []*Type{anyType, ownType} {
			if id, err := of.ParseID(text); id != "" || !errors.Is(err, errAnyID) {
				t.Errorf("%q is %q, %v", text, id, err)
			}
		}
	}
}

// The router's lists are in the order of the definition, but for old events.
func TestLists(t *testing.T) {
	t.Parallel()
	d := jars()
	d.Upcasts = append(d.Upcasts, Upcast{"aCoin", "coinPut", same})
	jarType := Of(d)
	if got := strings.Join(jarType.EventTypes(), " "); got != "coinsPut jarSealed" {
		t.Errorf("events %s", got)
	}
	if got := strings.Join(jarType.OldEventTypes(), " "); got != "aCoin coinPut" {
		t.Errorf("old events %s", got)
	}
	if len(jarType.Refusals()) != 2 || len(jarType.Commands()) != 2 {
		t.Errorf("%d refusals, %d commands", len(jarType.Refusals()), len(jarType.Commands()))
	}
	if e, ok := jarType.NewEvent("jarSealed").(*sealed); !ok || *e != (sealed{}) {
		t.Errorf("got %#v", e)
	}
	if e := jarType.NewEvent("coinPut"); e != nil {
		t.Errorf("an old event: %#v", e)
	}
	if jarType.Name() != "jar" || jarType.Plural() != "jars" || jarType.Stream("a/b") != "jar/a/b" {
		t.Errorf("%s %s %s", jarType.Name(), jarType.Plural(), jarType.Stream("a/b"))
	}
}
