package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a text may nest; the outermost object has depth 1.
const maxDepth = 32

// FieldError is an error at one place of a text.
type FieldError struct {
	Pointer string // a JSON Pointer (RFC 6901)
	Detail  string
}

func (e FieldError) Error() string {
	if e.Pointer == "" {
		return e.Detail
	}
	return e.Pointer + " " + e.Detail
}

// Object is the members of a JSON object, in the order of the text.
type Object []member

// member is a member of a JSON object.
type member struct {
	name  string
	value jsontext.Value
}

// ReadObject reads a text that is one JSON object, and refuses a text with two
// readings (RFC 8259 allows duplicate members, RFC 7493 doesn't). Object shares
// the memory of the text.
func ReadObject(text []byte) (Object, []FieldError) { return readObject(text, maxDepth) }

func readObject(text []byte, depth int) (Object, []FieldError) {
	if wrong := checkDepth(text, depth); wrong != nil {
		return nil, wrong
	}
	members, ok := membersOf(text)
	if !ok {
		return nil, notJSON(json.Unmarshal(text, new(map[string]jsontext.Value))) // for the error's reason
	}
	return members, nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (o *Object) UnmarshalJSON(data []byte) error {
	members, ok := membersOf(data)
	if !ok {
		return errors.New("must be an object")
	}
	*o = members
	return nil
}

// textReader is a decoder over a text in memory. The decoder's own memory is used
// again for another text.
type textReader struct {
	text bytes.Buffer
	jsontext.Decoder
}

var textReaders = sync.Pool{New: func() any { return new(textReader) }}

// membersOf reads the members of an object. The result is false for data that
// are not one object.
func membersOf(object []byte) (members []member, ok bool) {
	in := textReaders.Get().(*textReader) //nolint:errcheck // nothing else is in there
	defer textReaders.Put(in)
	in.text = *bytes.NewBuffer(object) // the decoder reads the object in place
	in.Reset(&in.text)
	if start, err := in.ReadToken(); err != nil || start.Kind() != '{' {
		return nil, false
	}
	members = make([]member, 0, 4)
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return nil, false
		}
		m := member{name: name.String()}
		if m.value, err = in.ReadValue(); err != nil {
			return nil, false
		}
		end := in.InputOffset() // after the next read, m.value would be overwritten
		m.value = object[end-int64(len(m.value)) : end]
		members = append(members, m)
	}
	if _, err := in.ReadToken(); err != nil {
		return nil, false
	}
	_, err := in.ReadToken()
	return members, errors.Is(err, io.EOF)
}

// checkDepth refuses texts that nest too deep. Texts that are not JSON pass.
func checkDepth(text []byte, depth int) []FieldError {
	if bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= depth {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := decoder.ReadToken(); err != nil {
			return nil
		}
		if decoder.StackDepth() > depth {
			return []FieldError{{
				Pointer: string(decoder.StackPointer()),
				Detail:  fmt.Sprintf("must not nest deeper than %d levels", depth),
			}}
		}
	}
}

// notJSON makes the error of a text that is no JSON object, with the place.
func notJSON(err error) []FieldError {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return []FieldError{{Detail: "must be a JSON object"}}
	}
	wrong := FieldError{Pointer: string(syntax.JSONPointer)}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		wrong.Detail = "must not stand twice in its object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		wrong.Detail = "ends before the JSON is complete"
	default:
		wrong.Detail = fmt.Sprintf("is not JSON in UTF-8 (RFC 8259), at byte %d", syntax.ByteOffset)
	}
	return []FieldError{wrong}
}
