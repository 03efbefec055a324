// Package varint reads and writes the numbers and texts in the state store's
// values: numbers are unsigned varints, and a text has its length in front.
package varint

import (
	"encoding/binary"
	"math"
)

// AppendText appends a text with its length.
func AppendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

// Reader takes values off the front of Rest. After the first value that doesn't
// fit, Failed is set, and all values are zero.
type Reader struct {
	Rest   []byte
	Failed bool
}

// Number takes a number of at most most.
func (in *Reader) Number(most uint64) uint64 {
	n, length := binary.Uvarint(in.Rest)
	if in.Failed || length <= 0 || n > most {
		in.Failed = true
		return 0
	}
	in.Rest = in.Rest[length:]
	return n
}

// Take takes n bytes. The result shares the memory of Rest.
func (in *Reader) Take(n int) []byte {
	if in.Failed || n < 0 || n > len(in.Rest) {
		in.Failed = true
		return nil
	}
	taken := in.Rest[:n]
	in.Rest = in.Rest[n:]
	return taken
}

// Bytes takes the bytes of a text. The result shares the memory of Rest.
func (in *Reader) Bytes() []byte { return in.Take(int(in.Number(math.MaxInt32))) }

// Ended says whether all values fit, and nothing is left.
func (in *Reader) Ended() bool { return !in.Failed && len(in.Rest) == 0 }
