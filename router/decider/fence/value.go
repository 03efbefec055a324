package fence

import (
	"encoding/binary"
	"errors"
	"math"
	"unique"
)

// errValue is the error of bytes that [Fences.Append] does not write.
var errValue = errors.New("not the form of fences")

// Append writes fences for the disk. Numbers are unsigned varints, and a text has
// its length in front.
func (f Fences) Append(out []byte) []byte {
	for i := range f {
		out = appendText(appendText(out, f[i].Reaction), f[i].TopicID)
		out = binary.AppendUvarint(out, uint64(f[i].Partition))
		out = f[i].Highest.append(out)
		out = binary.AppendUvarint(out, uint64(len(f[i].Open)))
		for _, o := range f[i].Open {
			out = o.Highest.append(appendText(out, o.Stream))
		}
	}
	return out
}

func (p Place) append(out []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(out, uint64(p.Offset)), uint64(p.N))
}

func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

// Read reads what [Fences.Append] writes.
func Read(data []byte) (Fences, error) {
	in := reader{rest: data}
	var fences Fences
	for len(in.rest) > 0 && !in.failed {
		// Many streams have the same reactions, so the names share one copy.
		f := Fence{Reaction: unique.Make(in.text()).Value(), TopicID: unique.Make(in.text()).Value(), Partition: int32(in.number(math.MaxInt32)), Highest: in.place()}
		for range in.number(uint64(len(in.rest))) {
			f.Open = append(f.Open, Open{in.text(), in.place()})
		}
		fences = append(fences, f)
	}
	if in.failed {
		return nil, errValue
	}
	return fences, nil
}

// reader takes values off the front of the data. After the first value that
// doesn't fit, all values are zero.
type reader struct {
	rest   []byte
	failed bool
}

func (in *reader) number(most uint64) uint64 {
	n, length := binary.Uvarint(in.rest)
	if in.failed || length <= 0 || n > most {
		in.failed = true
		return 0
	}
	in.rest = in.rest[length:]
	return n
}

func (in *reader) text() string {
	n := int(in.number(uint64(len(in.rest))))
	if in.failed || n > len(in.rest) {
		in.failed = true
		return ""
	}
	text := string(in.rest[:n])
	in.rest = in.rest[n:]
	return text
}

func (in *reader) place() Place {
	return Place{int64(in.number(math.MaxInt64)), int(in.number(math.MaxInt32))}
}
