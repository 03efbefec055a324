package documents_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/eventlog"
)

// The document has every form of message on the wire, and describes each form
// right.
func TestMessagesAreAsDocumented(t *testing.T) {
	t.Parallel()
	document := documents.AsyncAPI(shipped(t))
	files, err := filepath.Glob("../kafka/testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	const public = "../publish/testdata/userRenamed.golden"
	for _, file := range append(files, public) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		top, body, _ := strings.Cut(string(text), "\n\n")
		headers := map[string]string{}
		for line := range strings.Lines(top) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			headers[name] = value
		}
		delete(headers, "key") // the bindings describe the key
		message := "/components/messages/" + headers["ce_type"]
		if file == public {
			message += ".public"
		}
		all, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, schemaAt(t, document, message+"/headers"), all); err != nil {
			t.Errorf("%s: headers: %v", file, err)
		}
		if unnamed := headersWithoutName(t, document, message, headers); len(unnamed) > 0 {
			t.Errorf("%s: the document doesn't name %q", file, unnamed)
		}
		if err := valid(t, schemaAt(t, document, message+"/payload"), []byte(body)); err != nil {
			t.Errorf("%s: body: %v", file, err)
		}
	}
}

// headersWithoutName are the headers of a message that the document does not
// describe.
func headersWithoutName(t *testing.T, document []byte, message string, headers map[string]string) (unnamed []string) {
	t.Helper()
	named := schemaAt(t, document, message+"/headers")
	for named.Ref != nil {
		named = named.Ref
	}
	for name := range headers {
		if named.Properties[name] == nil {
			unnamed = append(unnamed, name)
		}
	}
	return unnamed
}

// Traced commands and records have a header of their own.
func TestTraceHeaderIsDocumented(t *testing.T) {
	t.Parallel()
	document := documents.AsyncAPI(shipped(t))
	for _, schema := range []string{"CommandHeaders", "RecordHeaders", "PublicHeaders"} {
		at := schemaAt(t, document, "/components/schemas/"+schema+"/properties/"+eventlog.HeaderTraceParent)
		if err := at.Validate("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
		if at.Validate("0af7651916cd43dd8448eb211c80319c") == nil {
			t.Errorf("%s: anything goes", schema)
		}
	}
}
