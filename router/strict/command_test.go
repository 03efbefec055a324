package strict

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

type boxID string

// UnmarshalJSON takes texts, and panics at one of them.
func (id *boxID) UnmarshalJSON(data []byte) error {
	if string(data) == `"bomb"` {
		panic("boom")
	}
	return json.Unmarshal(data, (*string)(id))
}

type label struct {
	Text string  `json:"text"`
	Note *string `json:"note"`
}

type packBox struct {
	ID     boxID    `json:"id"`
	Count  int64    `json:"count,string"`
	Note   *string  `json:"note"`
	Labels []label  `json:"labels"`
	Words  []string `json:"words,omitempty"`
}

func (packBox) Type() string          { return "packBox" }
func (c packBox) AggregateID() string { return string(c.ID) }

func (packBox) Decide(struct{}) (aggregate.Event[struct{}], error) { return nil, nil }

var boxes = aggregate.Of(aggregate.Definition[struct{}]{
	Name: "box", Plural: "boxes",
	ParseID:  func(id string) (string, error) { return strings.ToLower(id), nil },
	Commands: []func() aggregate.Command[struct{}]{func() aggregate.Command[struct{}] { return new(packBox) }},
})

// What the gateway writes is read again, value for value: pointers without a
// value are written as null, and numbers with the option "string" as texts.
func TestReadCommandAsWritten(t *testing.T) {
	object, wrong := ReadPayload([]byte(`{"id":"a","count":9007199254740993,"labels":[{"text":"x"},{"text":"y","note":"n"}]}`))
	sent := new(packBox)
	if wrong = append(wrong, object.Into("", sent)...); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	body, err := json.Marshal(sent)
	if err != nil || !strings.Contains(string(body), `"note":null`) || !strings.Contains(string(body), `"count":"9007199254740993"`) {
		t.Fatalf("%s, %v", body, err)
	}
	got := new(packBox)
	if err := ReadCommand(boxes, body, got); err != nil {
		t.Fatalf("%s is refused: %v", body, err)
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("%s (-written +read):\n%s", body, diff)
	}
}

// A payload from topic commands is read as strictly as the payload of a
// request.
func TestReadCommandRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"a","count":1,"labels":[],"other":1}`:         "/other is not known; known are id, count, note, labels, words",
		`{"id":"a","count":1}`:                               "/labels is required",
		`{"id":"a","count":true,"labels":[]}`:                "/count must be a number that fits here",
		`{"id":"a","count":1,"labels":null}`:                 "/labels must be an array",
		`{"id":"a","Count":1,"count":1,"labels":[]}`:         "/Count is not known; known are id, count, note, labels, words",
		`{"id":"a","id":"a","count":1,"labels":[]}`:          "/id must not stand twice in its object",
		`{"id":"a","count":1,"labels":[{"text":"x","n":1}]}`: "/labels/0/n is not known; known are text, note",
		`{"id":"A","count":1,"labels":[]}`:                   `/id must be written as "a"`,
		`{"id":"","count":1,"labels":[]}`:                    "/id must be 1 to 128 characters without control characters, other than one dot and two dots",
		`{"id":"bomb","count":1,"labels":[]}`:                "reading the payload panicked: boom",
		`{"id":"a","count":1,"labels":[]}{}`:                 "is not JSON in UTF-8 (RFC 8259), at byte 32",
		`[]`:                                                 "must be a JSON object",
		`{"id":"` + strings.Repeat("a", maxPayload) + `"}`:   "must be at most 393216 bytes long",
		``: "ends before the JSON is complete",
		"{\"id\":\"\xff\",\"count\":1,\"labels\":[]}":               "/id is not JSON in UTF-8 (RFC 8259), at byte 7",
		strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32): strings.Repeat("/a", 31) + " must not nest deeper than 31 levels",
	} {
		if err := ReadCommand(boxes, []byte(body), new(packBox)); err == nil || err.Error() != want {
			t.Errorf("%.99s: %v, want %s", body, err, want)
		}
	}
}

// Command ids and expected versions have the same form, by HTTP and in Kafka.
func TestCheckEnvelope(t *testing.T) {
	most, more := uint64(1<<53-1), uint64(1<<53)
	for _, test := range []struct {
		id, of, stream string
		version        *uint64
		right          bool
	}{
		{"a", "packBox", "box/a", nil, true},
		{"a", "packBox", "box/a", &most, true},
		{"a", "packBox", "box/a", &more, false},
		{"a b", "packBox", "box/a", nil, false},
		{strings.Repeat("a", 129), "packBox", "box/a", nil, false},
		{"", "packBox", "box/a", nil, false},
		{"a", "pack box", "box/a", nil, false},
		{"a", strings.Repeat("a", 129), "box/a", nil, false},
		{"a", "packBox", "box/" + strings.Repeat("a", 129), nil, false},
		{"a", "packBox", "box/\n", nil, false},
		{"a", "packBox", "a box/a", nil, false},
		{"a", "packBox", "box", nil, false},
	} {
		if err := CheckEnvelope(&eventlog.Envelope{ID: test.id, Type: test.of, Stream: test.stream, ExpectedVersion: test.version}); (err == nil) != test.right {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// An id of the router itself comes only with the reaction and the cause that the
// id names.
func TestCheckEnvelopeOfAReaction(t *testing.T) {
	const id = "@pack-up:t:3:7:1"
	right := eventlog.Origin{Reaction: "pack-up", Cause: eventlog.Cause{TopicID: "t", Partition: 3, Offset: 7, N: 1}, Subject: "box/b", Depth: 1, Open: []string{"box/c"}}
	for _, test := range []struct {
		id     string
		change func(*eventlog.Origin)
		right  bool
	}{
		{id, func(*eventlog.Origin) {}, true},
		{"a", func(*eventlog.Origin) {}, false},
		{"@pack-up:t:3:7:2", func(*eventlog.Origin) {}, false},
		{"@pack up:t:3:7:1", func(o *eventlog.Origin) { o.Reaction = "pack up" }, false},
		{id, func(o *eventlog.Origin) { o.Subject = "box" }, false},
		{id, func(o *eventlog.Origin) { o.Open = []string{"c"} }, false},
	} {
		origin := right
		test.change(&origin)
		if err := CheckEnvelope(&eventlog.Envelope{ID: test.id, Type: "packBox", Stream: "box/a", Origin: &origin}); (err == nil) != test.right {
			t.Errorf("%s, %+v: %v", test.id, origin, err)
		}
	}
	if err := CheckEnvelope(&eventlog.Envelope{ID: id, Type: "packBox", Stream: "box/a"}); err == nil {
		t.Errorf("%s is taken from a client", id)
	}
}
