package eventlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Digest is the SHA-256 of a record's canonical form. The zero value is ce_prev
// of a stream's first record.
type Digest [sha256.Size]byte

// String returns the digest in lower-case hexadecimal, as in ce_prev.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads the form of [Digest.String]. Any other form is an error.
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

// digestOf hashes the canonical form: the number of ce_ headers; key and value
// of each ce_ header, sorted by key; the body. Each text has its length in
// front. Numbers are 4 bytes, big-endian. Other headers (content-type,
// traceparent) are outside of the form. digestOf sorts its argument in place.
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
