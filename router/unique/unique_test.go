package unique

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

const hash = "7a64adf28737ea90719cbdf0b1a87a5effff3753b79c91d717f4f4153ead0498"

func TestDecide(t *testing.T) {
	const id = "email/" + hash
	take, give := TakeClaim{id, "user/1", "c-1"}, GiveClaim{id, "user/1"}
	for _, test := range []struct {
		owner string
		when  aggregate.Command[Value]
		want  string // the event, "" for none
		no    error
		after string // the owner
	}{
		{"", take, "valueTaken", nil, "user/1"},
		{"user/1", take, "", nil, ""},
		{"user/2", take, "", ErrTaken, ""},
		{"", give, "", nil, ""},
		{"user/1", give, "valueReleased", nil, ""},
		{"user/2", give, "", nil, ""},
	} {
		event, err := Aggregate.Decide(Value{Owner: test.owner}, test.when)
		got := ""
		if event != nil {
			got = event.Type()
			if after := Aggregate.Apply(Value{Owner: test.owner}, event); after != (Value{Owner: test.after}) {
				t.Errorf("%+v is %v afterwards", test, after)
			}
		}
		if got != test.want || !errors.Is(err, test.no) {
			t.Errorf("%+v: %s, %v", test, got, err)
		}
	}
}

// Claim streams are names of streams.
func TestIDs(t *testing.T) {
	stream := aggregate.ClaimStream("email", "alice@example.org")
	if !aggregate.IsStream(stream) || stream != Name+"/email/"+hash {
		t.Errorf("%s is no stream", stream)
	}
	for id, allowed := range map[string]bool{
		"email/" + hash: true, "email/" + hash[1:]: false, "email/" + hash[1:] + "A": false, "email/" + hash[1:] + "g": false,
		"/" + hash: false, hash: false, "": false, "e mail/" + hash: false, "email/" + hash + "/": false,
	} {
		if got, err := Aggregate.ParseID(id); (err == nil) != allowed || allowed && got != id {
			t.Errorf("%q: %q, %v", id, got, err)
		}
	}
}

func TestReact(t *testing.T) {
	const claim = "unique/email/" + hash
	take := `{"id":"email/` + hash + `","stream":"user/1","commandId":"c-1"}`
	for name, test := range map[string]struct {
		record eventlog.Record
		want   []string
	}{
		"an event": {eventlog.Record{Stream: "user/1", Type: "userRenamed", Body: []byte(`{}`)}, nil},
		"gives before takes": {
			eventlog.Record{Stream: "user/1", CommandID: "c-1", Releases: []string{"unique/a/1", "unique/a/2"}, Asks: []string{claim}},
			[]string{
				`unique/a/1 giveClaim {"id":"a/1","stream":"user/1"}`, `unique/a/2 giveClaim {"id":"a/2","stream":"user/1"}`,
				claim + ` takeClaim ` + take,
			},
		},
		"taken": {
			eventlog.Record{Stream: claim, Type: "valueTaken", Body: []byte(take)},
			[]string{`user/1 answerClaim {"stream":"user/1","commandId":"c-1","claim":"` + claim + `","taken":true}`},
		},
		"its own": {
			eventlog.Record{Stream: claim, Type: "commandUnchanged", Body: []byte(`{"commandType":"takeClaim","payload":` + take + `}`)},
			[]string{`user/1 answerClaim {"stream":"user/1","commandId":"c-1","claim":"` + claim + `","taken":true}`},
		},
		"another's": {
			eventlog.Record{Stream: claim, Type: "commandRefused", Body: []byte(`{"commandType":"takeClaim","problem":"value-taken","detail":"","payload":` + take + `}`)},
			[]string{`user/1 answerClaim {"stream":"user/1","commandId":"c-1","claim":"` + claim + `","taken":false}`},
		},
		"given back": {eventlog.Record{Stream: claim, Type: "valueReleased", Body: []byte(`{}`)}, nil},
		"not given back": {
			eventlog.Record{Stream: claim, Type: "commandUnchanged", Body: []byte(`{"commandType":"giveClaim","payload":{}}`)}, nil,
		},
		"queued": {eventlog.Record{Stream: claim, Type: "commandQueued", Body: []byte(`{}`)}, nil},
	} {
		commands, err := React(&test.record)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, c := range commands {
			body, err := json.Marshal(c.AnyCommand)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s %s", c.Stream, c.Type(), body))
			if _, id, _ := aggregate.SplitStream(c.Stream); id != c.AggregateID() {
				t.Errorf("%s: the command is of %s", name, c.AggregateID())
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, test.want)
		}
	}
	for _, r := range []eventlog.Record{
		{Stream: claim, Type: "valueTaken", Body: []byte(`{`)}, {Stream: claim, Type: "commandRefused", Body: []byte(`{`)},
		{Stream: claim, Type: "commandUnchanged", Body: []byte(`{"commandType":"takeClaim"}`)},
	} {
		if commands, err := React(&r); err == nil {
			t.Errorf("%+v: %v", r, commands)
		}
	}
}
