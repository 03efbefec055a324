package aggregate

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type embedded struct{ A int }

type (
	writesOnly struct{ a int }      //nolint:unused // not exported on purpose
	inner      struct{ secret int } //nolint:unused // not exported on purpose
	tree       struct {
		Trees []tree          `json:"trees"`
		By    map[string]tree `json:"by"`
	}
	dated struct {
		time.Time
		Name string
	}
	strange struct{}
)

func (writesOnly) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (strange) MarshalJSON() ([]byte, error)    { return []byte(`"x"`), nil }
func (*strange) UnmarshalJSON([]byte) error     { panic("strange") }

func TestRefusedFields(t *testing.T) {
	t.Parallel()
	const nameForm = "the json name must be a letter, then letters, digits, hyphens and underscores, and is "
	for want, fields := range map[string][]reflect.StructField{
		`field ID has no json name`:                               {{Name: "ID"}},
		`field A has no json name`:                                {{Name: "A", Tag: `json:"-"`}},
		`field B has no json name`:                                {{Name: "A", Tag: `json:"a"`}, {Name: "B", Tag: `json:",omitempty"`}},
		`field Embedded is embedded`:                              {{Name: "Embedded", Tag: `json:"e"`, Anonymous: true}},
		`two fields have the json name "id"`:                      {{Name: "A", Tag: `json:"id"`}, {Name: "B", Tag: `json:"id"`}},
		`two fields have the json name "ID"`:                      {{Name: "A", Tag: `json:"id"`}, {Name: "B", Tag: `json:"ID"`}},
		`field A: ` + nameForm + `"a/b"`:                          {{Name: "A", Tag: `json:"a/b"`}},
		`field A: ` + nameForm + `"1"`:                            {{Name: "A", Tag: `json:"1,omitempty"`}},
		`field id is not exported: JSON would not have the field`: {{Name: "id", PkgPath: "users", Tag: `json:"id"`}},
	} {
		for i := range fields {
			fields[i].Type = reflect.TypeFor[string]()
		}
		if _, err := fieldsOf(reflect.StructOf(fields)); textOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	type all struct {
		Text     string          `json:"text"`
		Number   int             `json:"number"`
		Big      int64           `json:"big"`
		Small    int8            `json:"small"`
		On       bool            `json:"on"`
		Quoted   int             `json:"quoted,string"`
		Maybe    *int            `json:"maybe"`
		Omitted  string          `json:"omitted,omitempty"`
		Zero     int             `json:"zero,omitzero"`
		Slice    []int           `json:"slice"`
		Map      map[string]int  `json:"map"`
		Raw      json.RawMessage `json:"raw"`
		Time     time.Time       `json:"time"`
		Address  netip.Addr      `json:"address"`
		MaybeBig *big.Int        `json:"maybeBig"`
	}
	fields, err := fieldsOf(reflect.TypeFor[all]())
	if err != nil {
		t.Fatal(err)
	}
	var plain, required, nullable []string
	for i := range fields {
		if fields[i].plain {
			plain = append(plain, fields[i].name)
		}
		if fields[i].required {
			required = append(required, fields[i].name)
		}
		if fields[i].nullable {
			nullable = append(nullable, fields[i].name)
		}
	}
	for what, got := range map[string][2]string{
		"plain":    {strings.Join(plain, " "), "text number big on raw time"},
		"required": {strings.Join(required, " "), "text number big small on quoted slice map raw time address"},
		"nullable": {strings.Join(nullable, " "), "maybe slice map raw maybeBig"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s are %s, want %s", what, got[0], got[1])
		}
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	for want, of := range map[string]reflect.Type{
		"field secret is not exported: JSON would not have the field":           reflect.TypeFor[inner](),
		"field In: field secret is not exported: JSON would not have the field": reflect.TypeFor[struct{ In map[string][]*inner }](),
		"field A has the json name -: JSON would not have the field": reflect.TypeFor[struct {
			A int `json:"-"`
		}](),
		"field embedded is embedded": reflect.TypeFor[struct{ embedded }](),
		"field Time is embedded":     reflect.TypeFor[dated](),
		"field A: JSON has no func":  reflect.TypeFor[struct{ A func() }](),
		"JSON has no chan":           reflect.TypeFor[[3]chan int](),
		"JSON has no complex128":     reflect.TypeFor[*complex128](),
		"an interface is not read back as the type that was written":          reflect.TypeFor[map[int]any](),
		"field E: an interface is not read back as the type that was written": reflect.TypeFor[struct{ E error }](),
		"map[bool]int has keys that JSON does not have":                       reflect.TypeFor[map[bool]int](),
		"aggregate.writesOnly writes itself, and does not read itself":        reflect.TypeFor[writesOnly](),
		"field N: big.Int writes itself only behind a pointer":                reflect.TypeFor[struct{ N big.Int }](),
		"two fields have the json name \"a\"": reflect.TypeFor[struct {
			A int
			B int `json:"a"`
		}](),
	} {
		if err := lost(of, nil); textOf(err) != want {
			t.Errorf("%s: got %v, want %s", of, err, want)
		}
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[tree](), reflect.TypeFor[jar](), reflect.TypeFor[*big.Int](), reflect.TypeFor[json.RawMessage](),
		reflect.TypeFor[netip.Addr](), reflect.TypeFor[map[netip.Addr]time.Duration](), reflect.TypeFor[map[uint8]float64](),
		reflect.TypeFor[struct{ A, B []byte }](), reflect.TypeFor[struct {
			A *int `json:"-,"` //nolint:staticcheck // the name is -
		}](),
	} {
		if err := lost(of, nil); err != nil {
			t.Errorf("%s: %v", of, err)
		}
	}
}

// wishes are commands by whose fields an id is found, or not.
type wishes[F any] struct {
	Other string `json:"other"`
	Field F      `json:"number"`
	make  func(wishes[F]) string
}

func (wishes[F]) Type() string          { return "wish" }
func (w wishes[F]) AggregateID() string { return w.make(w) }

func TestIDMember(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		create func() AnyCommand
		want   string
	}{
		"a text": {func() AnyCommand { return &ask{As: "a"} }, "id"},
		"a number": {func() AnyCommand {
			return &wishes[int]{make: func(w wishes[int]) string { return string(rune('0' + w.Field)) }}
		}, "number"},
		"an unsigned": {func() AnyCommand {
			return &wishes[uint16]{make: func(w wishes[uint16]) string { return string(rune('0' + w.Field)) }}
		}, "number"},
		"two members": {func() AnyCommand {
			return &wishes[string]{make: func(w wishes[string]) string { return w.Other + "-" + w.Field }}
		}, ""},
		"a pointer": {func() AnyCommand {
			return &wishes[*int]{make: func(w wishes[*int]) string { return string(rune('0' + *w.Field)) }}
		}, ""},
	} {
		if got := idMember(test.create); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if got := Of(jars()).IDMember("putCoins") + Of(jars()).IDMember("unknown"); got != "id" {
		t.Errorf("got %q", got)
	}
}

func stateError[S any](zero S) error {
	_, err := NewRegistry(Of(Definition[S]{
		Name: "thing", Plural: "things", Commands: []func() Command[S]{func() Command[S] { return new(askFor[S]) }},
		Events: []func() Event[S]{func() Event[S] { return new(didTo[S]) }},
	}))
	_ = zero
	return err
}

type notZero struct{ N int }

func (n notZero) MarshalJSON() ([]byte, error)  { return []byte("7"), nil }
func (n *notZero) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &n.N) }

func TestStates(t *testing.T) {
	t.Parallel()
	const begin = `aggregate "thing": state `
	for want, err := range map[string]error{
		begin + `aggregate.inner does not survive its encoding: field secret is not exported: JSON would not have the field`: stateError(inner{}),
		begin + `func() does not survive its encoding: JSON has no func`:                                                     stateError(func() {}),
		begin + `interface {} does not survive its encoding: an interface is not read back as the type that was written`:     stateError[any](nil),
		begin + `aggregate.notZero does not survive its encoding: the zero value is written as 7, and read as another state`: stateError(notZero{}),
		begin + `aggregate.strange does not survive its encoding: panicked: strange`:                                         stateError(strange{}),
	} {
		if textOf(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, err := range []error{stateError(0), stateError(jar{}), stateError(map[string]int(nil)), stateError((*tree)(nil)), stateError(struct{}{}), stateError(time.Time{})} {
		if err != nil {
			t.Error(err)
		}
	}
}
