package sortedrows

import (
	"encoding/binary"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// The bytes of a key are ordered as the key: a text ends with a zero byte, which
// no text has, and the sign of an integer is turned around.

func appendKey(to []byte, value any) []byte {
	switch value := value.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(to, uint64(value)^1<<63)
	case bool:
		return appendBool(to, value)
	default:
		text, _ := value.(string) // nothing else fits a table
		return append(append(to, text...), 0)
	}
}

// appendValue appends a value of a column that is not of the key.
func appendValue(to []byte, value any) []byte {
	switch value := value.(type) {
	case int64:
		return binary.AppendVarint(to, value)
	case bool:
		return appendBool(to, value)
	default:
		text, _ := value.(string)
		return append(binary.AppendUvarint(to, uint64(len(text))), text...)
	}
}

func appendBool(to []byte, value bool) []byte {
	if value {
		return append(to, 1)
	}
	return append(to, 0)
}

// decoder decodes values. Equal texts of a column that follow each other are one
// value.
type decoder struct {
	last []any // by column
}

// key appends the value at the beginning of a key, and returns the rest of the
// key.
func (d *decoder) key(to []any, column int, t projection.Type, key string) ([]any, string) {
	switch t {
	case projection.Integer:
		var n uint64
		for i := range 8 {
			n = n<<8 | uint64(key[i])
		}
		return append(to, int64(n^1<<63)), key[8:]
	case projection.Boolean:
		return append(to, key[0] == 1), key[1:]
	default:
		end := strings.IndexByte(key, 0)
		return append(to, d.text(column, key[:end])), key[end+1:]
	}
}

// value appends the value at the beginning of values, and returns the rest.
func (d *decoder) value(to []any, column int, t projection.Type, values string) ([]any, string) {
	switch t {
	case projection.Integer:
		n, rest := uvarint(values)
		signed := int64(n >> 1)
		if n&1 != 0 {
			signed = ^signed
		}
		return append(to, signed), rest
	case projection.Boolean:
		return append(to, values[0] == 1), values[1:]
	default:
		length, rest := uvarint(values)
		return append(to, d.text(column, rest[:length])), rest[length:]
	}
}

func (d *decoder) text(column int, text string) any {
	if last, ok := d.last[column].(string); !ok || last != text {
		d.last[column] = text
	}
	return d.last[column]
}

// uvarint is the number at the beginning of a text, as of
// [binary.AppendUvarint], and the rest.
func uvarint(text string) (n uint64, rest string) {
	for i := range len(text) {
		n |= uint64(text[i]&0x7F) << (7 * i)
		if text[i] < 0x80 {
			return n, text[i+1:]
		}
	}
	return n, ""
}
