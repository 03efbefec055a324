package aggregate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
)

// EncodeState writes a state as JSON. The text of nil is empty.
func (t *Type) EncodeState(state any) ([]byte, error) {
	if state == nil {
		return nil, nil
	}
	body, err := encode(state)
	if err != nil {
		return nil, fmt.Errorf("encode a state: %w", err)
	}
	return body, nil
}

// DecodeState reads what EncodeState writes.
func (t *Type) DecodeState(body []byte) (state any, err error) {
	if len(body) == 0 {
		return nil, nil
	}
	return t.decodeState(body)
}

// encode writes JSON in the one form that is stored and compared: without
// escaped HTML.
func encode(value any) ([]byte, error) {
	e, _ := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.out.Reset()
	if err := e.json.Encode(value); err != nil {
		return nil, err
	}
	return bytes.Clone(bytes.TrimSuffix(e.out.Bytes(), []byte("\n"))), nil
}

// encoder is an encoder with its memory.
type encoder struct {
	out  bytes.Buffer
	json *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(&e.out)
	e.json.SetEscapeHTML(false)
	return e
}}

func decodeState[S any](body []byte) (any, error) {
	var state S
	if err := json.Unmarshal(body, &state); err != nil {
		return nil, fmt.Errorf("decode a state: %w", err)
	}
	return state, nil
}

// SurvivesEncoding returns the reason why a state is not the same after writing
// and reading, or nil. Package aggregatetest checks each state that a test
// makes.
func (t *Type) SurvivesEncoding(state any) error {
	if state == nil {
		return nil
	}
	body, err := t.EncodeState(state)
	if err != nil {
		return err
	}
	again, err := t.DecodeState(body)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(state, again) {
		return nil
	}
	was, is := fmt.Sprintf("%+v", state), fmt.Sprintf("%+v", again)
	if was == is {
		return fmt.Errorf("the state %s is written as %s, and read as another state: an empty slice or map is not a nil one, and omitempty writes neither", was, body)
	}
	return fmt.Errorf("the state %s is written as %s, and read as %s", was, body, is)
}

// checkState says why S can't be stored.
func checkState[S any]() (err error) {
	var zero S
	t := reflect.TypeFor[S]()
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panicked: %v", value)
		}
		if err != nil {
			err = fmt.Errorf("state %s does not survive its encoding: %w", t, err)
		}
	}()
	if err := lost(t, nil); err != nil {
		return err
	}
	body, err := encode(zero)
	if err != nil {
		return err
	}
	again, err := decodeState[S](body)
	if err != nil {
		return fmt.Errorf("the zero value is written as %s, and can't be read: %w", body, err)
	}
	if !reflect.DeepEqual(any(zero), again) {
		return fmt.Errorf("the zero value is written as %s, and read as another state", body)
	}
	return nil
}
