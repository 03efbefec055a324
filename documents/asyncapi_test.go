package documents

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each form that there is on the wire is in the document, and is as it says.
func TestMessagesAreAsDocumented(t *testing.T) {
	t.Parallel()
	document := AsyncAPI()
	files, err := filepath.Glob("../messaging/testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
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
		message := "/components/messages/" + headers["ce_type"]
		all, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, schemaAt(t, document, message+"/headers"), all); err != nil {
			t.Errorf("%s: headers: %v", file, err)
		}
		if err := valid(t, schemaAt(t, document, message+"/payload"), []byte(body)); err != nil {
			t.Errorf("%s: body: %v", file, err)
		}
	}
}
