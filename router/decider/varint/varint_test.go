package varint

import (
	"encoding/binary"
	"math"
	"testing"
)

// What was written is read; bytes that end early, and numbers that are too large,
// fail, and nothing is read behind.
func TestReader(t *testing.T) {
	t.Parallel()
	written := AppendText(AppendText(binary.AppendUvarint(nil, 300), ""), "text")
	in := Reader{Rest: append(written, 7)}
	if n, empty, text, last := in.Number(300), in.Bytes(), in.Bytes(), in.Take(1); n != 300 || len(empty) > 0 || string(text) != "text" || last[0] != 7 || !in.Ended() {
		t.Errorf("%d, %q, %q, %v, and %+v", n, empty, text, last, in)
	}
	for name, in := range map[string]*Reader{
		"nothing": {}, "too large a number": {Rest: binary.AppendUvarint(nil, 300)}, "half a number": {Rest: []byte{0x80}},
		"a number of more than 64 bits": {Rest: binary.AppendUvarint([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 2)},
	} {
		if n := in.Number(299); n != 0 || !in.Failed || in.Ended() || in.Number(math.MaxUint64) != 0 {
			t.Errorf("%s: %d, %+v", name, n, in)
		}
	}
	for name, in := range map[string]*Reader{"half a text": {Rest: AppendText(nil, "text")[:3]}, "a length that is too large": {Rest: binary.AppendUvarint(nil, math.MaxInt32+1)}} {
		if text := in.Bytes(); text != nil || !in.Failed || in.Take(0) != nil {
			t.Errorf("%s: %q, %+v", name, text, in)
		}
	}
}
