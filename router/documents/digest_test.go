package documents_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/eventlog"
)

// canonicalForm is the form as the AsyncAPI document describes the form, and
// nothing else: a reader of the document writes these lines.
func canonicalForm(headers map[string]string, body []byte) (form []byte) {
	number := func(n int) { form = binary.BigEndian.AppendUint32(form, uint32(n)) }
	text := func(s string) { number(len(s)); form = append(form, s...) }
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(headers)), func(key string) bool { return !strings.HasPrefix(key, "ce_") })
	number(len(keys))
	for _, key := range keys {
		text(key)
		text(headers[key])
	}
	text(string(body))
	return form
}

// The digest in ce_prev can be computed by the document alone: for the example
// in the document, and for each form of record on the wire.
func TestDigestByTheDocumentAlone(t *testing.T) {
	t.Parallel()
	var document struct {
		Info struct {
			Digest struct {
				Headers               map[string]string
				Body                  string
				CanonicalForm, Digest string
			} `json:"x-digest"`
		}
	}
	if err := json.Unmarshal(documents.AsyncAPI(shipped(t)), &document); err != nil {
		t.Fatal(err)
	}
	example := document.Info.Digest
	form := canonicalForm(example.Headers, []byte(example.Body))
	if digest := sha256.Sum256(form); hex.EncodeToString(form) != example.CanonicalForm || hex.EncodeToString(digest[:]) != example.Digest {
		t.Errorf("the example is wrong: form %x, digest %x", form, digest)
	}
	files, err := filepath.Glob("../kafka/testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		top, body, _ := strings.Cut(string(content), "\n\n")
		headers := map[string]string{}
		raw := eventlog.RawMessage{Body: []byte(body)}
		for line := range strings.Lines(top) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if name == "key" {
				raw.Key, raw.Partition = value, eventlog.PartitionOf(value, 12)
				continue
			}
			headers[name] = value
			raw.Headers = append(raw.Headers, eventlog.Header{Key: name, Value: value})
		}
		if headers["ce_prev"] == "" {
			continue // a command
		}
		compared++
		want := sha256.Sum256(canonicalForm(headers, []byte(body)))
		if got := eventlog.DecodeRecord(raw, 12).Digest; got != eventlog.Digest(want) {
			t.Errorf("%s: the digest is %s, and by the document %x", file, got, want)
		}
	}
	if compared == 0 {
		t.Error("there is no record to compare")
	}
}
