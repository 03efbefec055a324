package aggregate

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestStateBodies(t *testing.T) {
	t.Parallel()
	of := Of(jars())
	for want, state := range map[string]any{
		``: nil,
		`{"coins":null,"sealed":"0001-01-01T00:00:00Z"}`:  jar{},
		`{"coins":[],"sealed":"0001-01-01T00:00:00Z"}`:    jar{Coins: []int{}},
		`{"coins":[1,2],"sealed":"2026-11-23T00:00:00Z"}`: jar{[]int{1, 2}, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)},
	} {
		body, err := of.EncodeState(state)
		if err != nil || string(body) != want {
			t.Errorf("%+v is %s, %v", state, body, err)
		}
		if again, err := of.DecodeState(body); err != nil || !reflect.DeepEqual(again, state) {
			t.Errorf("%s is %+v, %v", body, again, err)
		}
		if err := of.SurvivesEncoding(state); err != nil {
			t.Error(err)
		}
	}
	if body, err := of.EncodeState(map[string]string{"a": "<é>"}); err != nil || string(body) != `{"a":"<é>"}` {
		t.Errorf("got %s, %v", body, err)
	}
	if state, err := of.DecodeState([]byte(`{"coins":7}`)); state != nil || !strings.HasPrefix(textOf(err), "decode a state: json: cannot unmarshal number") {
		t.Errorf("got %v, %v", state, err)
	}
	var zero float64
	if _, err := of.EncodeState(1 / zero); textOf(err) != "encode a state: json: unsupported value: +Inf" {
		t.Error(err)
	}
}

type bag struct {
	Items []string `json:"items,omitempty"`
	Count int      `json:"count,omitempty"`
	Half  half     `json:"half"`
}

// half forgets odd numbers.
type half int

func (h *half) UnmarshalJSON(data []byte) error {
	*h = half(data[0]-'0') / 2 * 2
	return nil
}

func TestSurvivesEncoding(t *testing.T) {
	t.Parallel()
	of := Of(Definition[bag]{})
	for want, state := range map[string]bag{
		``: {Items: []string{"a"}, Count: 1, Half: 2},
		`the state {Items:[] Count:0 Half:0} is written as {"half":0}, and read as another state: ` +
			`an empty slice or map is not a nil one, and omitempty writes neither`: {Items: []string{}},
		`the state {Items:[] Count:0 Half:3} is written as {"half":3}, and read as {Items:[] Count:0 Half:2}`: {Half: 3},
	} {
		if err := of.SurvivesEncoding(state); textOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Another form of the state is another fold, although nobody put Version up.
func TestFoldVersionOfStates(t *testing.T) {
	t.Parallel()
	type inner struct {
		B int `json:"b"`
	}
	type first struct {
		A []inner `json:"a"`
	}
	type other struct {
		A []inner `json:"a,omitempty"`
	}
	type deeper struct {
		A []struct {
			B string `json:"b"`
		} `json:"a"`
	}
	forms := map[string]bool{}
	for _, of := range []reflect.Type{reflect.TypeFor[first](), reflect.TypeFor[other](), reflect.TypeFor[deeper](), reflect.TypeFor[inner]()} {
		forms[formOf(of, nil)] = true
	}
	if len(forms) != 4 {
		t.Errorf("four states have the forms %v", forms)
	}
}
