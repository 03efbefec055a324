package fence

import (
	"encoding/binary"
	"errors"
	"math"
	"unique"

	"github.com/millrace/millrace/router/decider/varint"
)

// errValue is the error of bytes that [Fences.Append] does not write.
var errValue = errors.New("not the form of fences")

// Append writes fences for the disk. Numbers are unsigned varints, and a text has
// its length in front.
func (f Fences) Append(out []byte) []byte {
	for i := range f {
		out = varint.AppendText(varint.AppendText(out, f[i].Reaction), f[i].TopicID)
		out = binary.AppendUvarint(out, uint64(f[i].Partition))
		out = f[i].Highest.append(out)
		out = binary.AppendUvarint(out, uint64(len(f[i].Open)))
		for _, o := range f[i].Open {
			out = o.Highest.append(varint.AppendText(out, o.Stream))
		}
	}
	return out
}

func (p Place) append(out []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(out, uint64(p.Offset)), uint64(p.N))
}

// Read reads what [Fences.Append] writes.
func Read(data []byte) (Fences, error) {
	in := &varint.Reader{Rest: data}
	var fences Fences
	for len(in.Rest) > 0 && !in.Failed {
		// Many streams have the same reactions, so the names share one copy.
		f := Fence{Reaction: unique.Make(string(in.Bytes())).Value(), TopicID: unique.Make(string(in.Bytes())).Value(), Partition: int32(in.Number(math.MaxInt32)), Highest: readPlace(in)}
		for range in.Number(uint64(len(in.Rest))) {
			f.Open = append(f.Open, Open{string(in.Bytes()), readPlace(in)})
		}
		fences = append(fences, f)
	}
	if in.Failed {
		return nil, errValue
	}
	return fences, nil
}

func readPlace(in *varint.Reader) Place {
	return Place{int64(in.Number(math.MaxInt64)), int(in.Number(math.MaxInt32))}
}
