package eventlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Digest is the SHA-256 of a record's canonical form. The zero value stands
// before a stream's first record.
type Digest [sha256.Size]byte

// String is the digest in lower-case hexadecimal, as in ce_prev.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what [Digest.String] writes, and nothing else.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	if len(text) != hex.EncodedLen(len(d)) || strings.ToLower(text) != text {
		return d, fmt.Errorf("digest %q: want %d lower-case hexadecimal digits", text, hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], []byte(text)); err != nil {
		return d, fmt.Errorf("digest %q: %w", text, err)
	}
	return d, nil
}

// Header is one header of a Kafka record.
type Header struct{ Key, Value string }

// digestOf is over the ce_ headers, sorted by key, and the body: the number of
// headers, then each key and value, then the body, each of them behind its
// length; numbers are 4 bytes, big-endian. Other headers (content-type,
// traceparent) are outside. It sorts the headers that it is given.
func digestOf(headers []Header, body []byte) Digest {
	slices.SortFunc(headers, func(a, b Header) int { return strings.Compare(a.Key, b.Key) })
	form := make([]byte, 0, 1024)
	form = binary.BigEndian.AppendUint32(form, 0)
	n := uint32(0)
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, HeaderPrefix) {
			continue
		}
		n++
		form = binary.BigEndian.AppendUint32(form, uint32(len(h.Key)))
		form = append(form, h.Key...)
		form = binary.BigEndian.AppendUint32(form, uint32(len(h.Value)))
		form = append(form, h.Value...)
	}
	binary.BigEndian.PutUint32(form, n)
	form = binary.BigEndian.AppendUint32(form, uint32(len(body)))
	form = append(form, body...)
	return sha256.Sum256(form)
}
