package aggregate

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// colour reads itself, from a few texts and numbers.
type colour string

func (c *colour) UnmarshalJSON(data []byte) error {
	switch text := strings.Trim(string(data), `"`); text {
	case "red", "7", "true":
		*c = colour(text)
		return nil
	case "boom":
		panic("boom")
	default:
		return errors.New("must be red, 7 or true")
	}
}

// shout reads itself from a text only.
type shout string

func (s *shout) UnmarshalText(text []byte) error {
	*s = shout(strings.ToUpper(string(text)))
	return nil
}

// mixed is an event whose bodies are read the fast way.
type mixed struct {
	ID     string    `json:"id"`
	Number int       `json:"number"`
	Big    int64     `json:"big"`
	On     bool      `json:"on"`
	Colour colour    `json:"colour"`
	At     time.Time `json:"at"`
}

func (mixed) Type() string          { return "mixed" }
func (m mixed) AggregateID() string { return m.ID }
func (m mixed) Apply(j jar) jar     { return j }

// shouted is an event whose bodies are never read the fast way.
type shouted struct {
	ID    string         `json:"id"`
	Text  shout          `json:"text"`
	Maybe *int           `json:"maybe"`
	Some  string         `json:"some,omitempty"`
	Items []string       `json:"items"`
	By    map[string]int `json:"by"`
}

func (shouted) Type() string          { return "shouted" }
func (s shouted) AggregateID() string { return s.ID }
func (s shouted) Apply(j jar) jar     { return j }

// bodies is an aggregate of the events above.
func bodies() *Type {
	d := jars()
	d.Events = append(d.Events, func() Event[jar] { return new(mixed) }, func() Event[jar] { return new(shouted) })
	return Of(d)
}

func TestDecodeEvent(t *testing.T) {
	t.Parallel()
	registryOf(t, bodies())
	three := 3
	midnight := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		eventType, body string
		want            any
		wrong           string
	}{
		{"mixed", `{"id":"1","number":2,"big":3,"on":true,"colour":"red","at":"2026-11-23T00:00:00Z"}`, &mixed{"1", 2, 3, true, "red", midnight}, ""},
		{"mixed", `{"at":"2026-11-23T00:00:00Z","colour":7,"new":[{}],"on":false,"big":-3,"number":-0,"id":"\\u0031"}`, &mixed{"1", 0, -3, false, "7", midnight}, ""},
		{"mixed", `{"id":"1","number":2,"big":3,"on":true,"colour":"red","at":"2026-11-23T00:00:00Z","new":1}`, &mixed{"1", 2, 3, true, "red", midnight}, ""},
		{"mixed", `{"id":"1","number":2,"big":3,"on":true,"colour":"red"}`, nil, "decode mixed: the body has no at"},
		{"mixed", `{"id":"1","number":null,"big":3,"on":true,"colour":"red","at":"2026-11-23T00:00:00Z"}`, nil, "decode mixed: the body has no number"},
		{"mixed", `{"id":"","number":2,"big":3,"on":true,"colour":"red","at":"2026-11-23T00:00:00Z"}`, nil, "decode mixed: the body has an empty id"},
		{"mixed", `{"id":"1","number":2,"big":3,"on":true,"colour":"blue","at":"2026-11-23T00:00:00Z"}`, nil, "decode mixed: must be red, 7 or true"},
		{"mixed", `{"id":"1","number":2,"big":3,"on":true,"colour":"boom","at":"2026-11-23T00:00:00Z"}`, nil, "decode mixed: panicked: boom"},
		{"mixed", `null`, nil, "decode mixed: the body has no id"},
		{"mixed", ``, nil, "decode mixed: unexpected end of JSON input"},
		{"shouted", `{"id":"1","text":"a","maybe":null,"items":null,"by":null}`, &shouted{ID: "1", Text: "A"}, ""},
		{"shouted", `{"id":"1","text":"a","items":[],"by":{}}`, &shouted{ID: "1", Text: "A", Items: []string{}, By: map[string]int{}}, ""},
		{"shouted", `{"id":"1","text":"a","maybe":3,"some":"b","items":["c"],"by":{"d":4}}`, &shouted{"1", "A", &three, "b", []string{"c"}, map[string]int{"d": 4}}, ""},
		{"shouted", `{"id":"1","text":"a","by":null}`, nil, "decode shouted: the body has no items"},
		{"jarSealed", `{"id":"1","at":"2026-11-23T00:00:00Z"}`, &sealed{"1", midnight}, ""},
		{"jarOpened", `{"id":"1"}`, nil, `unknown event type "jarOpened"`},
	} {
		event, err := bodies().DecodeEvent(test.eventType, []byte(strings.ReplaceAll(test.body, `\\`, `\`)))
		if textOf(err) != test.wrong {
			t.Errorf("%s: got %v, want %s", test.body, err, test.wrong)
		}
		if err == nil && !reflect.DeepEqual(event, test.want) || err != nil && event != nil {
			t.Errorf("%s: got %+v, want %+v", test.body, event, test.want)
		}
		if unknown := test.eventType == "jarOpened"; errors.Is(err, ErrUnknownEvent) != unknown {
			t.Errorf("%s: %v is an unknown event: %v", test.body, err, !unknown)
		}
	}
}

// A body that this binary writes is read by this binary, nothing in it or all.
func TestWrittenBodiesAreRead(t *testing.T) {
	t.Parallel()
	of := bodies()
	for _, event := range []AnyEvent{
		&mixed{ID: "a b", Colour: "red"}, &mixed{ID: `<"é">`, Number: -1, Big: 1 << 60, On: true, Colour: "true", At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)},
		&shouted{ID: "1"}, &shouted{ID: "1", Text: "A", Items: []string{}, By: map[string]int{"b": 1}}, &put{As: "coinsPut", ID: "1"},
	} {
		body, err := of.EncodeEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := of.DecodeEvent(event.Type(), body); err != nil || !reflect.DeepEqual(got, event) {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
	if body, err := of.EncodeEvent(&mixed{ID: "<é>&\u2028"}); err != nil || !bytes.HasPrefix(body, []byte(`{"id":"<é>&\u2028",`)) {
		t.Errorf("got %s, %v", body, err)
	}
	plain := []byte(`{"id":"1","number":0,"big":3,"on":false,"colour":"red","at":"2026-11-23T00:00:00Z"}`)
	if e := of.events["mixed"]; !e.readWritten(plain, e.create()) {
		t.Error("a plain body is not read the fast way")
	}
	if e := of.events["shouted"]; e.written {
		t.Error("an event whose text reads itself is read the fast way")
	}
}

type unwritable struct {
	ID     string  `json:"id"`
	Amount float64 `json:"amount"`
}

func (unwritable) Type() string        { return "unwritable" }
func (unwritable) AggregateID() string { return "1" }

func TestEventsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	var zero float64
	if body, err := bodies().EncodeEvent(unwritable{Amount: 1 / zero}); body != nil || textOf(err) != "encode unwritable: json: unsupported value: +Inf" {
		t.Errorf("got %s, %v", body, err)
	}
}

func TestUpcasts(t *testing.T) {
	t.Parallel()
	d := jars()
	rename := func(from, to string) func([]byte) ([]byte, error) {
		return func(old []byte) ([]byte, error) {
			newer := bytes.Replace(old, []byte(from), []byte(to), 1)
			clear(old) // the log's text is not touched by this
			return newer, nil
		}
	}
	d.Upcasts = []Upcast{
		{"third", "coinsPut", rename("money", "coins")},
		{"first", "second", rename("dollars", "cash")},
		{"second", "third", rename("cash", "money")},
		{"failing", "coinsPut", func([]byte) ([]byte, error) { return nil, errors.New("no dollars") }},
		{"panicking", "failing", func(old []byte) ([]byte, error) { return old[1000:], nil }},
		{"wrong", "third", same},
		{"garbage", "coinsPut", func([]byte) ([]byte, error) { return []byte("x"), nil }},
	}
	jarType := Of(d)
	registryOf(t, jarType)
	want := &put{As: "coinsPut", ID: "1", Coins: []int{7}}
	for eventType, text := range map[string]string{
		"first": `{"id":"1","dollars":[7]}`, "second": `{"id":"1","cash":[7]}`, "third": `{"id":"1","money":[7]}`, "coinsPut": `{"id":"1","coins":[7]}`,
	} {
		body := []byte(text)
		if event, err := jarType.DecodeEvent(eventType, body); err != nil || !reflect.DeepEqual(event, want) || string(body) != text {
			t.Errorf("%s: got %+v, %v of %s", eventType, event, err, body)
		}
	}
	for eventType, want := range map[string]string{
		"failing":   "upcast failing to coinsPut: no dollars",
		"panicking": "upcast panicking to failing: panicked: runtime error: slice bounds out of range [1000:2]",
		"wrong":     "decode coinsPut, upcast from wrong: the body has no id",
		"garbage":   "decode coinsPut, upcast from garbage: invalid character 'x' looking for beginning of value",
	} {
		if event, err := jarType.DecodeEvent(eventType, []byte(`{}`)); event != nil || textOf(err) != want || errors.Is(err, ErrUnknownEvent) {
			t.Errorf("%s: got %v, %v, want %s", eventType, event, err, want)
		}
	}
}

// No body stops a fold by a panic. Bodies are read as encoding/json reads, and
// an event that was read is written, and read again, as the same.
func FuzzDecodeEvent(f *testing.F) {
	names := []string{"mixed", "shouted", "jarSealed", "coinsPut"}
	for _, body := range []string{
		`{"id":"1","number":2,"big":3,"on":true,"colour":"red","at":"2026-11-23T00:00:00Z"}`,
		`{"id":"1","number":2,"big":3,"on":true,"colour":"boom","at":"2026-11-23T00:00:00Z"}`,
		`{"id":"1","number":02,"big":9223372036854775808,"on":false,"colour":7,"at":"2026-11-23T00:00:00+01:00"}`,
		`{"id":"a","number":9223372036854775807,"big":1.5,"on":true,"colour":true,"at":null}`, `{"id":"1","number":2,"big":3,"on":truefalse`,
		`{"id":"1","text":"a","maybe":3,"some":"b","items":["c"],"by":{"d":4}}`, `{"id":"1","text":"a","items":null,"by":null}`,
		`{"id":"1","at":"2026-11-23T00:00:00.123456789-23:59"}`, `{"id":"1","at":"x"}`, `{"id":"\x7f","coins":[1]}`, `{"id":"é","coins":[]}`,
		`{"ID":"1","Coins":[]}`, `{"id":"1","id":"2","coins":[]}`, `{"id":"1","coins":[]} `, `null`, `[]`, ``, `{}`, `{"id":"\ud800"}`, `{"id":"1`, `{"id":`,
	} {
		for i := range names {
			f.Add(uint8(i), []byte(body))
		}
	}
	of := bodies()
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		name := names[int(which)%len(names)]
		e := of.events[name]
		event, err := of.DecodeEvent(name, body)
		plain, wrong := readPlainly(e, body)
		if (err == nil) != (wrong == nil) || err == nil && !reflect.DeepEqual(event, plain) {
			t.Fatalf("%s is %+v, %v, and encoding/json makes %+v, %v", body, event, err, plain, wrong)
		}
		if err != nil {
			return
		}
		first, err := of.EncodeEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		again, err := of.DecodeEvent(name, first)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", body, first, err)
		}
		if second, err := of.EncodeEvent(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is written as %s, and then as %s, %v", body, first, second, err)
		}
	})
}

// readPlainly reads a body by encoding/json alone.
func readPlainly(e eventType, body []byte) (event AnyEvent, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("panicked")
		}
	}()
	event = e.create()
	if err := json.Unmarshal(body, event); err != nil {
		return nil, err
	}
	if missing := e.missing(body); missing != "" {
		return nil, errors.New(missing)
	}
	if event.AggregateID() == "" {
		return nil, errors.New("no id")
	}
	return event, nil
}
